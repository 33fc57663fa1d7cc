//! One seed in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Seconds of the processor after which a seed is taken for one that never ends; it needs one or two.
const PATIENCE: u64 = 60;

/// Runs a seed in a process, which writes how it went; also when it fails. What is `broken` is named in
/// `world.rs`; nothing if it is empty.
pub(super) fn run(seed: u64, broken: &str) -> Output {
    let folder = tempfile::Builder::new().prefix("simulation-").tempdir_in(place()).unwrap();
    let mut child = Command::new("sh");
    child
        .args(["-c", &format!("ulimit -t {PATIENCE}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "consensus::simulation::tests::one_seed_in_this_process"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", library())
        .env("SIMULATION_SEED", seed.to_string())
        .env("SIMULATION_BREAK", broken)
        .env("SIMULATION_FOLDER", folder.path());
    child.output().unwrap()
}

/// Memory if the system has a file system in it.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() }
}

/// The library to preload.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/consensus/simulation/shim.c");
        let programs = std::env::current_exe().unwrap();
        let folder = programs.parent().unwrap();
        let draft = folder.join(format!("simulation-{}.so", std::process::id()));
        let library = folder.join("simulation.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        let built = compiler.arg(&draft).arg(source).status();
        assert!(built.unwrap().success(), "cc cannot build {source}");
        // Under one name at last, so that runs side by side do not see each other's half of it.
        fs::rename(&draft, &library).unwrap();
        library
    })
}
