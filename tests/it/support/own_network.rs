//! Shell scripts on fixed ports, in a network of their own, so that they meet nobody else's etcd.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a shell script in a fresh network namespace, in a folder that holds these programs, and
/// returns what it printed. `None` where the system does not let us make one.
pub(crate) fn run(script: &str, programs: &[(&str, PathBuf)]) -> Option<String> {
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path);
        // The shell is the first process of its own tree, so that whatever it started ends with it.
        command.args([
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        command.args(["sh", "-euc", script]);
        command.stdin(Stdio::null());
        command
    };
    let possible = isolated("ip link set lo up").output().is_ok_and(|out| out.status.success());
    if !possible {
        eprintln!("SKIPPED: network namespaces are not available here");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, program) in programs {
        std::fs::copy(program, folder.path().join(name)).unwrap();
    }
    let script = format!("ip link set lo up\n{script}");
    let output = isolated(&script).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{printed}\n{errors}", output.status);
    Some(printed)
}
