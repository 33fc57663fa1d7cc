//! `etcd cert …` from outside: what the commands leave on disk, and who gets in with it.

mod access;
mod answers;
mod commands;
mod doctor;
mod enrol;
mod flood;
mod life;
mod load;
mod members;
mod offline;
mod renewal;
mod revocation;
mod rotation;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use etcd::certs::{Authority, Facts, Key, Leaf, Purpose, Validity, write_certificate, write_key};
use etcd::client::Options;
use tempfile::TempDir;

use crate::support::server::{Kind, Server};

/// A directory for certificates, and the commands that work on it.
struct Desk {
    folder: TempDir,
}

/// What a command answered.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The answer of a command that did what it was asked.
    fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", self.stdout))
    }
}

impl Desk {
    /// An empty one.
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// One after `etcd cert init`.
    fn ready() -> Self {
        let desk = Self::new();
        desk.run(&["init"]).good();
        desk
    }

    /// `etcd cert …` on this directory.
    fn run(&self, words: &[&str]) -> Answer {
        let (name, rest) = words.split_first().unwrap();
        let output = Command::new(Kind::Ours.program("etcd"))
            .current_dir(self.folder.path())
            .env_clear()
            .args(["cert", name, "--pki-dir", "pki"])
            .args(rest)
            .output()
            .unwrap();
        Answer::of(&output)
    }

    /// A client of these endpoints that trusts the root and shows the pair of `name`.
    fn client(&self, endpoints: Vec<String>, name: &str) -> Options {
        let pair = self.path(&format!("clients/{name}"));
        load::options(endpoints, &self.path("ca.crt"), &pair)
    }

    /// The path of a file below the directory.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("pki").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The common name of the first certificate in a file.
    fn name_of(&self, name: &str) -> String {
        Facts::from_pem(name, &self.read(name)).unwrap().remove(0).common_name
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// Every file with its contents, without temporary ones.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(&self.path(""), &mut found);
        found.sort();
        found
    }

    /// A server that uses the files, as `etcd cert init` says it should.
    fn server(&self) -> Server {
        self.server_with(&[])
    }

    /// The same with more flags.
    fn server_with(&self, more: &[&str]) -> Server {
        self.server_of(&Kind::Ours, more)
    }

    /// The same, whoever serves.
    fn server_of(&self, kind: &Kind, more: &[&str]) -> Server {
        self.server_in(kind, more, &[])
    }

    /// The same with these variables.
    fn server_in(&self, kind: &Kind, more: &[&str], environment: &[(&str, &str)]) -> Server {
        let said = self.run(&["init", "--output=json"]).good().json();
        let flags = said["flags"].as_array().unwrap().iter();
        // The first ten name files; the others name ports, which the system chooses here.
        let flags: Vec<String> =
            flags.take(10).map(|flag| flag.as_str().unwrap().to_owned()).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let peer = "https://127.0.0.1:0";
        let peers = [
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ];
        let flags: Vec<&str> = flags.into_iter().chain(peers.iter().map(String::as_str)).collect();
        Server::start_in(kind, "https", &[&flags, more].concat(), environment)
    }
}

fn collect(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
}

/// Puts another server certificate in the place of the directory's own.
fn replace_server(desk: &Desk, hosts: &[&str], purpose: Purpose, validity: Validity) {
    let key = Key::from_pem("key", &desk.read("ca/client-ca.key")).unwrap();
    let authority = Authority::load("authority", &desk.read("client-ca.crt"), key).unwrap();
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    let leaf = Leaf { common_name: "replaced".to_owned(), hosts, purpose, validity };
    let issued = authority.issue(&leaf).unwrap();
    let chain = format!("{}{}", issued.certificate, authority.certificate());
    write_certificate(&desk.path("server.crt"), &chain).unwrap();
    write_key(&desk.path("server.key"), &issued.key).unwrap();
}
