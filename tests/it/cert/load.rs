//! Three members of one authority, and a client that puts and watches all the time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use etcd::client::{Client, Options};
use etcd::config::Tls;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{
    PutRequest, StatusRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::Streaming;

use crate::cert::enrol::{self, Place, Serving};
use crate::cert::{Answer, Desk};
use crate::support::cluster::address;
use crate::support::process::Process;
use crate::support::wait::{eventually, within};

/// Three members, their issuer, and a client that joined.
pub(super) struct Cluster {
    pub(super) desk: Desk,
    pub(super) places: Vec<Place>,
    pub(super) members: Vec<Process>,
    pub(super) issuer: Serving,
    pub(super) app: PathBuf,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let desk = Desk::new();
        let places: Vec<Place> = [(); 3].map(|()| (address::reserve(), address::reserve())).into();
        let mut members = vec![enrol::found(&desk, places[0])];
        let issuer = enrol::serve(&desk, &["--endpoints", &url(places[0].0)]);
        point_at(&desk, &issuer);
        eventually("a write", || {
            let put = enrol::etcdctl(&desk, places[0].0, &["put", "k", "1"]);
            (put.code == Some(0)).then_some(())
        });
        for (place, name) in places[1..].iter().zip(["m2", "m3"]) {
            let home = desk.folder.path().join(name);
            let token = enrol::token(&desk, &issuer, "member", name, &[]);
            let urls = [
                format!("--client-url={}", url(place.0)),
                format!("--peer-url={}", url(place.1)),
                "--timeout=60s".to_owned(),
            ];
            enrol::join(&home, &token, &urls.each_ref().map(String::as_str)).good();
            members.push(enrol::start(&home));
        }
        enrol::three_voters(&desk, &places);
        let app = desk.folder.path().join("app");
        let token = enrol::token(&desk, &issuer, "client", "app", &[]);
        enrol::join(&app, &token, &[]).good();
        Self { desk, places, members, issuer, app: app.join("pki") }
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        self.places.iter().map(|place| url(place.0)).collect()
    }

    /// `etcd cert rotate-ca VERB`, which waits a minute for whoever is missing.
    pub(super) fn rotate(&self, verb: &str) -> Answer {
        self.rotate_with(verb, &["--timeout=60s"])
    }

    pub(super) fn rotate_with(&self, verb: &str, more: &[&str]) -> Answer {
        let endpoints = self.endpoints().join(",");
        let words = ["rotate-ca", verb, "--endpoints", &endpoints, "--output=json"];
        self.desk.run(&[&words, more].concat())
    }

    /// Everybody's endpoints, for whoever shows this pair and trusts this root.
    pub(super) fn options(&self, root: &Path, client: &Path) -> Options {
        options(self.endpoints(), root, client)
    }

    /// The client that joined.
    pub(super) fn app(&self) -> Options {
        self.options(&self.app.join("ca.crt"), &self.app.join("clients/app"))
    }
}

pub(super) fn url(at: SocketAddr) -> String {
    format!("https://{at}")
}

/// The first member asks at the issuer's port, which the system chose after its directory was made.
pub(super) fn point_at(desk: &Desk, issuer: &Serving) {
    let known = desk.read("issuer.json").replace("https://127.0.0.1:2382", &issuer.url);
    std::fs::write(desk.path("issuer.json"), known).unwrap();
}

pub(super) fn options(endpoints: Vec<String>, root: &Path, client: &Path) -> Options {
    let tls = Tls {
        trusted_ca_file: Some(root.to_owned()),
        cert_file: Some(client.with_extension("crt")),
        key_file: Some(client.with_extension("key")),
        ..Tls::default()
    };
    Options { endpoints, tls: Some(tls), ..Options::default() }
}

/// One put through a connection of its own.
pub(super) async fn put(options: &Options, number: usize) -> Result<(), String> {
    let client = Client::connect(options).await.map_err(|error| error.to_string())?;
    let (key, value) = ("load".into(), number.to_string().into());
    let request = PutRequest { key, value, ..PutRequest::default() };
    client.kv().put(request).await.map(|_| ()).map_err(|status| status.to_string())
}

/// The term, which only an election changes.
pub(super) async fn term(options: &Options) -> u64 {
    let client = Client::connect(options).await.unwrap();
    client.maintenance().status(StatusRequest::default()).await.unwrap().into_inner().raft_term
}

/// Puts, one after the other, and a watch that was opened before the first.
pub(super) struct Load {
    events: Streaming<WatchResponse>,
    stop: watch::Sender<bool>,
    putting: JoinSet<usize>,
}

impl Load {
    pub(super) async fn start(options: &Options) -> Self {
        let watcher = Client::connect(options).await.unwrap();
        let create = WatchCreateRequest { key: "load".into(), ..WatchCreateRequest::default() };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
        let events = watcher.watch().watch(requests).await.unwrap().into_inner();
        let (stop, stopped) = watch::channel(false);
        let mut putting = JoinSet::new();
        putting.spawn(put_until(options.clone(), stopped));
        Self { events, stop, putting }
    }

    /// Ends the puts; each must have worked at its second attempt at the latest, and the watch must
    /// have seen all of them.
    pub(super) async fn end(mut self) {
        self.stop.send_replace(true);
        let puts = self.putting.join_next().await.unwrap().unwrap();
        assert!(puts > 0, "there was no load");
        let mut seen = 0;
        within("the events", async {
            while seen < puts {
                seen += self.events.next().await.unwrap().unwrap().events.len();
            }
        })
        .await;
    }
}

/// Puts until it is told to stop, each repeated once at most; tells how many there were.
async fn put_until(options: Options, stop: watch::Receiver<bool>) -> usize {
    let mut puts = 0;
    while !*stop.borrow() {
        if let Err(first) = put(&options, puts).await {
            let second = put(&options, puts).await;
            second.unwrap_or_else(|second| panic!("put {puts}: {first}; then {second}"));
        }
        puts += 1;
    }
    puts
}
