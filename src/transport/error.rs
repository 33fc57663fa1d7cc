//! What can be wrong with TLS material and listeners.

use std::path::PathBuf;

/// Why TLS material cannot be used. The texts name the file and say what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate without its key, or the other way round.
    #[error("KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")]
    HalfPair {
        /// The key's path, empty when it was not given.
        key: String,
        /// The certificate's path, empty when it was not given.
        cert: String,
    },
    /// As [`Self::HalfPair`], for the certificate shown when dialling.
    #[error(
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {cert}"
    )]
    HalfClientPair {
        /// The key's path, empty when it was not given.
        key: String,
        /// The certificate's path, empty when it was not given.
        cert: String,
    },
    /// A listener wants TLS and there is no certificate.
    #[error(
        "KeyFile and CertFile are not presented: a TLS listener needs a certificate and its key"
    )]
    NoCertificate,
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {source}; check the path and that this user may read it")]
    Read {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is read but does not hold what it should.
    #[error("{what} {path}: {detail}")]
    Content {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What was found instead and what to do.
        detail: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "the key in {key} does not belong to the certificate in {cert}: issue both together, or put \
         the matching ones side by side"
    )]
    KeyMismatch {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        cert: PathBuf,
    },
    /// Somebody else may have read the key.
    #[error(
        "private key {key} has mode {mode:04o}: every user of this machine can reach it; expected 0600 or \
         0640: run `chmod 600 {key}`, or set --allow-loose-modes where it cannot be otherwise"
    )]
    LooseMode {
        /// The key file.
        key: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The certificate is over. Only a reload refuses this: a start merely warns, as etcd's does.
    #[error("the certificate in {path} is not valid now: {detail}; the one in use is kept")]
    NotValidNow {
        /// The certificate file.
        path: PathBuf,
        /// Since when or from when.
        detail: String,
    },
    /// Versions and suites that leave nothing to speak.
    #[error("min version ({min}) is greater than max version ({max})")]
    Versions {
        /// Lowest version asked for.
        min: &'static str,
        /// Highest version asked for.
        max: &'static str,
    },
    /// Both ways of naming permitted clients.
    #[error(
        "AllowedCN and AllowedHostname are mutually exclusive (cn={cn:?}, hostname={hostname:?})"
    )]
    AllowedBoth {
        /// Common names.
        cn: String,
        /// Host names.
        hostname: String,
    },
    /// Client certificates are to be verified and nothing is trusted.
    #[error(
        "client certificates cannot be verified: no trusted CA file is given and the system has no CA \
         bundle; set --trusted-ca-file"
    )]
    NoRoots,
    /// The TLS library refuses the combination.
    #[error("TLS set-up refused: {0}")]
    Setup(String),
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A socket that was passed on is of another kind.
    #[error(
        "socket {number} ({name:?}) of the service manager cannot be used: {source}; ListenStream= opens \
         sockets that can"
    )]
    NoSocket {
        /// Its number among those passed on, from zero.
        number: usize,
        /// What the unit calls it.
        name: String,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// A socket that was passed on is for no listener of the configuration.
    #[error(
        "socket {number} ({name:?}) at {address} of the service manager fits no URL to listen at: give it \
         the address of one, or FileDescriptorName=client or peer and the port of one"
    )]
    Unclaimed {
        /// Its number among those that are left, from zero.
        number: usize,
        /// What the unit calls it.
        name: String,
        /// Where it listens.
        address: String,
    },
    /// The address cannot be taken.
    #[error("listen {network} {address}: bind: {source}")]
    Bind {
        /// `tcp` or `unix`.
        network: &'static str,
        /// What was to be bound.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The host name leads nowhere.
    #[error(
        "listen tcp {address}: lookup failed: {source}; use an IP address or fix the name's resolution"
    )]
    Resolve {
        /// What was to be bound.
        address: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// There is a file where the socket should be.
    #[error("listen unix {path}: the file exists and is not a socket; move it away")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another process answers on the socket.
    #[error("listen unix {path}: bind: address already in use; another process answers on it")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// A TLS URL without anything to prove an identity with.
    #[error(
        "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
    )]
    NoCredentials {
        /// The URL.
        url: String,
    },
}
