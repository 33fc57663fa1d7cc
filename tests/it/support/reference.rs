//! Where real etcd is, if anywhere.

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
