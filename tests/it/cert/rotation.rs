//! Other authorities for a cluster under load.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use etcd::certs::Facts;
use etcd::client::{Client, Options};
use etcd::config::Tls;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{PutRequest, StatusRequest, WatchCreateRequest, WatchRequest};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use crate::cert::enrol::{self, Place, Serving};
use crate::cert::{Answer, Desk};
use crate::support::cluster::address;
use crate::support::process::Process;
use crate::support::server::Kind;
use crate::support::wait::{comes_true, eventually, within};

/// Three members of one authority, its issuer, and a client that joined.
struct Cluster {
    desk: Desk,
    places: Vec<Place>,
    _members: Vec<Process>,
    issuer: Serving,
    app: PathBuf,
}

impl Cluster {
    fn start() -> Self {
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
        Self { desk, places, _members: members, issuer, app: app.join("pki") }
    }

    fn endpoints(&self) -> Vec<String> {
        self.places.iter().map(|place| url(place.0)).collect()
    }

    fn rotate(&self, verb: &str) -> Answer {
        let endpoints = self.endpoints().join(",");
        self.desk.run(&[
            "rotate-ca",
            verb,
            "--timeout=60s",
            "--endpoints",
            &endpoints,
            "--output=json",
        ])
    }

    fn options(&self, root: &Path, client: &Path) -> Options {
        let tls = Tls {
            trusted_ca_file: Some(root.to_owned()),
            cert_file: Some(client.with_extension("crt")),
            key_file: Some(client.with_extension("key")),
            ..Tls::default()
        };
        Options { endpoints: self.endpoints(), tls: Some(tls), ..Options::default() }
    }
}

fn url(at: SocketAddr) -> String {
    format!("https://{at}")
}

/// The first member asks at the issuer's port, which the system chose after its directory was made.
fn point_at(desk: &Desk, issuer: &Serving) {
    let known = desk.read("issuer.json").replace("https://127.0.0.1:2382", &issuer.url);
    std::fs::write(desk.path("issuer.json"), known).unwrap();
}

/// One put through a connection of its own.
async fn put(options: &Options, number: usize) -> Result<(), String> {
    let client = Client::connect(options).await.map_err(|error| error.to_string())?;
    let (key, value) = ("load".into(), number.to_string().into());
    let request = PutRequest { key, value, ..PutRequest::default() };
    client.kv().put(request).await.map(|_| ()).map_err(|status| status.to_string())
}

/// Puts until it is told to stop, each repeated once at most; tells how many there were.
async fn load(options: Options, stop: watch::Receiver<bool>) -> usize {
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

async fn term(options: &Options) -> u64 {
    let client = Client::connect(options).await.unwrap();
    client.maintenance().status(StatusRequest::default()).await.unwrap().into_inner().raft_term
}

fn subjects(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    Facts::from_pem("", &text).unwrap().into_iter().map(|facts| facts.subject).collect()
}

/// What somebody has who is told nothing of all this.
fn keep(desk: &Desk) -> PathBuf {
    let kept = desk.folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    for (from, to) in [
        ("ca.crt", "ca.crt"),
        ("clients/admin.crt", "admin.crt"),
        ("clients/admin.key", "admin.key"),
    ] {
        std::fs::copy(desk.path(from), kept.join(to)).unwrap();
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_are_replaced_under_load_and_no_client_fails() {
    let cluster = Cluster::start();
    let desk = &cluster.desk;
    let app = cluster.options(&cluster.app.join("ca.crt"), &cluster.app.join("clients/app"));
    let kept = keep(desk);
    let old = subjects(&kept.join("ca.crt"));
    let before = term(&app).await;
    let watcher = Client::connect(&app).await.unwrap();
    let create = WatchCreateRequest { key: "load".into(), ..WatchCreateRequest::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
    let mut events = watcher.watch().watch(requests).await.unwrap().into_inner();
    let (stop, stopped) = watch::channel(false);
    let mut loading = JoinSet::new();
    loading.spawn(load(app.clone(), stopped));

    let early = cluster.rotate("finish");
    assert!(early.stderr.contains("no authority is being replaced"), "{}", early.stderr);
    cluster.rotate("start").good();
    assert_eq!(subjects(&desk.path("ca.crt")).len(), 2);
    let told = cluster.rotate("status").good().json();
    assert_eq!(told["phase"], "reissuing");
    // The client that joined is left, and the one command it needs is known to it.
    let late =
        desk.run(&["rotate-ca", "finish", "--timeout=0s", "--endpoints", &cluster.endpoints()[0]]);
    assert!(late.stderr.contains("of \"app\""), "{}", late.stderr);
    let mut renew = Command::new(Kind::Ours.program("etcd"));
    renew.env_clear().args(["cert", "renew", "--pki-dir"]).arg(&cluster.app);
    Answer::of(&renew.output().unwrap()).good();
    cluster.rotate("finish").good();

    assert_eq!(term(&app).await, before, "a leader was lost");
    let new = subjects(&desk.path("ca.crt"));
    assert!(new.len() == 1 && new != old, "{new:?}");
    comes_true("every member to go by the new authorities alone", async || {
        let told = cluster.rotate("status").good().json();
        let members = told["members"].as_array()?;
        members.iter().all(|member| member["state"] == "ready").then_some(())
    })
    .await;
    stop.send_replace(true);
    let puts = loading.join_next().await.unwrap().unwrap();
    let mut seen = 0;
    within("the events", async {
        while seen < puts {
            seen += events.next().await.unwrap().unwrap().events.len();
        }
    })
    .await;
    // A new client certificate goes with the old root, since servers still show the way from it.
    put(&cluster.options(&kept.join("ca.crt"), &desk.path("clients/admin")), 0).await.unwrap();
    let refused = put(&cluster.options(&desk.path("ca.crt"), &kept.join("admin")), 0).await;
    refused.unwrap_err();
    assert!(!desk.path("ca/rotation").exists());
    // Whoever joins now learns of the new ones only.
    let home = desk.folder.path().join("late");
    let token = enrol::token(desk, &cluster.issuer, "client", "late", &[]);
    enrol::join(&home, &token, &[]).good();
    assert_eq!(subjects(&home.join("pki/ca.crt")), new);
}

#[test]
fn a_replacement_is_given_up_and_what_was_goes_on() {
    let desk = Desk::new();
    let place = (address::reserve(), address::reserve());
    let _member = enrol::found(&desk, place);
    let issuer = enrol::serve(&desk, &["--endpoints", &url(place.0)]);
    let old = subjects(&desk.path("ca.crt"));
    let rotate = |verb: &str, patience: &str| {
        let timeout = format!("--timeout={patience}");
        desk.run(&["rotate-ca", verb, &timeout, "--endpoints", &url(place.0)])
    };
    eventually("a write", || {
        (enrol::etcdctl(&desk, place.0, &["put", "k", "1"]).code == Some(0)).then_some(())
    });
    // The member asks nobody who would answer, so it cannot be known to trust anybody new.
    let refused = rotate("start", "0s");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("has not reported"), "{}", refused.stderr);
    assert_eq!(subjects(&desk.path("ca.crt"))[0], old[0], "the old root signs still");
    point_at(&desk, &issuer);
    rotate("start", "60s").good();
    eventually("a certificate of the new authority", || {
        let issuers = subjects(&desk.path("client-ca.crt"));
        let text = desk.read("server.crt");
        let facts = Facts::from_pem("", &text).unwrap().remove(0);
        (facts.issuer == issuers[0]).then_some(())
    });
    enrol::etcdctl(&desk, place.0, &["put", "k", "2"]).good();
    rotate("abort", "60s").good();
    assert_eq!(subjects(&desk.path("ca.crt")), old);
    enrol::etcdctl(&desk, place.0, &["put", "k", "3"]).good();
    let nothing = rotate("abort", "0s");
    assert!(nothing.stderr.contains("no authority is being replaced"), "{}", nothing.stderr);
}
