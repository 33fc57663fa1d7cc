//! Too many of everything at the issuer: who guesses, who calls, who connects and says nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use etcd::config::{Tls, TlsLimits};
use etcd::proto::enrol::issuer_client::IssuerClient;
use etcd::proto::enrol::{Credential, EnrolRequest, FollowRequest};
use etcd::transport::Material;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::cert::Desk;
use crate::cert::enrol::{Serving, join, serve, token};
use crate::support::wait::{LIMIT, within};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

fn address(issuer: &Serving) -> SocketAddr {
    issuer.url.trim_start_matches("https://").parse().unwrap()
}

fn believing() -> Arc<ClientConfig> {
    let material = Material::load(&Tls::default(), &TlsLimits::default()).unwrap();
    Arc::new(material.client_config(true).unwrap())
}

/// An encrypted connection that goes out from this address.
async fn connect(
    issuer: SocketAddr,
    from: Ipv4Addr,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(issuer).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

/// A caller at this address, over a connection of its own.
async fn caller(issuer: SocketAddr, from: Ipv4Addr) -> IssuerClient<Channel> {
    let config = believing();
    let connector = service_fn(move |_: Uri| {
        let config = Arc::clone(&config);
        async move { connect(issuer, from, config).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://issuer");
    let channel = within("a connection", endpoint.connect_with_connector(connector)).await;
    IssuerClient::new(channel.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_ten_times_waits_and_nobody_else_does() {
    let desk = Desk::ready();
    let issuer = serve(&desk, &[]);
    let mut guesser = caller(address(&issuer), ELSEWHERE).await;
    let known = token(&desk, &issuer, "client", "app", &[]);
    let listed = desk.run(&["token", "list", "--output=json"]).good().json();
    let id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
    for number in 0..10 {
        // Who knows an id learns no more than who does not.
        let id = if number % 2 == 0 { id.clone() } else { "00".to_owned() };
        let credential = Some(Credential { id, secret: vec![number; 32].into() });
        let guess = EnrolRequest { credential, ..EnrolRequest::default() };
        let refused = guesser.enrol(guess).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert_eq!(refused.message(), "the token is not known here, or was revoked");
    }
    let refused = guesser.follow(FollowRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "too many failed attempts; wait a minute");
    join(&desk.folder.path().join("app"), &known, &[]).good();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_calls_thirty_two_are_worked_on_and_the_others_told_so() {
    let desk = Desk::ready();
    let issuer = serve(&desk, &[]);
    // Every call needs this lock, so that none of them ends before it is given back.
    let lock = File::open(desk.path("ca")).unwrap();
    lock.lock().unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let caller = caller(address(&issuer), HERE).await;
        for _ in 0..8 {
            let mut caller = caller.clone();
            let request = FollowRequest { generation: 1, ..FollowRequest::default() };
            calls.spawn(async move { caller.follow(request).await.map(drop) });
        }
    }
    for _ in 0..8 {
        let refused = within("a refusal", calls.join_next()).await.unwrap().unwrap();
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(refused.message(), "the issuer is busy");
    }
    lock.unlock().unwrap();
    for _ in 0..32 {
        within("an answer", calls.join_next()).await.unwrap().unwrap().unwrap();
    }
    assert!(calls.is_empty());
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    let desk = Desk::ready();
    let issuer = serve(&desk, &[]);
    let text = token(&desk, &issuer, "client", "app", &[]);
    // More than the 64 there is room for, so that the join waits behind some of them.
    let mut flood: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address(&issuer)).unwrap();
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
        flood.push(stream);
    }
    join(&desk.folder.path().join("app"), &text, &[]).good();
    for mut stream in flood {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // An end or a reset, but no silence.
        if let Err(error) = stream.read_to_end(&mut Vec::new()) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "still open");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_connections_a_thousand_stay_open_and_places_come_back() {
    const MOST: usize = 1024;
    let desk = Desk::ready();
    let mut issuer = serve(&desk, &[]);
    let text = token(&desk, &issuer, "client", "app", &[]);
    let (at, config) = (address(&issuer), believing());
    let mut open = Vec::new();
    while open.len() < MOST {
        let mut dialling = JoinSet::new();
        for _ in 0..32 {
            dialling.spawn(connect(at, HERE, Arc::clone(&config)));
        }
        while let Some(dialled) = within("a handshake", dialling.join_next()).await {
            open.push(dialled.unwrap().unwrap());
        }
    }
    assert!(connect(at, HERE, Arc::clone(&config)).await.is_err(), "one more is open");
    issuer.process.wait_line("why", |line| {
        line.contains("connection closed: too many are open").then_some(())
    });
    let mut first = open.swap_remove(0);
    // The others are served: what a server of HTTP/2 says first is there.
    within("the settings", first.read_u8()).await.unwrap();
    drop((first, open));
    let home = desk.folder.path().join("app");
    crate::support::wait::eventually("a place", || {
        (join(&home, &text, &[]).code == Some(0)).then_some(())
    });
}
