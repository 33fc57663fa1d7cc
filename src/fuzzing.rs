//! Every decoder of the daemon as a function of bytes, for `cargo fuzz` (`fuzz/`) and for the property
//! tests beside this file, which run the same targets where there is no nightly compiler. None may
//! panic, hang, or hold memory out of proportion; a form that reads must be written the same where
//! that is promised. Not part of the library: compiled only for tests and with `--cfg fuzzing`.

use crate::api::grpc::fuzz as api;
use crate::bootstrap::{Identity, fuzz as bootstrap};
use crate::certs::fuzz as certs;
use crate::cli::ctl::fuzz as ctl;
use crate::client::fuzz as client;
use crate::config::fuzz as config;
use crate::consensus::fuzz as consensus;
use crate::enrol::fuzz as enrol;
use crate::state::fuzz as state;
use crate::storage::fuzz as storage;
use crate::storage::wal::fuzz as wal;
use crate::tokens::fuzz as tokens;
use crate::transport::fuzz as transport;
use crate::types::url::Url;

/// A decoder under test.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: [(&str, Target); 29] = [
    ("wal_header", wal::header),
    ("wal_frame", wal::frame),
    ("wal_segment", wal::segment),
    ("data_dir", storage::format),
    ("journal", storage::journal),
    ("identity", identity),
    ("record", state::record),
    ("tables", state::tables),
    ("checkpoint", state::checkpoint),
    ("piece", state::piece),
    ("log_entry", consensus::entry),
    ("peer_append", consensus::append),
    ("peer_message", consensus::message),
    ("peer_json", peer_json),
    ("config_file", config::file),
    ("flags", config::flags),
    ("setting", config::value),
    ("urls", urls),
    ("pem", pem),
    ("token", token),
    ("enrolment", enrol::enrolment),
    ("http2", transport::http2),
    ("frames", api::frames),
    ("request", api::request),
    ("head", api::head),
    ("dns", client::dns),
    ("ctl_words", ctl::words),
    ("ctl_typed", ctl::typed),
    ("ctl_settings", ctl::settings),
];

/// Runs one target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "no target {name}");
    if let Some((_, target)) = target {
        target(bytes);
    }
}

fn pem(bytes: &[u8]) {
    transport::pem(bytes);
    certs::pem(bytes);
}

fn peer_json(bytes: &[u8]) {
    bootstrap::told(bytes);
    api::question(bytes);
}

fn token(bytes: &[u8]) {
    enrol::token(bytes);
    tokens::shown(bytes);
}

fn identity(bytes: &[u8]) {
    if let Ok(identity) = Identity::from_text(bytes) {
        assert_eq!(Identity::from_text(identity.to_text().as_bytes()), Ok(identity));
    }
}

fn urls(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Url::parse_list(&text);
    if let Ok(url) = Url::parse(&text) {
        assert_eq!(Url::parse(&url.to_string()).ok(), Some(url.clone()), "{text:?}");
        let _ = (url.host(), url.port());
    }
}

#[cfg(test)]
mod tests;
