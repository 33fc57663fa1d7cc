//! A look at a server through a handshake.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::args::Words;
use super::context;
use super::report::Refusal;
use crate::config::{Tls, TlsLimits};
use crate::transport::{HandshakeFault, Material, Seen, TlsError, probe, speaks_plaintext};
use crate::types::url::{Scheme, Url};

/// How long a connection, and then a handshake, may take unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far a look at a server came.
pub(super) enum Look {
    /// Nobody can be reached.
    Unreachable(io::Error),
    /// Somebody was, and this was seen.
    Seen(Seen),
}

/// What is shown to a server, and how long one waits for it.
pub(super) struct Looking {
    material: Option<Material>,
    patience: Duration,
}

impl Looking {
    /// Shows the pair of `--cert` and `--key`, or `pair` when there is none.
    ///
    /// # Errors
    /// If the pair cannot be used.
    pub(super) fn with(words: &Words, pair: Option<(&Path, &Path)>) -> Result<Self, Refusal> {
        let given = [words.get("cert"), words.get("key")];
        let (cert, key) = match given {
            [None, None] => {
                (pair.map(|pair| pair.0.to_owned()), pair.map(|pair| pair.1.to_owned()))
            }
            _ => (given[0].map(Into::into), given[1].map(Into::into)),
        };
        let tls = Tls { cert_file: cert, key_file: key, ..Tls::default() };
        let material = Material::load(&tls, &TlsLimits::default());
        let material = material.map_err(|error| Refusal::Failed(error.to_string()))?;
        let patience = words.pause("timeout", PATIENCE)?;
        Ok(Self { material: Some(material), patience })
    }

    /// Shows nothing.
    pub(super) fn unknown(words: &Words) -> Result<Self, Refusal> {
        Ok(Self { material: None, patience: words.pause("timeout", PATIENCE)? })
    }

    /// Whether there is a certificate to show.
    pub(super) fn shows(&self) -> bool {
        self.material.as_ref().is_some_and(|material| material.certificate().is_some())
    }

    /// Makes the handshake.
    ///
    /// # Errors
    /// If the name is none a certificate could be for.
    pub(super) fn look(&self, url: &Url, name: &str) -> Result<Look, Refusal> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Refusal::Misuse(format!("{name:?} is neither a host name nor an address"))
        })?;
        context::block_on(async {
            let stream = match self.connect(url).await {
                Ok(stream) => stream,
                Err(error) => return Ok(Look::Unreachable(error)),
            };
            let seen = probe(stream, name, self.material.as_ref(), self.patience).await;
            let mut seen = seen.map_err(|error| Refusal::Failed(error.to_string()))?;
            // Some servers answer TLS on a plaintext port by going away.
            if seen.chain.is_empty()
                && seen.fault == Some(HandshakeFault::Closed)
                && let Ok(stream) = self.connect(url).await
                && speaks_plaintext(stream, self.patience).await
            {
                seen.fault = Some(HandshakeFault::Plaintext);
            }
            Ok(Look::Seen(seen))
        })?
    }
}

impl Looking {
    async fn connect(&self, url: &Url) -> io::Result<TcpStream> {
        let connecting = tokio::time::timeout(self.patience, TcpStream::connect(&url.authority));
        connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Reads a certificate and its key as a server would.
///
/// # Errors
/// What the server would say.
pub(super) fn load_pair(certificate: &Path, key: &Path) -> Result<Material, TlsError> {
    let (cert_file, key_file) = (Some(certificate.to_owned()), Some(key.to_owned()));
    Material::load(&Tls { cert_file, key_file, ..Tls::default() }, &TlsLimits::default())
}

/// The address in a word: `https://host:port`, or `host:port`.
pub(super) fn url(word: &str) -> Result<Url, Refusal> {
    let text = if word.contains("://") { word.to_owned() } else { format!("https://{word}") };
    let url = Url::parse(&text).map_err(|error| Refusal::Misuse(error.to_string()))?;
    if url.scheme.is_unix() {
        let hint = "is a Unix socket; certificates are looked at over TCP";
        return Err(Refusal::Misuse(format!("{word} {hint}")));
    }
    Ok(url)
}

/// Whether a URL asks for TLS.
pub(super) fn asks_for_tls(url: &Url) -> bool {
    url.scheme == Scheme::Https
}

/// Why nobody was reached, and what to do.
pub(super) fn explain(error: &io::Error, url: &Url) -> (String, String) {
    let address = &url.authority;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            format!("{address} refuses connections: nothing listens there"),
            "start the server, and compare the address with its --listen-client-urls: a server that \
             listens on 127.0.0.1 is not reached from other machines"
                .to_owned(),
        ),
        io::ErrorKind::TimedOut => (
            format!("{address} does not answer"),
            "look at firewalls between here and there, and whether the machine is up".to_owned(),
        ),
        _ if url.host().parse::<IpAddr>().is_err() => (
            format!("{address}: {error}"),
            "the name may not resolve here: try the address".to_owned(),
        ),
        _ => (format!("{address}: {error}"), "look at the network to that machine".to_owned()),
    }
}

/// What is in a chain, one certificate after the other.
pub(super) fn facts(seen: &Seen, url: &Url) -> Result<Vec<crate::certs::Facts>, Refusal> {
    let what = url.to_string();
    let read = |der: &Vec<u8>| crate::certs::Facts::from_der(&what, der);
    seen.chain.iter().map(read).collect::<Result<_, _>>().map_err(Into::into)
}

/// The file `--cacert` names, or the root of the directory.
pub(super) fn cacert(words: &Words) -> Result<Option<std::path::PathBuf>, Refusal> {
    if let Some(path) = words.get("cacert") {
        return context::absolute(path).map(Some);
    }
    let root = context::layout(words)?.root();
    Ok(root.is_file().then_some(root))
}
