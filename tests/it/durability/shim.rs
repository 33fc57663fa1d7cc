//! The preloaded disk, built once per test run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::preload;

/// The library to preload; `shim.c` says what it does.
///
/// # Panics
/// When there is no C compiler.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| preload::build("shim", "durability/shim.c"))
}
