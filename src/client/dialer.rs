//! Finds an endpoint that answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use rustls::ClientConfig;

use super::{ClientError, Endpoint, Options, parse_endpoints};
use crate::config::TlsLimits;
use crate::transport::{Connection, DialError, Material, dial_as, greet, random};

/// Pauses between rounds over endpoints of which none answers.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long one endpoint is waited for before the next is tried beside it (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// An endpoint that could not be connected to.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which.
    pub endpoint: Endpoint,
    /// Why; nothing if it did not answer within the dial timeout.
    pub error: Option<Arc<DialError>>,
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(out, "{error}"),
            None => write!(out, "dial {}: i/o timeout", self.endpoint.url.authority),
        }
    }
}

/// Connects to one of several endpoints.
pub(super) struct Dialer {
    pub(super) endpoints: Vec<Endpoint>,
    tls: Option<Arc<ClientConfig>>,
    server_name: Option<String>,
    pub(super) shows_certificate: bool,
    timeout: Duration,
    wait: bool,
    /// Where the last connection went: the one to try first.
    current: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
}

impl Dialer {
    /// A dialer that begins anywhere, so that many clients spread over all endpoints.
    pub(super) fn new(options: &Options) -> Result<Self, ClientError> {
        let endpoints = parse_endpoints(&options.endpoints, options.tls.is_some())?;
        let encrypted = endpoints.iter().any(|endpoint| endpoint.url.scheme.is_tls());
        let tls = if encrypted {
            let files = options.tls.clone().unwrap_or_default();
            // Whose key it is, and who may read it, is the user's affair in a tool.
            let limits = TlsLimits { loose_keys: true, ..TlsLimits::default() };
            let material = Material::load(&files, &limits)?;
            Some(Arc::new(material.client_config(options.insecure_skip_verify)?))
        } else {
            None
        };
        let chance = if endpoints.len() > 1 { usize::from_ne_bytes(random()?) } else { 0 };
        Ok(Self {
            endpoints,
            tls,
            server_name: options.server_name.clone(),
            shows_certificate: options.tls.as_ref().is_some_and(|tls| tls.cert_file.is_some()),
            timeout: options.dial_timeout,
            wait: options.wait_for_ready,
            current: AtomicUsize::new(chance),
            failed: Mutex::new(Vec::new()),
        })
    }

    /// Makes the next connection begin with another endpoint than the last one.
    pub(super) fn move_on(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// The endpoints that failed in the last round, if it found none.
    pub(super) fn failed(&self) -> Vec<Failed> {
        self.failed.lock().clone()
    }

    pub(super) async fn connect(&self) -> std::io::Result<Connection> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.one_round().await {
                Ok(connection) => return Ok(connection),
                Err(failed) if !self.wait => {
                    let texts: Vec<String> = failed.iter().map(ToString::to_string).collect();
                    return Err(std::io::Error::other(texts.join("; ")));
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Tries every endpoint once, beginning with the one that answered last. The next is tried when
    /// one has failed, and beside one that keeps silent; the first that answers is taken.
    pub(super) async fn one_round(&self) -> Result<Connection, Vec<Failed>> {
        let count = self.endpoints.len();
        let first = self.current.load(Ordering::Relaxed) % count.max(1);
        let mut places =
            self.endpoints.iter().enumerate().cycle().skip(first).take(count).peekable();
        let mut failed = Vec::new();
        let mut attempts = FuturesUnordered::new();
        attempts.extend(places.next().map(|(at, endpoint)| self.dial(at, endpoint)));
        loop {
            tokio::select! {
                ended = attempts.next() => match ended {
                    Some(Ok((at, connection))) => {
                        self.current.store(at, Ordering::Relaxed);
                        self.failed.lock().clear();
                        return Ok(connection);
                    }
                    Some(Err(one)) => failed.push(one),
                    None => break,
                },
                () = tokio::time::sleep(HEAD_START), if places.peek().is_some() => {}
            }
            attempts.extend(places.next().map(|(at, endpoint)| self.dial(at, endpoint)));
        }
        self.failed.lock().clone_from(&failed);
        Err(failed)
    }

    async fn dial(&self, at: usize, endpoint: &Endpoint) -> Result<(usize, Connection), Failed> {
        let failed = |error| Failed { endpoint: endpoint.clone(), error };
        let dialling = async {
            // One that hangs must show before it is sent anything.
            if !endpoint.url.scheme.is_tls() {
                greet(&endpoint.url).await?;
            }
            dial_as(&endpoint.url, self.tls.as_ref(), self.server_name.as_deref()).await
        };
        let result = if self.timeout.is_zero() {
            dialling.await
        } else {
            match tokio::time::timeout(self.timeout, dialling).await {
                Ok(result) => result,
                Err(_) => return Err(failed(None)),
            }
        };
        let connection = result.map_err(|error| failed(Some(Arc::new(error))))?;
        Ok((at, connection))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A listener that takes connections and says `answer` once it was spoken to.
    #[expect(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]
    async fn listener(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 64]).await;
                stream.write_all(answer).await.unwrap();
                open.push(stream);
            }
        });
        address
    }

    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

    async fn closed() -> String {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap().to_string()
    }

    /// A dialer that would wait for ever for one endpoint alone, beginning with the first.
    fn dialer(endpoints: &[&String]) -> Dialer {
        let endpoints = endpoints.iter().map(ToString::to_string).collect();
        let options = Options { endpoints, dial_timeout: Duration::ZERO, ..Options::default() };
        let dialer = Dialer::new(&options).unwrap();
        dialer.current.store(0, Ordering::Relaxed);
        dialer
    }

    #[tokio::test]
    async fn silent_and_closed_endpoints_are_passed_over_wherever_they_stand() {
        let (silent, other) =
            (listener(b"").await, listener(b"HTTP/1.1 400 Bad Request\r\n").await);
        let (closed, live) = (closed().await, listener(SETTINGS).await);
        let endpoints = [&silent, &closed, &other, &live];
        for first in 0..endpoints.len() {
            let dialer = dialer(&endpoints);
            dialer.current.store(first, Ordering::Relaxed);
            assert!(dialer.one_round().await.is_ok(), "{first}");
            assert_eq!(dialer.current.load(Ordering::Relaxed), 3, "{first}");
        }
    }

    #[tokio::test]
    async fn every_endpoint_that_failed_is_named() {
        let (one, two) = (closed().await, listener(b"HTTP/1.1 400 Bad Request\r\n").await);
        let dialer = dialer(&[&one, &two]);
        assert!(dialer.one_round().await.is_err());
        let failed = dialer.failed();
        let endpoints: Vec<&str> = failed.iter().map(|one| one.endpoint.text.as_str()).collect();
        assert_eq!(endpoints, [&one, &two]);
        assert!(failed[0].to_string().starts_with(&format!("dial tcp {one}: connect: ")));
        assert!(failed[1].to_string().starts_with(&format!("dial {two}: no HTTP/2 server")));
    }

    #[tokio::test]
    async fn a_client_that_moves_on_begins_with_the_next() {
        let (one, two) = (listener(SETTINGS).await, listener(SETTINGS).await);
        let dialer = dialer(&[&one, &two]);
        dialer.move_on();
        assert!(dialer.one_round().await.is_ok());
        assert_eq!(dialer.current.load(Ordering::Relaxed), 1);
        dialer.move_on();
        assert!(dialer.one_round().await.is_ok());
        assert_eq!(dialer.current.load(Ordering::Relaxed), 0);
    }
}
