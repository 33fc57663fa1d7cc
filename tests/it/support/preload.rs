//! Libraries that stand between a program under test and the C library, built by the C compiler that
//! builds the crate needs anyway.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `source`, a file below `tests/it`, into the library `name`, and tells where it is.
///
/// # Panics
/// When there is no C compiler.
pub(crate) fn build(name: &str, source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(source);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let draft = folder.join(format!("{name}-{}.so", std::process::id()));
    let library = folder.join(format!("{name}.so"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
    let built = compiler.arg(&draft).arg(&source).arg("-lpthread").status();
    assert!(built.unwrap().success(), "cc cannot build {}", source.display());
    // Under one name at last, so that runs side by side do not see each other's half of it.
    std::fs::rename(&draft, &library).unwrap();
    library
}
