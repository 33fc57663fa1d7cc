//! What the process gives up, seen from outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use etcd::certs::Purpose;

use crate::support::http;
use crate::support::pki::{Pki, valid};
use crate::support::process::Process;
use crate::support::server::{ALONE, Kind, Server};
use crate::support::wait::eventually;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn status(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().to_owned()
}

fn line(process: &mut Process, text: &str) -> serde_json::Value {
    process.wait_line(text, |line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        (value["msg"] == text).then_some(value)
    })
}

fn daemon(home: &Path, more: &[&str]) -> Command {
    let mut command = Kind::Ours.daemon(home, "http", ALONE);
    command.args(more);
    command
}

#[test]
fn one_line_says_what_the_process_gave_up() {
    let mut server = Server::start(&Kind::Ours);
    let said = line(&mut server.process, "hardened the process");
    assert_eq!((&said["undumpable"], &said["no-new-privileges"]), (&"yes".into(), &"yes".into()));
    assert!(said["landlock"].is_string(), "{said}");
    let pid = server.process.pid();
    assert_eq!((status(pid, "NoNewPrivs:"), status(pid, "Umask:")), ("1".into(), "0077".into()));
    let mut off = Server::start_with(&Kind::Ours, "http", &["--harden-process=false"]);
    line(&mut off.process, "the process is not hardened: --harden-process is off");
    assert_eq!(status(off.process.pid(), "NoNewPrivs:"), "0");
    assert_eq!(status(off.process.pid(), "Umask:"), "0077");
}

/// The walls stand around directories, not names: a log directory that somebody put in the place of
/// the old one is outside.
#[test]
fn files_are_written_only_where_they_must_be() {
    let probe = Server::start(&Kind::Ours);
    let walls = probe.process.output().iter().any(|line| line.contains("writes only below"));
    drop(probe);
    if !walls {
        eprintln!("skipped: this kernel has no landlock");
        return;
    }
    for (on, written) in [("true", false), ("false", true)] {
        let home = tempfile::tempdir().unwrap();
        let logs = home.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let file = logs.join("etcd.log");
        let outputs = format!("--log-outputs=stderr,{}", file.display());
        let hardening = format!("--harden-process={on}");
        let mut process = Process::start(&mut daemon(home.path(), &[&outputs, &hardening]));
        line(&mut process, "ready to serve client requests");
        // Within its directory the file comes back.
        fs::rename(&file, logs.join("etcd.log.1")).unwrap();
        process.signal("HUP");
        eventually("the new file", || file.exists().then_some(()));
        fs::rename(&logs, home.path().join("old")).unwrap();
        fs::create_dir(&logs).unwrap();
        let reloads = |process: &Process| {
            process.output().iter().filter(|line| line.contains("received signal; reload")).count()
        };
        for wanted in [2, 3] {
            process.signal("HUP");
            // The files are opened again before the line after the signal's is written.
            eventually("the reload", || (reloads(&process) >= wanted).then_some(()));
        }
        assert_eq!(file.exists(), written, "hardening {on}");
    }
}

#[test]
fn a_user_without_privileges_sees_its_own_metrics() {
    let home = tempfile::tempdir().unwrap();
    let user = 65_534;
    let may = fs::metadata("/proc/self").unwrap().uid() == 0
        && std::os::unix::fs::chown(home.path(), Some(user), Some(user)).is_ok();
    let mut command = daemon(home.path(), &[]);
    if may {
        command.uid(user).gid(user);
    }
    let mut process = Process::start(&mut command);
    let serving = "serving client traffic insecurely; this is strongly discouraged!";
    let address = line(&mut process, serving)["address"].as_str().unwrap().to_owned();
    let metrics = http::request(&address, "GET", "/metrics").body;
    for name in ["process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"]
    {
        let found = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value: f64 = found.unwrap().trim().parse().unwrap();
        assert!(value > 1.0, "{name} {value}");
    }
    // Nobody but root looks into it: not even its user dumps or traces it.
    if may {
        let owner = fs::metadata(format!("/proc/{}/mem", process.pid())).unwrap().uid();
        assert_eq!(owner, 0);
    }
}

#[test]
fn a_data_directory_open_to_others_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for (folder, flag) in [("data", "--data-dir=data"), ("wal", "--wal-dir=wal")] {
        let path = home.path().join(folder);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("something"), "").unwrap();
        chmod(&path, 0o755);
        let mut process = Process::start(&mut daemon(home.path(), &[flag]));
        assert!(!process.wait_end().success());
        let said = process.output().join("\n");
        let advice = format!("chmod 700 {folder}");
        assert!(said.contains("mode 0755") && said.contains(&advice), "{said}");
        chmod(&path, 0o700);
        fs::remove_file(path.join("something")).unwrap();
    }
    chmod(&home.path().join("data"), 0o750);
    let flags = ["--allow-loose-modes", "--wal-dir=wal"];
    let mut process = Process::start(&mut daemon(home.path(), &flags));
    line(&mut process, "ready to serve client requests");
}

#[test]
fn a_directory_that_was_made_beforehand_is_closed_to_others() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    chmod(&data, 0o755);
    let mut process = Process::start(&mut daemon(home.path(), &[]));
    line(&mut process, "ready to serve client requests");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_key_everybody_can_read_is_refused() {
    let pki = Pki::new();
    pki.issue("server", Purpose::Server, &["127.0.0.1"], valid());
    chmod(&pki.file("server.key"), 0o644);
    let home = tempfile::tempdir().unwrap();
    let mut flags = pki.server_flags();
    flags.extend(
        ["listen", "advertise"].map(|what| format!("--{what}-client-urls=https://127.0.0.1:0")),
    );
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut process = Process::start(&mut daemon(home.path(), &flags));
    assert!(!process.wait_end().success());
    let said = process.output().join("\n");
    assert!(said.contains("server.key has mode 0644"), "{said}");
    let allowed = [&flags[..], &["--allow-loose-modes"]].concat();
    let mut process = Process::start(&mut daemon(home.path(), &allowed));
    line(&mut process, "ready to serve client requests");
    assert!(process.output().iter().any(|line| line.contains("every user of this machine")));
    let printed = process.output().join("\n");
    assert!(!printed.contains("PRIVATE KEY"), "a key is in the log");
}
