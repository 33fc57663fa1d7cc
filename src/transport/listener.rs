//! Opens the sockets behind the URLs of the configuration.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use super::error::BindError;
use super::inherited::{Inherited, Open};
use super::stream::Stream;
use crate::types::url::{Scheme, Url};

/// Connections the kernel holds ready before we take them; it cuts this to its own limit.
const BACKLOG: u32 = 4096;

/// Options of TCP sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindOptions {
    /// Lets several processes listen on one port (`--socket-reuse-port`).
    pub reuse_port: bool,
    /// `--socket-reuse-address`. The sockets have it in any case, as Go's do: otherwise a restart
    /// would have to wait for the kernel to forget old connections.
    pub reuse_address: bool,
}

/// An open socket that accepts nothing until it is served.
#[derive(Debug)]
pub struct Bound {
    url: Url,
    plain: bool,
    tls: bool,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// The file stays when it is somebody else's.
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

/// The file of a Unix socket; removed with the listener, as Go does.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing to be done if somebody else removed it first.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Opens the socket of one URL. Port 0 lets the system choose; [`Bound::url`] tells what it chose.
///
/// # Errors
/// If the name does not resolve or the address cannot be taken; the text is etcd's.
pub async fn bind(url: &Url, options: BindOptions) -> Result<Bound, BindError> {
    let (tls, plain) = (url.scheme.is_tls(), !url.scheme.is_tls());
    if url.scheme.is_unix() {
        let path = PathBuf::from(&url.authority);
        let listener = bind_unix(&path).await?;
        let socket = Socket::Unix { listener, _file: Some(SocketFile(path)) };
        return Ok(Bound { url: url.clone(), plain, tls, socket });
    }
    let listener = bind_tcp(url, options).await?;
    let mut url = url.clone();
    if let (Some(0), Ok(address)) = (url.port(), listener.local_addr()) {
        let host = url.authority.rsplit_once(':').map_or("", |(host, _)| host);
        url.authority = format!("{host}:{}", address.port());
    }
    Ok(Bound { url, plain, tls, socket: Socket::Tcp(listener) })
}

/// Opens the sockets of several URLs. `http` and `https` on one address share a socket, and the
/// first bytes of each connection decide; so do `unix` and `unixs`.
///
/// # Errors
/// The first URL that cannot be opened.
pub async fn bind_all(urls: &[Url], options: BindOptions) -> Result<Vec<Bound>, BindError> {
    bind_or_take(urls, options, "", &mut Inherited::default()).await
}

/// As [`bind_all`], with sockets in the place of those that `inherited` has for this list of URLs.
///
/// # Errors
/// The first URL that cannot be opened.
pub async fn bind_or_take(
    urls: &[Url],
    options: BindOptions,
    name: &str,
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, BindError> {
    let mut all: Vec<Bound> = Vec::new();
    for url in urls {
        let unix = url.scheme.is_unix();
        let shared = all.iter_mut().find(|bound| {
            // Port 0 is a new port each time, so nothing is shared.
            bound.url.scheme.is_unix() == unix
                && bound.url.authority == url.authority
                && (unix || url.port() != Some(0))
        });
        match shared {
            Some(bound) => {
                bound.plain |= !url.scheme.is_tls();
                bound.tls |= url.scheme.is_tls();
            }
            None => match inherited.take(name, url) {
                Some(open) => all.push(taken(url, open)?),
                None => all.push(bind(url, options).await?),
            },
        }
    }
    Ok(all)
}

/// A socket that somebody else opened; it tells its own address, which may be wider than the URL's.
fn taken(url: &Url, open: Open) -> Result<Bound, BindError> {
    let (tls, plain) = (url.scheme.is_tls(), !url.scheme.is_tls());
    let fault = |network| {
        let address = url.authority.clone();
        move |source| BindError::Bind { network, address, source }
    };
    let mut url = url.clone();
    let socket = match open {
        Open::Tcp(listener, address) => {
            url.authority = address.to_string();
            Socket::Tcp(TcpListener::from_std(listener).map_err(fault("tcp"))?)
        }
        Open::Unix(listener, path) => {
            url.authority = path;
            let listener = UnixListener::from_std(listener).map_err(fault("unix"))?;
            Socket::Unix { listener, _file: None }
        }
    };
    tracing::info!(address = %url, "took over a socket of the service manager");
    Ok(Bound { url, plain, tls, socket })
}

async fn bind_tcp(url: &Url, options: BindOptions) -> Result<TcpListener, BindError> {
    let address = url.authority.clone();
    // Go listens on every address when the host is left out.
    let name = if url.host().is_empty() { format!("[::]{address}") } else { address.clone() };
    let found = tokio::net::lookup_host(name).await;
    let mut found: Vec<SocketAddr> =
        found.map_err(|source| BindError::Resolve { address: address.clone(), source })?.collect();
    // Of several addresses behind a name Go takes the first IPv4 one.
    found.sort_by_key(SocketAddr::is_ipv6);
    let Some(target) = found.first().copied() else {
        let source = io::Error::new(io::ErrorKind::NotFound, "no such host");
        return Err(BindError::Resolve { address, source });
    };
    open_tcp(target, options).map_err(|source| BindError::Bind {
        network: "tcp",
        address: target.to_string(),
        source,
    })
}

fn open_tcp(target: SocketAddr, options: BindOptions) -> io::Result<TcpListener> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if options.reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(target)?;
    socket.listen(BACKLOG)
}

async fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    let address = path.display().to_string();
    let fault = |source| BindError::Bind { network: "unix", address: address.clone(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {
            // A socket nobody answers on was left by a process that was killed.
            if UnixStream::connect(path).await.is_ok() {
                return Err(BindError::InUse { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(fault)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fault(error)),
    }
    UnixListener::bind(path).map_err(fault)
}

impl Bound {
    /// The URL served, with the port the system chose if it was asked to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Every URL served on this socket: one, or the plain and the encrypted one.
    pub fn urls(&self) -> Vec<Url> {
        let unix = self.url.scheme.is_unix();
        let plain = if unix { Scheme::Unix } else { Scheme::Http };
        let tls = if unix { Scheme::Unixs } else { Scheme::Https };
        let with = |scheme| Url { scheme, authority: self.url.authority.clone() };
        let plain = self.plain.then(|| with(plain));
        plain.into_iter().chain(self.tls.then(|| with(tls))).collect()
    }

    /// Whether encrypted connections are served, so that credentials are needed.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether plain connections are served.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Takes the next connection and tells where it comes from.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Arc<str>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Answers are small and complete; waiting to fill a packet would cost 40 ms.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Arc::from(remote.to_string())))
            }
            Socket::Unix { listener, .. } => {
                let (stream, remote) = listener.accept().await?;
                let name = remote.as_pathname().map(|path| path.display().to_string());
                Ok((Box::new(stream), Arc::from(name.unwrap_or_else(|| "@".to_owned()))))
            }
        }
    }
}
