//! What the fuzz targets of all rooms share.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes a real encoder wrote, for a target to begin with.
pub(crate) struct Seed {
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Seed {
    pub(crate) fn new(target: &'static str, name: &'static str, bytes: Vec<u8>) -> Self {
        Self { target, name, bytes }
    }
}

/// Runs `work` with a folder of its own that is gone afterwards.
pub(crate) fn in_folder<T>(work: impl FnOnce(&Path) -> T) -> T {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("etcd-fuzz-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    // A folder that cannot be made shows in what is done in it.
    let _ = std::fs::create_dir(&folder);
    let result = work(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}
