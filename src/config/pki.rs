//! `--pki-dir`: a directory in the layout of `etcd cert`, from which follows whatever of TLS nobody
//! named. With it a server that is told nothing else serves encrypted, on this machine's own address.

use std::path::{Path, PathBuf};

use figment::value::Value;

use super::env::Environment;
use super::flags::CommandLine;
use super::layers::{Origin, Settings};
use crate::types::url::{Scheme, Url};

/// One side of the server: names of settings and of files in the directory.
struct Side {
    listen: &'static str,
    advertise: &'static str,
    port: u16,
    /// Certificate, key, whom to trust, whom no more.
    files: [(&'static str, &'static str); 4],
    demand: &'static str,
    auto: &'static str,
    /// Whether etcd itself advertises its default whatever it listens on.
    always_advertised: bool,
}

const SIDES: [Side; 2] = [
    Side {
        listen: "listen-client-urls",
        advertise: "advertise-client-urls",
        port: 2379,
        files: [
            ("cert-file", "server.crt"),
            ("key-file", "server.key"),
            ("trusted-ca-file", "client-ca.crt"),
            ("client-crl-file", "client.crl"),
        ],
        demand: "client-cert-auth",
        auto: "auto-tls",
        always_advertised: false,
    },
    Side {
        listen: "listen-peer-urls",
        advertise: "initial-advertise-peer-urls",
        port: 2380,
        files: [
            ("peer-cert-file", "peer.crt"),
            ("peer-key-file", "peer.key"),
            ("peer-trusted-ca-file", "peer-ca.crt"),
            ("peer-crl-file", "peer.crl"),
        ],
        demand: "peer-client-cert-auth",
        auto: "peer-auto-tls",
        always_advertised: true,
    },
];

/// The configuration that `etcd cert join` and `init --config-out` write beside the directory, if the
/// command line or the environment names the directory and the file is there.
pub(super) fn configuration(line: &CommandLine, environment: &Environment) -> Option<String> {
    let mut given = environment.given.iter().chain(&line.given);
    let named = given.rfind(|given| given.setting.name == "pki-dir")?;
    let dir = named.value.as_str().filter(|dir| !dir.is_empty())?;
    let file = Path::new(dir).with_file_name("etcd.conf.yml");
    file.is_file().then(|| file.display().to_string())
}

/// Lays what follows from the directory below everything that was given; returns a line to log.
pub(super) fn lay(settings: &mut Settings) -> Option<String> {
    let dir: String = settings.get("pki-dir");
    if dir.is_empty() {
        return None;
    }
    for side in &SIDES {
        side.lay(settings, Path::new(&dir));
    }
    Some(format!("certificates that nothing else names are those in {dir}"))
}

impl Side {
    fn lay(&self, settings: &mut Settings, dir: &Path) {
        let usual = || vec![format!("https://localhost:{}", self.port)];
        let listens = settings.is_given(self.listen);
        if !listens {
            set(settings, self.listen, usual());
        }
        let urls: Vec<String> = settings.get(self.listen);
        let is_tls = |url: &String| Url::parse(url).is_ok_and(|url| url.scheme.is_tls());
        if !urls.iter().any(is_tls) {
            return;
        }
        match settings.given_as(self.advertise).map(|given| given.origin.clone()) {
            // The address of this machine, found for one that listens everywhere.
            Some(Origin::Derived(_)) => {
                let found: Vec<String> = settings.get(self.advertise);
                set(
                    settings,
                    self.advertise,
                    found.iter().map(|url| secure(url)).collect::<Vec<_>>(),
                );
            }
            None if !listens || self.always_advertised => set(settings, self.advertise, usual()),
            _ => {}
        }
        let named = self.files.iter().any(|(setting, _)| settings.is_given(setting));
        if named || settings.get(self.auto) {
            return;
        }
        for (setting, file) in self.files {
            let path: PathBuf = dir.join(file);
            set(settings, setting, path.display().to_string());
        }
        if !settings.is_given(self.demand) {
            set(settings, self.demand, true);
        }
    }
}

fn secure(url: &str) -> String {
    let parsed = Url::parse(url).map(|url| Url { scheme: Scheme::Https, ..url });
    parsed.map_or_else(|_| url.to_owned(), |url| url.to_string())
}

fn set(settings: &mut Settings, name: &'static str, value: impl Into<Value>) {
    super::derive::lay(settings, name, value.into(), "--pki-dir");
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::config::{Loaded, load};

    fn run(args: &[&str], env: &[(&str, &str)]) -> Loaded {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&args, env).unwrap_or_else(|exit| panic!("{}", exit.stderr))
    }

    fn texts(urls: &[crate::types::url::Url]) -> String {
        urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn told_nothing_else_a_server_is_encrypted_on_this_machine() {
        let env = [("ETCD_PKI_DIR", "/nowhere/pki"), ("ETCD_REQUIRE_TLS", "true")];
        let config = run(&[], &env).config;
        let member = &config.member;
        assert_eq!(texts(&member.listen_client_urls), "https://localhost:2379");
        assert_eq!(texts(&member.advertise_client_urls), "https://localhost:2379");
        assert_eq!(texts(&member.listen_peer_urls), "https://localhost:2380");
        assert_eq!(config.cluster.initial_cluster, "default=https://localhost:2380");
        for (tls, file, trusted) in [
            (&config.client_tls, "/nowhere/pki/server.crt", "/nowhere/pki/client-ca.crt"),
            (&config.peer_tls, "/nowhere/pki/peer.crt", "/nowhere/pki/peer-ca.crt"),
        ] {
            assert_eq!(tls.cert_file.as_deref(), Some(file.as_ref()));
            assert_eq!(tls.trusted_ca_file.as_deref(), Some(trusted.as_ref()));
            assert!(tls.client_cert_auth && tls.crl_file.is_some());
        }
        // A name and addresses are enough for a member of a cluster.
        let named = [
            "--name=db1",
            "--listen-peer-urls=https://10.0.0.5:2380",
            "--initial-advertise-peer-urls=https://10.0.0.5:2380",
        ];
        let config = run(&named, &env).config;
        assert_eq!(config.cluster.initial_cluster, "db1=https://10.0.0.5:2380");
    }

    #[test]
    fn whatever_is_named_holds() {
        let pki = "--pki-dir=/nowhere/pki";
        let own = run(&[pki, "--cert-file=/a.crt", "--key-file=/a.key"], &[]).config;
        assert_eq!(own.client_tls.cert_file.as_deref(), Some("/a.crt".as_ref()));
        assert_eq!(own.client_tls.trusted_ca_file, None);
        assert!(own.peer_tls.cert_file.is_some());
        let auto = run(&[pki, "--auto-tls"], &[]).config;
        assert!(auto.client_tls.auto && auto.client_tls.cert_file.is_none());
        let plain = [
            "--listen-client-urls=http://localhost:1",
            "--advertise-client-urls=http://localhost:1",
            "--listen-peer-urls=http://localhost:2",
        ];
        let loaded = run(&[&plain[..], &[pki]].concat(), &[]);
        assert!(loaded.config.client_tls.is_empty() && loaded.config.peer_tls.is_empty());
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let none = run(&[], &[("ETCD_PKI_DIR", "")]).config;
        assert_eq!(none, crate::config::Config::default());
    }

    #[test]
    fn the_configuration_beside_the_directory_is_read_unless_another_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("etcd.conf.yml"), "name: db7\n").unwrap();
        let pki = format!("--pki-dir={}", folder.path().join("pki").display());
        assert_eq!(run(&[&pki], &[]).config.member.name, "db7");
        let other = folder.path().join("other.yml");
        std::fs::write(&other, "name: db8\n").unwrap();
        let other = other.display().to_string();
        assert_eq!(run(&[&pki], &[("ETCD_CONFIG_FILE", &other)]).config.member.name, "db8");
    }
}
