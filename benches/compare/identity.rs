//! Certificates for both sides, or none for plaintext.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcd::certs::{Authority, Leaf, Purpose, Validity, write_certificate, write_key};
use etcd::config::{Tls, TlsLimits};
use etcd::transport::Material;
use etcd::types::clock::Clock;
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::Error;
use crate::wire::Wire;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How client and server know each other.
pub(crate) struct Identity {
    folder: TempDir,
    client: Option<Arc<ClientConfig>>,
}

impl Identity {
    /// Makes an authority and one certificate for each side; none of it is used in plaintext.
    pub(crate) fn new(plain: bool) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let validity = Validity::starting(Clock.unix(), DAY);
        let authority = Authority::create("benchmark", validity)?;
        write_certificate(&folder.path().join("ca.crt"), authority.certificate())?;
        for (name, purpose) in
            [("server", Purpose::Server), ("client", Purpose::Client), ("peer", Purpose::Peer)]
        {
            let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let common_name = name.to_owned();
            let issued = authority.issue(&Leaf { common_name, hosts, purpose, validity })?;
            write_certificate(&folder.path().join(format!("{name}.crt")), &issued.certificate)?;
            write_key(&folder.path().join(format!("{name}.key")), &issued.key)?;
        }
        let mut identity = Self { folder, client: None };
        if !plain {
            let files = Tls {
                cert_file: Some(identity.file("client.crt")),
                key_file: Some(identity.file("client.key")),
                trusted_ca_file: Some(identity.file("ca.crt")),
                ..Tls::default()
            };
            let material = Material::load(&files, &TlsLimits::default())?;
            identity.client = Some(Arc::new(material.client_config(false)?));
        }
        Ok(identity)
    }

    /// Whether nothing is encrypted.
    pub(crate) fn is_plain(&self) -> bool {
        self.client.is_none()
    }

    /// The scheme of the servers' URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_plain() { "http" } else { "https" }
    }

    /// How the tables call it.
    pub(crate) fn name(&self) -> &'static str {
        if self.is_plain() { "plaintext" } else { "mutual TLS" }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a server must be told.
    pub(crate) fn server_flags(&self) -> Vec<String> {
        if self.is_plain() {
            return Vec::new();
        }
        vec![
            format!("--cert-file={}", self.file("server.crt").display()),
            format!("--key-file={}", self.file("server.key").display()),
            format!("--trusted-ca-file={}", self.file("ca.crt").display()),
            "--client-cert-auth".to_owned(),
        ]
    }

    /// What a member of several must be told besides.
    pub(crate) fn peer_flags(&self) -> Vec<String> {
        if self.is_plain() {
            return Vec::new();
        }
        vec![
            format!("--peer-cert-file={}", self.file("peer.crt").display()),
            format!("--peer-key-file={}", self.file("peer.key").display()),
            format!("--peer-trusted-ca-file={}", self.file("ca.crt").display()),
            "--peer-client-cert-auth".to_owned(),
        ]
    }

    /// What `etcdctl` must be told.
    pub(crate) fn tool_flags(&self, address: &str) -> Vec<String> {
        let mut flags = vec![format!("--endpoints={}://{address}", self.scheme())];
        if !self.is_plain() {
            flags.extend([
                format!("--cacert={}", self.file("ca.crt").display()),
                format!("--cert={}", self.file("client.crt").display()),
                format!("--key={}", self.file("client.key").display()),
            ]);
        }
        flags
    }

    /// Opens so many connections.
    pub(crate) async fn connect(&self, address: &str, many: usize) -> Result<Vec<Wire>, Error> {
        let mut wires = Vec::new();
        for _ in 0..many {
            wires.push(Wire::connect(self.scheme(), address, self.client.as_ref()).await?);
        }
        Ok(wires)
    }
}
