//! Certificates of one test: its own authority, a server, clients good and bad.

use std::path::PathBuf;
use std::time::Duration;

use etcd::certs::{Authority, Leaf, Purpose, Validity, write_certificate, write_key};
use etcd::config::Tls;
use etcd::types::clock::Clock;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Files in a folder that goes away with the test.
pub(crate) struct Pki {
    folder: TempDir,
    authority: Authority,
}

impl Pki {
    /// An authority in `ca.crt`, a stranger's in `stranger.crt`, and the pairs `server`, `client`,
    /// `expired` and `unknown` (signed by the stranger).
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create("test authority", valid()).unwrap();
        let stranger = Authority::create("stranger", valid()).unwrap();
        let pki = Self { folder, authority };
        write_certificate(&pki.file("ca.crt"), pki.authority.certificate()).unwrap();
        write_certificate(&pki.file("stranger.crt"), stranger.certificate()).unwrap();
        pki.issue("server", Purpose::Server, &["localhost", "127.0.0.1"], valid());
        pki.issue("client", Purpose::Client, &[], valid());
        let past = Clock.unix() - 10 * DAY;
        let over = Validity { from: past, until: past + DAY };
        pki.issue("expired", Purpose::Client, &[], over);
        pki.write("unknown", &stranger, Purpose::Client, &[], valid());
        pki
    }

    /// Writes `name.crt` and `name.key`, signed by the test's authority, over what was there.
    pub(crate) fn issue(&self, name: &str, purpose: Purpose, hosts: &[&str], validity: Validity) {
        self.write(name, &self.authority, purpose, hosts, validity);
    }

    /// Writes `list.crl` that revokes the certificate in `name.crt` and tells its path.
    pub(crate) fn revoke(&self, name: &str) -> PathBuf {
        let pem = std::fs::read(self.file(&format!("{name}.crt"))).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let serial = block.parse_x509().unwrap().raw_serial().to_vec();
        let list = self.authority.revoke(&[serial], 1, Clock.unix(), DAY).unwrap();
        write_certificate(&self.file("list.crl"), &list).unwrap();
        self.file("list.crl")
    }

    /// A list in DER that revokes the certificate in `name.crt`, signed by the test's authority.
    pub(crate) fn list(&self, name: &str, number: u64) -> Vec<u8> {
        let pem = std::fs::read(self.file(&format!("{name}.crt"))).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let serial = block.parse_x509().unwrap().raw_serial().to_vec();
        let list = self.authority.revoke(&[serial], number, Clock.unix(), DAY).unwrap();
        x509_parser::pem::parse_x509_pem(list.as_bytes()).unwrap().1.contents
    }

    fn write(
        &self,
        name: &str,
        authority: &Authority,
        purpose: Purpose,
        hosts: &[&str],
        validity: Validity,
    ) {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let leaf = Leaf { common_name: name.to_owned(), hosts, purpose, validity };
        let issued = authority.issue(&leaf).unwrap();
        write_certificate(&self.file(&format!("{name}.crt")), &issued.certificate).unwrap();
        write_key(&self.file(&format!("{name}.key")), &issued.key).unwrap();
    }

    /// Path of one of the files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Flags of a server that shows the pair `server` and demands client certificates.
    pub(crate) fn server_flags(&self) -> Vec<String> {
        let flag = |name: &str, file: &str| format!("--{name}={}", self.file(file).display());
        vec![
            flag("cert-file", "server.crt"),
            flag("key-file", "server.key"),
            flag("trusted-ca-file", "ca.crt"),
            "--client-cert-auth".to_owned(),
        ]
    }

    /// Flags of a member that shows the pair `peer` to other members and demands theirs.
    pub(crate) fn peer_flags(&self) -> Vec<String> {
        let flag = |name: &str, file: &str| format!("--peer-{name}={}", self.file(file).display());
        vec![
            flag("cert-file", "peer.crt"),
            flag("key-file", "peer.key"),
            flag("trusted-ca-file", "ca.crt"),
            "--peer-client-cert-auth".to_owned(),
        ]
    }

    /// Flags of a program that trusts the test's authority and shows the pair `name`, as `etcdctl`
    /// spells them.
    pub(crate) fn client_flags(&self, name: &str) -> Vec<String> {
        let file = |file: &str| self.file(file).display().to_string();
        [
            ("--cacert", "ca.crt"),
            ("--cert", &format!("{name}.crt")),
            ("--key", &format!("{name}.key")),
        ]
        .into_iter()
        .flat_map(|(flag, name)| [flag.to_owned(), file(name)])
        .collect()
    }

    /// A client that trusts `ca` and shows the pair `name`, if any.
    pub(crate) fn client(&self, ca: &str, name: Option<&str>) -> Tls {
        Tls {
            trusted_ca_file: Some(self.file(ca)),
            cert_file: name.map(|name| self.file(&format!("{name}.crt"))),
            key_file: name.map(|name| self.file(&format!("{name}.key"))),
            ..Tls::default()
        }
    }
}

/// From now on for a day.
pub(crate) fn valid() -> Validity {
    Validity::starting(Clock.unix(), DAY)
}
