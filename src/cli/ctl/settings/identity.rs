//! What a machine brings along on which `etcd cert init` made the certificates: its administrator
//! needs no flags to talk to its server.

use std::fs::File;
use std::path::Path;

use super::{Given, Origin};
use crate::certs::{Layout, Purpose};
use crate::cli::ctl::commands::GLOBAL;
use crate::config;

/// Below the root of the file system: where `etcd cert` keeps everything unless told otherwise.
const DIRECTORY: &str = "etc/etcd/pki";
/// The client whose certificate `etcd cert init` makes.
const ADMINISTRATOR: &str = "admin";
/// Where a server is that was told nothing but to use these certificates.
const USUAL: &str = "https://localhost:2379";

/// The certificate of the administrator, whom to trust, and the server of this machine; nothing if
/// one of the files is not there or not for this user to read.
pub(super) fn find(root: &Path) -> Vec<Given> {
    let directory = root.join(DIRECTORY);
    let layout = Layout::of(&directory);
    let pair = layout.pair(Purpose::Client, ADMINISTRATOR);
    let authority = layout.root();
    let readable = |path: &Path| File::open(path).is_ok();
    let there = [&authority, &pair.certificate, &pair.key].into_iter().all(|path| readable(path));
    // Certificates with a mark are for trials, and used only by whoever names them.
    if !there || !layout.suffix().is_empty() {
        return Vec::new();
    }
    let values = [
        ("cacert", authority.display().to_string()),
        ("cert", pair.certificate.display().to_string()),
        ("key", pair.key.display().to_string()),
        ("endpoints", server(&directory)),
    ];
    let given = values.into_iter().filter_map(|(name, text)| {
        let flag = GLOBAL.iter().find(|flag| flag.name == name)?;
        Some(Given { flag, text, origin: Origin::Identity(directory.clone()) })
    });
    given.collect()
}

/// Where the configuration beside the directory says that this machine's server is reached, which is
/// also what its certificate is for.
fn server(directory: &Path) -> String {
    let file = directory.with_file_name("etcd.conf.yml");
    let described = config::check_file(&file.display().to_string()).config;
    let urls = described.map(|config| config.member.advertise_client_urls).unwrap_or_default();
    let urls = urls.iter().filter(|url| url.scheme.is_tls()).map(ToString::to_string);
    let urls = urls.collect::<Vec<_>>().join(",");
    if urls.is_empty() { USUAL.to_owned() } else { urls }
}
