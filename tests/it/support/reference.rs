//! Where the programs of others are, if anywhere: real etcd, and clients built with other libraries.

use std::path::PathBuf;

/// Folder with real `etcd` and `etcdctl`; `None` when comparisons are to be skipped.
///
/// # Panics
/// When comparisons are required (`ETCD_REFERENCE_REQUIRED=1`) but the folder is missing.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("ETCD_REFERENCE_DIR").map(PathBuf::from);
    let found = folder.filter(|folder| folder.join("etcd").is_file());
    let required = std::env::var("ETCD_REFERENCE_REQUIRED").is_ok_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "ETCD_REFERENCE_REQUIRED=1 but ETCD_REFERENCE_DIR does not name a folder holding real etcd"
    );
    if found.is_none() {
        eprintln!("SKIPPED: comparison with real etcd (ETCD_REFERENCE_DIR is not set)");
    }
    found
}

/// The program of that name that `tests/clients/build` left in `ETCD_CLIENTS_DIR`; `None` when the
/// comparison through it is to be skipped.
///
/// # Panics
/// When clients are required (`ETCD_CLIENTS_REQUIRED=1`) but this one is missing.
pub(crate) fn client(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ETCD_CLIENTS_DIR").map(PathBuf::from);
    let found = folder.map(|folder| folder.join(name)).filter(|program| program.is_file());
    let required = std::env::var("ETCD_CLIENTS_REQUIRED").is_ok_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "ETCD_CLIENTS_REQUIRED=1 but ETCD_CLIENTS_DIR does not name a folder holding {name}; \
         tests/clients/build FOLDER makes it"
    );
    if found.is_none() {
        eprintln!("SKIPPED: comparison through the client {name} (ETCD_CLIENTS_DIR has none)");
    }
    found
}

/// The program `goreman`: the one `ETCD_GOREMAN` names, or the one `.ci/run` leaves in
/// `target/tools`; `None` when what it runs is to be skipped.
///
/// # Panics
/// When it is required (`ETCD_GOREMAN_REQUIRED=1`) but missing.
pub(crate) fn goreman() -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/goreman");
    let program = std::env::var_os("ETCD_GOREMAN").map_or_else(|| usual.into(), PathBuf::from);
    let found = Some(program).filter(|program| program.is_file());
    let required = std::env::var("ETCD_GOREMAN_REQUIRED").is_ok_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "ETCD_GOREMAN_REQUIRED=1 but neither ETCD_GOREMAN nor target/tools/goreman is a program"
    );
    if found.is_none() {
        eprintln!("SKIPPED: what goreman runs (`.ci/run test` builds it from tests/goreman)");
    }
    found
}
