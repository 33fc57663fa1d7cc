//! Where everything lies below one directory.

use std::path::{Path, PathBuf};

use crate::certs::CertError;
use crate::certs::issue::Purpose;
use crate::types::hex::hex;

/// Which of the two issuing authorities: they are apart so that a client can never pass for a
/// member, whatever its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Signs what servers and clients show on client ports.
    Client,
    /// Signs what members show each other.
    Peer,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Client, Self::Peer];

    /// `client` or `peer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Peer => "peer",
        }
    }
}

impl Purpose {
    /// The authority that signs such certificates.
    pub const fn side(self) -> Side {
        match self {
            Self::Server | Self::Client => Side::Client,
            Self::Peer => Side::Peer,
        }
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by that of its issuer.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The same name as a key's or request's with another ending, before the suffix some directories put behind all
/// names.
pub fn sibling(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for old in [".key", ".csr"] {
        if let Some((stem, suffix)) = name.rsplit_once(old) {
            return path.with_file_name(format!("{stem}.{ending}{suffix}"));
        }
    }
    path.with_file_name(format!("{name}.{ending}"))
}

/// Ends the names of files that must not be mistaken for real ones.
pub const INSECURE: &str = ".insecure";

/// The paths below one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
    /// Follows every file name; empty as a rule.
    suffix: &'static str,
}

impl Layout {
    /// The layout of `dir`; all its names carry [`INSECURE`] if that of the root does.
    pub fn of(dir: &Path) -> Self {
        let plain = Self { dir: dir.to_owned(), suffix: "" };
        let marked = plain.clone().insecure();
        if !plain.root().exists() && marked.root().exists() { marked } else { plain }
    }

    /// A layout with the suffix of this one in another directory.
    #[must_use]
    pub fn in_dir(&self, dir: &Path) -> Self {
        Self { dir: dir.to_owned(), suffix: self.suffix }
    }

    /// The same directory, whose files are to carry [`INSECURE`].
    #[must_use]
    pub fn insecure(self) -> Self {
        Self { suffix: INSECURE, ..self }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What follows every file name; empty as a rule.
    pub fn suffix(&self) -> &'static str {
        self.suffix
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{}", self.suffix))
    }

    /// The root's certificate: what clients trust.
    pub fn root(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// The certificate of an issuing authority: what a listener trusts.
    pub fn authority(&self, side: Side) -> PathBuf {
        self.file(&format!("{}-ca.crt", side.as_str()))
    }

    /// The revocation list of an issuing authority.
    pub fn revocations(&self, side: Side) -> PathBuf {
        self.file(&format!("{}.crl", side.as_str()))
    }

    /// The authorities' own directory.
    pub fn ca_dir(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// The root's key, needed only to make issuing authorities.
    pub fn root_key(&self) -> PathBuf {
        self.file("ca/root.key")
    }

    /// The key of an issuing authority.
    pub fn authority_key(&self, side: Side) -> PathBuf {
        self.file(&format!("ca/{}-ca.key", side.as_str()))
    }

    /// Copies of everything that was signed.
    pub fn issued_dir(&self) -> PathBuf {
        self.dir.join("ca/issued")
    }

    /// The copy of the certificate with this serial number.
    pub fn issued(&self, serial: &[u8]) -> PathBuf {
        self.issued_dir().join(format!("{}.crt", hex(serial)))
    }

    /// What the issuer itself shows, to whoever asks it and to the cluster.
    pub fn issuer_pair(&self, purpose: Purpose) -> Files {
        match purpose {
            Purpose::Client => self.files("ca/issuer/client"),
            Purpose::Server | Purpose::Peer => self.files("ca/issuer/server"),
        }
    }

    /// Where this machine's certificates are renewed.
    pub fn issuer(&self) -> PathBuf {
        self.file("issuer.json")
    }

    /// Certificates of clients.
    pub fn clients_dir(&self) -> PathBuf {
        self.dir.join("clients")
    }

    /// Directories prepared for other machines.
    pub fn nodes_dir(&self) -> PathBuf {
        self.dir.join("nodes")
    }

    /// What this machine's server (or member) shows, or a client of that name.
    pub fn pair(&self, purpose: Purpose, name: &str) -> Files {
        match purpose {
            Purpose::Server => self.files("server"),
            Purpose::Peer => self.files("peer"),
            Purpose::Client => self.files(&format!("clients/{name}")),
        }
    }

    /// A pair with this path below the directory.
    pub fn files(&self, stem: &str) -> Files {
        Files {
            certificate: self.file(&format!("{stem}.crt")),
            key: self.file(&format!("{stem}.key")),
        }
    }

    /// Every pair there is a certificate of: this machine's, the clients', those prepared for other
    /// machines; each with its path below the directory without `.crt`, sorted.
    pub fn leaves(&self) -> Vec<(String, Files)> {
        let mut stems = ["server".to_owned(), "peer".to_owned()].to_vec();
        stems.extend(self.stems_in("clients"));
        let mut nodes = Vec::new();
        for entry in std::fs::read_dir(self.nodes_dir()).into_iter().flatten().flatten() {
            let node = entry.file_name().to_string_lossy().into_owned();
            nodes.extend(["server", "peer"].map(|role| format!("nodes/{node}/{role}")));
        }
        nodes.sort_unstable();
        stems.extend(nodes);
        let pairs = stems.into_iter().map(|stem| {
            let files = self.files(&stem);
            (stem, files)
        });
        pairs.filter(|(_, files)| files.certificate.is_file()).collect()
    }

    fn stems_in(&self, folder: &str) -> Vec<String> {
        let end = format!(".crt{}", self.suffix);
        let entries = std::fs::read_dir(self.dir.join(folder)).into_iter().flatten().flatten();
        let mut stems: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(&end).map(|stem| format!("{folder}/{stem}")))
            .collect();
        stems.sort_unstable();
        stems
    }
}

/// Refuses what is no file name or no common name (at most 64 characters, RFC 5280).
///
/// # Errors
/// Says which rule the name breaks.
pub fn check_name(name: &str) -> Result<(), CertError> {
    let fault = |detail| Err(CertError::Name { name: name.to_owned(), detail });
    if name.is_empty() || name.chars().count() > 64 {
        return fault("it must have 1 to 64 characters");
    }
    if name.starts_with(['.', '-']) {
        return fault("it must not begin with a dot or a dash");
    }
    if name.contains(|letter: char| letter == '/' || letter.is_control()) {
        return fault("it must not contain a slash or control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_keep_their_suffix() {
        assert_eq!(sibling(Path::new("/a/server.key"), "csr"), Path::new("/a/server.csr"));
        assert_eq!(sibling(Path::new("/a/b.csr.insecure"), "crt"), Path::new("/a/b.crt.insecure"));
        assert_eq!(sibling(Path::new("/a/request"), "crt"), Path::new("/a/request.crt"));
    }
}
