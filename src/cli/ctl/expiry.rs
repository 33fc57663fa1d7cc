//! When the certificate of a server expires, looked up with a handshake of its own.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::certs::Facts;
use crate::client::Client;
use crate::transport::probe;
use crate::types::clock::Clock;

/// How long to wait for it: the table is printed without it otherwise.
const PATIENCE: Duration = Duration::from_secs(2);
const DAY: i64 = 86_400;

/// In words, for the first endpoint of a client; `None` when it is not reached by TLS over TCP.
pub(super) async fn of(client: &Client) -> Option<String> {
    let url = &client.endpoints().first()?.url;
    if !url.scheme.is_tls() || url.scheme.is_unix() {
        return None;
    }
    Some(look(url.host(), &url.authority).await.map_or_else(|| "unknown".to_owned(), in_words))
}

/// The last second of validity, Unix time. Certificates are believed here whatever they say: the
/// connection that answered was verified, this only reads a date.
async fn look(host: &str, authority: &str) -> Option<i64> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(authority));
    let stream = connecting.await.ok()?.ok()?;
    let seen = probe(stream, name, None, PATIENCE).await.ok()?;
    Facts::from_der(authority, seen.chain.first()?).ok().map(|facts| facts.not_after)
}

fn in_words(not_after: i64) -> String {
    let now = i64::try_from(Clock.unix().as_secs()).unwrap_or(i64::MAX);
    let left = not_after.saturating_sub(now);
    match (left, left / DAY) {
        (..0, _) => "EXPIRED".to_owned(),
        (_, 0) => "in less than a day".to_owned(),
        (_, 1) => "in 1 day".to_owned(),
        (_, days) => format!("in {days} days"),
    }
}
