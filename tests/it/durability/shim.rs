//! The preloaded disk: built once per test run by the C compiler that builds the crate needs anyway.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library to preload; `shim.c` says what it does.
///
/// # Panics
/// When there is no C compiler.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/durability/shim.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (draft, library) =
            (folder.join(format!("shim-{}.so", std::process::id())), folder.join("shim.so"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        let built = compiler.arg(&draft).arg(source).arg("-lpthread").status();
        assert!(built.unwrap().success(), "cc cannot build {source}");
        // Under one name at last, so that runs side by side do not see each other's half of it.
        std::fs::rename(&draft, &library).unwrap();
        library
    })
}
