//! The configuration file `etcd cert init` and `etcd cert join` write, so that nobody types paths.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::context;
use super::report::Refusal;
use crate::certs::{Action, Layout, New, Owner, Purpose, Step, read, write_all};

/// By which a file is known that these commands wrote.
const MARK: &str = "# Written by `etcd cert ";

/// What goes into the file beside the certificates.
pub(super) struct Settings {
    /// `init` or `join`.
    pub(super) command: &'static str,
    /// Name of the member.
    pub(super) name: String,
    /// Where its data is.
    pub(super) data_dir: PathBuf,
    /// URLs: listened on and told to clients, then the same for members.
    pub(super) urls: [Vec<String>; 4],
    /// Every member, `name=url,…`.
    pub(super) initial_cluster: String,
    /// Whether the cluster runs already.
    pub(super) existing: bool,
}

impl Settings {
    /// The file's text.
    pub(super) fn to_text(&self, layout: &Layout) -> String {
        let mut out = format!("{MARK}{}`. Start it with: etcd --config-file FILE\n", self.command);
        let state = if self.existing { "existing" } else { "new" };
        let [listen, advertise, listen_peers, advertise_peers] = &self.urls;
        for (key, value) in [
            ("name", self.name.clone()),
            ("data-dir", self.data_dir.display().to_string()),
            ("listen-client-urls", listen.join(",")),
            ("advertise-client-urls", advertise.join(",")),
            ("listen-peer-urls", listen_peers.join(",")),
            ("initial-advertise-peer-urls", advertise_peers.join(",")),
            ("initial-cluster", self.initial_cluster.clone()),
            ("initial-cluster-state", state.to_owned()),
        ] {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(out, "{key}: {}", quoted(&value));
        }
        out.push_str("require-tls: true\n");
        for (section, crl, purpose) in [
            ("client-transport-security", "ClientTLSInfo", Purpose::Server),
            ("peer-transport-security", "PeerTLSInfo", Purpose::Peer),
        ] {
            let (pair, side) = (layout.pair(purpose, ""), purpose.side());
            let path = |path: &Path| quoted(&path.display().to_string());
            let _ = writeln!(
                out,
                "{section}:\n  cert-file: {}\n  key-file: {}\n  client-cert-auth: true\n  \
                 trusted-ca-file: {}\n{crl}:\n  CRLFile: {}",
                path(&pair.certificate),
                path(&pair.key),
                path(&layout.authority(side)),
                path(&layout.revocations(side)),
            );
        }
        out
    }

    /// Writes the file; one that such a command wrote before is kept, others are in the way.
    ///
    /// # Errors
    /// If it cannot be written, or another is there and `force` does not remove it.
    pub(super) fn write(&self, path: &Path, layout: &Layout, force: bool) -> Result<Step, Refusal> {
        check(path, force)?;
        let what = "the server's configuration".to_owned();
        let there = read(path)?;
        if there.is_some() && !force {
            return Ok(Step { path: path.to_owned(), action: Action::Kept, what });
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(dir)
            .map_err(|error| Refusal::Failed(format!("cannot make {}: {error}", dir.display())))?;
        write_all(&[New::public(path, &self.to_text(layout), Owner::of(dir)?)])?;
        let action = if there.is_some() { Action::Replaced } else { Action::Made };
        Ok(Step { path: path.to_owned(), action, what })
    }
}

/// Refuses a file that these commands did not write.
///
/// # Errors
/// If there is one, and `force` does not remove it.
pub(super) fn check(path: &Path, force: bool) -> Result<(), Refusal> {
    match read(path)? {
        Some(text) if !force && !text.starts_with(MARK) => Err(Refusal::Failed(format!(
            "{} is there already; --force replaces it, --config-out names another",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Where the configuration goes unless it is said: beside the directory of the certificates.
///
/// # Errors
/// If the path given makes no sense.
pub(super) fn place(given: Option<&str>, layout: &Layout) -> Result<PathBuf, Refusal> {
    match given {
        Some(path) => context::absolute(path),
        None => Ok(layout.dir().with_file_name("etcd.conf.yml")),
    }
}

/// A text as YAML has it in single quotes, where nothing but the quote itself is special.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
