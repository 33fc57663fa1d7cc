//! The packaged unit: as systemd reads it, what it leaves open, and that the daemon works as it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNITS: [&str; 3] = ["etcd.service", "etcd-renew.service", "etcd-renew.timer"];
/// More than that and somebody has opened something.
const EXPOSURE: f64 = 1.5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn unit() -> PathBuf {
    folder().join("etcd.service")
}

/// `None` where there is no systemd-analyze, which CI must have.
fn analyze(words: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze").args(words).env("PAGER", "cat").output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "systemd-analyze: {error}");
            eprintln!("SKIPPED: systemd-analyze cannot be run: {error}");
            None
        }
    }
}

/// A root with what the unit refers to, and nothing else that could be wrong.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    let targets =
        ["sysinit", "basic", "shutdown", "timers", "network", "network-online", "multi-user"];
    for target in targets {
        let text = "[Unit]\nDescription=x\nDefaultDependencies=no\n";
        std::fs::write(units.join(format!("{target}.target")), text).unwrap();
    }
    for program in ["usr/bin/etcd", "bin/sh"] {
        let path = root.path().join(program);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy("/bin/true", path).unwrap();
    }
    root
}

/// What systemd says of our units after `change`.
fn verify(change: impl Fn(String) -> String) -> Option<String> {
    let root = root();
    for unit in UNITS {
        let text = change(std::fs::read_to_string(folder().join(unit)).unwrap());
        std::fs::write(root.path().join("usr/lib/systemd/system").join(unit), text).unwrap();
    }
    let at = format!("--root={}", root.path().display());
    let output = analyze(&[&["verify", &at, "--man=no"][..], &UNITS].concat())?;
    let said = [output.stdout, output.stderr].concat();
    Some(format!("{}{}", String::from_utf8_lossy(&said), output.status))
}

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    let Some(said) = verify(|text| text) else { return };
    assert_eq!(said, "exit status: 0");
    // It would say something.
    let said = verify(|text| text.replace("LockPersonality", "LockPersonalty")).unwrap();
    assert!(said.contains("Unknown key"), "{said}");
}

#[test]
fn the_units_leave_little_open() {
    for unit in UNITS.iter().filter(|unit| unit.ends_with(".service")) {
        let path = folder().join(unit);
        let words = ["security", "--offline=true", "--no-pager", path.to_str().unwrap()];
        let Some(output) = analyze(&words) else { return };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let before = format!("exposure level for {unit}: ");
        let level = said.lines().find_map(|line| line.split_once(&before));
        let level = level.and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok());
        let level = level.unwrap_or_else(|| panic!("no level in\n{said}"));
        assert!(level <= EXPOSURE, "{unit}: {level}, more than {EXPOSURE}:\n{said}");
    }
}

/// Every setting of a unit, in its order.
fn settings(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines.filter_map(|line| line.split_once('=')).collect()
}

/// What people and their scripts count on.
#[test]
fn the_unit_says_what_is_promised() {
    let text = std::fs::read_to_string(unit()).unwrap();
    let settings = settings(&text);
    for (key, promised) in [
        ("Wants", "network-online.target"),
        ("Type", "notify"),
        ("User", "etcd"),
        ("EnvironmentFile", "-/etc/etcd/etcd.conf"),
        ("ExecStart", "/usr/bin/etcd"),
        ("Restart", "on-failure"),
        ("RestartSec", "5"),
        ("LimitNOFILE", "65536"),
        ("WantedBy", "multi-user.target"),
    ] {
        assert!(settings.contains(&(key, promised)), "{key}={promised} is missing");
    }
    let after = settings.iter().find(|(key, _)| *key == "After").unwrap().1;
    assert!(after.split(' ').any(|unit| unit == "network-online.target"), "{after}");
    // The file covers what the unit sets, as it comes later.
    let at = |key: &str| settings.iter().rposition(|(found, _)| *found == key).unwrap();
    assert!(at("Environment") < at("EnvironmentFile"));
    for limit in ["WatchdogSec", "TimeoutStartSec", "TimeoutStopSec"] {
        let line = text.lines().position(|line| line.starts_with(&format!("{limit}="))).unwrap();
        assert!(text.lines().nth(line - 1).unwrap().starts_with('#'), "{limit} has no reason");
    }
}

/// What systemd 219 knows of the settings that our services have.
const KNOWN_TO_219: &[&str] = &[
    "Description",
    "Documentation",
    "After",
    "Wants",
    "ConditionPathExists",
    "Type",
    "NotifyAccess",
    "User",
    "Group",
    "WorkingDirectory",
    "Environment",
    "EnvironmentFile",
    "ExecStartPre",
    "ExecStart",
    "ExecReload",
    "Restart",
    "RestartSec",
    "WatchdogSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "LimitNOFILE",
    "OOMScoreAdjust",
    "UMask",
    "CapabilityBoundingSet",
    "NoNewPrivileges",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateNetwork",
    "DevicePolicy",
    "ProtectHome",
    "ReadWriteDirectories",
    "RestrictAddressFamilies",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "WantedBy",
];
/// What it passes over with a warning; each came with a later version.
const NEWER_THAN_219: &[&str] = &[
    "StateDirectory",
    "StateDirectoryMode",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectClock",
    "ProtectHostname",
    "ProtectProc",
    "ProcSubset",
    "PrivateUsers",
    "PrivateIPC",
    "KeyringMode",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "RemoveIPC",
];
/// What it knows with another value, or none of it: these have a test of their own.
const KNOWN_IN_PART: &[&str] = &["ProtectSystem", "SystemCallFilter"];

#[test]
fn every_setting_is_one_whose_fate_on_systemd_219_is_known() {
    for unit in UNITS.iter().filter(|unit| unit.ends_with(".service")) {
        let text = std::fs::read_to_string(folder().join(unit)).unwrap();
        let settings = settings(&text);
        for (place, (key, value)) in settings.iter().enumerate() {
            let lists = [KNOWN_TO_219, NEWER_THAN_219, KNOWN_IN_PART];
            assert_eq!(lists.iter().filter(|list| list.contains(key)).count(), 1, "{unit}: {key}");
            let again = settings[..place].iter().filter(|(before, _)| before == key).count();
            // What stands twice is a list, or the stricter word for newer versions.
            let may = ["Wants", "Environment", "ProtectSystem"].contains(key);
            assert!(again == 0 || may, "{unit}: {key}={value} covers the one before");
        }
        let is_newer = |key: &str| NEWER_THAN_219.contains(&key);
        let first = settings.iter().position(|(key, _)| is_newer(key)).unwrap();
        let walls = ["CapabilityBoundingSet", "ReadWriteDirectories", "SystemCallErrorNumber"];
        for wall in walls {
            assert!(settings.iter().position(|(key, _)| *key == wall).unwrap() < first, "{wall}");
        }
    }
}

/// What CentOS 7's systemd 219 would stumble over, as it cannot be asked here.
#[test]
fn the_unit_is_one_that_systemd_219_starts() {
    let text = std::fs::read_to_string(unit()).unwrap();
    let settings = settings(&text);
    let values = |key: &str| -> Vec<&str> {
        settings.iter().filter(|(found, _)| *found == key).map(|(_, value)| *value).collect()
    };
    // It does not know groups of calls: an allow list of them allows next to nothing.
    assert!(values("SystemCallFilter").iter().all(|list| list.starts_with('~')));
    // A word it does not know leaves the one before in force.
    assert_eq!(values("ProtectSystem"), ["full", "strict"]);
    // It knows the old name alone, and has no prefixes but these.
    assert!(values("ReadWritePaths").is_empty());
    assert_eq!(values("ReadWriteDirectories"), ["-/var/lib/etcd -/etc/etcd/pki"]);
    for command in [values("ExecStartPre"), values("ExecStart"), values("ExecReload")].concat() {
        assert!(command.starts_with('/'), "{command}");
    }
}
