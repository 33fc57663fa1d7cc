//! What to do about servers that cannot be reached: a line for each on standard error, beside the
//! original's messages, which tell the time that passed and not the reason.

use std::io::ErrorKind;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::client::{Client, Endpoint, Failed};
use crate::transport::{DialError, Distrust, HandshakeFault, probe, speaks_plaintext};

/// How long a server may take to show which protocol it speaks.
const PATIENCE: Duration = Duration::from_millis(500);

/// Writes what is known about the endpoints of a call that failed without a word from a server.
pub(super) async fn give(client: &Client, status: &Status) {
    let silent = [Code::DeadlineExceeded, Code::Unavailable, Code::Unknown, Code::Internal];
    if !silent.contains(&status.code()) || status.message().starts_with("etcdserver: ") {
        return;
    }
    for failed in client.unreached() {
        let (reason, advice) = of_failure(&failed, client.shows_certificate()).await;
        eprintln!("hint: {}: {reason}; {advice}", failed.endpoint.text);
    }
}

async fn of_failure(failed: &Failed, shows: bool) -> (String, String) {
    let Some(error) = &failed.error else {
        return told(
            "no answer within the dial timeout",
            "look at firewalls on the way, and whether the machine is up",
        );
    };
    match error.handshake() {
        Some(HandshakeFault::Closed) if is_plaintext(&failed.endpoint).await => plaintext(),
        Some(fault) => of_handshake(fault, shows),
        None if matches!(**error, DialError::Greeting { .. })
            && speaks_tls(&failed.endpoint).await =>
        {
            encrypted()
        }
        None => of_connection(error),
    }
}

fn told(reason: &str, advice: &str) -> (String, String) {
    (reason.to_owned(), advice.to_owned())
}

fn of_connection(error: &DialError) -> (String, String) {
    match error {
        DialError::Connect { source, .. } if source.kind() == ErrorKind::ConnectionRefused => told(
            "nothing listens there",
            "start the server, or compare the endpoint with its --listen-client-urls",
        ),
        DialError::Connect { source, .. } => {
            (source.to_string(), "compare the endpoint with the server's address".to_owned())
        }
        DialError::Greeting { .. } => {
            told("what answers there is no etcd", "compare the endpoint's port with the server's")
        }
        other => (other.to_string(), "name the server by its DNS name or address".to_owned()),
    }
}

fn encrypted() -> (String, String) {
    told(
        "the server speaks TLS and was spoken to in plaintext",
        "write https:// in the endpoint, and name whom to trust with --cacert",
    )
}

fn plaintext() -> (String, String) {
    told("the server speaks plaintext on this port", "write http:// in the endpoint")
}

fn of_handshake(fault: HandshakeFault, shows: bool) -> (String, String) {
    match fault {
        HandshakeFault::Plaintext => plaintext(),
        HandshakeFault::Untrusted(why) => of_distrust(why),
        HandshakeFault::Certificate(_) if !shows => {
            told("the server demands a client certificate", "give one with --cert and --key")
        }
        HandshakeFault::Certificate(word) => of_alert(&word),
        HandshakeFault::Incompatible(word) => (
            format!("no protocol version, cipher suite or kind of certificate in common ({word})"),
            "compare the server's --tls-min-version and --cipher-suites, and give it a certificate on the \
             curve P-256 or P-384: those on P-521, which `etcd --auto-tls` makes, are taken with \
             --insecure-skip-tls-verify alone"
                .to_owned(),
        ),
        HandshakeFault::Closed => told(
            "the server ends the connection during the handshake",
            "its log says why; if it knows only plaintext, write http:// in the endpoint",
        ),
        HandshakeFault::Silent => told(
            "the server says nothing during the handshake",
            "something else may listen there: compare the port",
        ),
        HandshakeFault::Other(why) => (why, "its log says why".to_owned()),
    }
}

fn of_distrust(why: Distrust) -> (String, String) {
    match why {
        Distrust::UnknownIssuer => told(
            "its certificate is of an authority that is not trusted here",
            "give the authority's certificate with --cacert (from `etcd cert init`: ca.crt)",
        ),
        Distrust::Expired => told(
            "its certificate has expired",
            "renew it on the server (`etcd cert renew`), or look at this machine's clock",
        ),
        Distrust::NotYetValid => told(
            "its certificate is not valid yet",
            "look at the clocks of both machines",
        ),
        Distrust::Name(names) if names.is_empty() => told(
            "its certificate is for another name",
            "name the server as its certificate does",
        ),
        Distrust::Name(names) => (
            format!("its certificate is for {}", names.join(", ")),
            "name the server so, or issue a certificate with this name (`etcd cert renew server --san`)"
                .to_owned(),
        ),
        Distrust::Revoked => {
            told("its certificate was revoked", "issue a new one for the server (`etcd cert issue`)")
        }
        Distrust::Other(why) => (why, "`etcd cert verify` looks at it in detail".to_owned()),
    }
}

/// What the server's alert says about the certificate shown to it.
fn of_alert(word: &str) -> (String, String) {
    match word {
        "UnknownCA" | "CertificateUnknown" => told(
            "the server does not trust the authority of --cert",
            "have a client certificate issued by the cluster's authority (`etcd cert issue`)",
        ),
        "CertificateExpired" => told(
            "the certificate in --cert has expired",
            "renew it (`etcd cert renew`), or look at the clocks of both machines",
        ),
        "CertificateRevoked" => {
            told("the certificate in --cert was revoked", "have a new one issued (`etcd cert issue`)")
        }
        "CertificateRequired" => told(
            "the server demands a client certificate of an authority it names, and --cert is of another",
            "have one issued by the cluster's authority (`etcd cert issue`)",
        ),
        other => (
            format!("the server refuses the certificate in --cert ({other})"),
            "its log says why: it may have expired, or be of an authority the server does not trust"
                .to_owned(),
        ),
    }
}

async fn connect(endpoint: &Endpoint) -> Option<TcpStream> {
    if endpoint.url.scheme.is_unix() {
        return None;
    }
    let connecting = TcpStream::connect(&endpoint.url.authority);
    tokio::time::timeout(PATIENCE, connecting).await.ok()?.ok()
}

async fn is_plaintext(endpoint: &Endpoint) -> bool {
    match connect(endpoint).await {
        Some(stream) => speaks_plaintext(stream, PATIENCE).await,
        None => false,
    }
}

async fn speaks_tls(endpoint: &Endpoint) -> bool {
    let Ok(name) = ServerName::try_from(endpoint.url.host().to_owned()) else { return false };
    let Some(stream) = connect(endpoint).await else { return false };
    let seen = probe(stream, name, None, PATIENCE).await;
    seen.is_ok_and(|seen| !seen.chain.is_empty())
}
