//! Our `etcdctl` as a process: snapshots, copies, measurements, shells and manual pages.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::pki::Pki;
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

fn etcdctl(server: &Server) -> Command {
    let mut command = Command::new(Kind::Ours.program("etcdctl"));
    command.env_clear().current_dir(server.home());
    command.arg(format!("--endpoints={}", server.address()));
    command
}

fn run(server: &Server, words: &[&str]) -> Output {
    etcdctl(server).args(words).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn value(server: &Server, key: &str) -> String {
    out(&run(server, &["get", key, "--print-value-only"]))
}

#[test]
fn a_snapshot_of_a_real_server_is_whole_private_and_what_etcdutl_reads() {
    let Some(folder) = reference::folder() else { return };
    let server = Server::start(&Kind::Reference(folder.clone()));
    assert!(run(&server, &["put", "a", &"x".repeat(100_000)]).status.success());
    let saved = run(&server, &["snapshot", "save", "s.db"]);
    assert_eq!(out(&saved), "Snapshot saved at s.db\n", "{}", err(&saved));
    assert!(!err(&saved).contains('\r'), "no progress without a terminal: {}", err(&saved));
    let path = server.home().join("s.db");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!server.home().join("s.db.part").exists());
    let status = Command::new(folder.join("etcdutl"))
        .args(["snapshot", "status", "-w", "json"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(out(&status).contains("\"revision\":2"), "{status:?}");
    let restored = Command::new(folder.join("etcdutl"))
        .args(["snapshot", "restore", "s.db", "--data-dir=restored"])
        .current_dir(server.home())
        .output()
        .unwrap();
    assert!(restored.status.success(), "the checksum is compared: {}", err(&restored));
    let elsewhere = run(&server, &["snapshot", "status", "s.db"]);
    assert_eq!(elsewhere.status.code(), Some(4));
    assert!(err(&elsewhere).contains("etcdutl snapshot status"), "{}", err(&elsewhere));
}

#[test]
fn an_interrupted_snapshot_leaves_no_file() {
    let Some(folder) = reference::folder() else { return };
    let server = Server::start(&Kind::Reference(folder));
    server.process.signal("STOP");
    let mut saving = Process::start(etcdctl(&server).args(["snapshot", "save", "s.db"]));
    let part = server.home().join("s.db.part");
    eventually("the unfinished file", || part.exists().then_some(()));
    saving.signal("INT");
    assert_eq!(saving.wait_end().code(), Some(5));
    assert!(!part.exists() && !server.home().join("s.db").exists());
    assert!(saving.output().join("\n").contains("interrupt"), "{:?}", saving.output());
    server.process.signal("CONT");
}

#[test]
fn a_mirror_follows_puts_and_deletes() {
    let Some(folder) = reference::folder() else { return };
    let (source, copy) = (Server::start(&Kind::Reference(folder)), Server::start(&Kind::Ours));
    for (key, value) in [("a/1", "one"), ("a/a/2", "two"), ("b", "elsewhere")] {
        assert!(run(&source, &["put", key, value]).status.success());
    }
    let words = ["make-mirror", "--prefix=a/", "--dest-prefix=z/", copy.address()];
    let mut mirror = Process::start(etcdctl(&source).args(words));
    eventually("the copy of what was there", || (value(&copy, "z/a/2") == "two\n").then_some(()));
    assert_eq!(value(&copy, "z/1"), "one\n");
    assert!(run(&source, &["put", "a/3", "three"]).status.success());
    assert!(run(&source, &["del", "a/1"]).status.success());
    eventually("the deletion", || value(&copy, "z/1").is_empty().then_some(()));
    assert_eq!(value(&copy, "z/3"), "three\n");
    assert_eq!(out(&run(&copy, &["get", "", "--prefix", "--keys-only"])), "z/3\n\nz/a/2\n\n");
    assert!(!mirror.has_ended());
    assert!(mirror.output().is_empty(), "nothing is said meanwhile: {:?}", mirror.output());
    let both = ["make-mirror", "--no-dest-prefix", "--dest-prefix=z", copy.address()];
    let both = run(&source, &both);
    assert_eq!(both.status.code(), Some(128));
    assert!(err(&both).contains("choose one"), "{}", err(&both));
    assert_eq!(run(&source, &["make-mirror"]).status.code(), Some(128));
}

#[test]
fn a_check_of_the_speed_ends_with_a_verdict_and_leaves_nothing() {
    let server = Server::start(&Kind::Ours);
    let words = ["check", "perf", "--duration=1s", "--auto-compact", "--auto-defrag"];
    let ended = run(&server, &words);
    let text = out(&ended);
    // How fast this machine is does not matter here, only that all is said.
    for part in ["Compacted with revision 152\n", "Defragmented \"", "Stddev", "p99.9", "Verdict: "]
    {
        assert!(text.contains(part), "{part}: {text}{}", err(&ended));
    }
    let passed = text.ends_with("\nPASS\n");
    assert_eq!(passed, ended.status.success(), "{text}");
    assert!(passed || text.ends_with("\nFAIL\n"), "{text}");
    assert_eq!(out(&run(&server, &["get", "", "--prefix"])), "");
    assert!(run(&server, &["put", "/etcdctl-check-perf/x", "y"]).status.success());
    let filled = run(&server, &["check", "perf"]);
    assert_eq!(filled.status.code(), Some(3));
    assert!(err(&filled).contains("prefix \"/etcdctl-check-perf/\" has keys."), "{}", err(&filled));
    assert_eq!(run(&server, &["check", "perf", "--load=z"]).status.code(), Some(4));
    assert_eq!(run(&server, &["check", "datascale", "--load=z"]).status.code(), Some(4));
}

#[test]
fn a_check_of_the_memory_reads_the_metrics_with_and_without_tls() {
    let pki = Pki::new();
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    let mut command = etcdctl(&server);
    command.args(pki.client_flags("client")).args(["check", "datascale"]);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}{}", out(&ended), err(&ended));
    assert!(out(&ended).contains("PASS: Approximate system memory used : "), "{}", out(&ended));
    let plain = Server::start(&Kind::Ours);
    let ended = run(&plain, &["check", "datascale"]);
    assert!(out(&ended).contains("Verdict: 10000 pairs"), "{}{}", out(&ended), err(&ended));
}

#[test]
fn the_table_of_tls_servers_tells_when_certificates_expire() {
    let pki = Pki::new();
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    let status = |format: &str| {
        let mut command = etcdctl(&server);
        command.args(pki.client_flags("client")).args(["endpoint", "status", "-w", format]);
        out(&command.output().unwrap())
    };
    let table = status("table");
    assert!(table.contains(" CERT EXPIRES "), "{table}");
    assert!(table.contains(" day"), "{table}");
    assert!(!status("simple").contains("day"));
}

#[test]
fn a_member_is_replaced_in_one_step_where_the_server_can() {
    let server = Server::start(&Kind::Ours);
    let list = out(&run(&server, &["member", "list"]));
    let id = list.split(',').next().unwrap();
    let replaced = run(&server, &["member", "replace", id, "--peer-urls=http://127.0.0.1:1"]);
    assert!(replaced.status.success(), "{}", err(&replaced));
    let text = out(&replaced);
    assert!(text.contains(&format!("will take the place of {id} ")), "{text}");
    assert!(text.contains("ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"), "{text}");
    assert!(out(&run(&server, &["member", "list"])).contains(", unstarted, "));
    let Some(folder) = reference::folder() else { return };
    let real = Server::start(&Kind::Reference(folder));
    let refused = run(&real, &["member", "replace", "1", "--peer-urls=http://127.0.0.1:1"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(err(&refused).contains("member add --learner"), "{}", err(&refused));
}

/// Reads until the end or until the text ends like this.
fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) && matches!(stream.read(&mut byte), Ok(1)) {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let Some(folder) = reference::folder() else { return };
    let server = Server::start(&Kind::Reference(folder));
    let program = Kind::Ours.program("etcdctl");
    let line = format!("{} --endpoints={} user add bob", program.display(), server.address());
    // A terminal made of two pipes.
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(server.home())
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut typed, mut shown) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    assert!(read_until(&mut shown, "Password of bob: ").ends_with("Password of bob: "));
    typed.write_all(b"secret\n").unwrap();
    let again = read_until(&mut shown, "again for confirmation: ");
    assert!(again.contains("Type password of bob again"), "{again}");
    typed.write_all(b"secret\n").unwrap();
    let rest = read_until(&mut shown, "User bob created");
    assert!(rest.ends_with("User bob created"), "{rest}");
    assert!(!again.contains("secret") && !rest.contains("secret"), "{again}{rest}");
    drop(typed);
    assert!(terminal.wait().unwrap().success());
}

/// What bash offers behind these words, of which the last one is being typed.
fn completed(script: &Path, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "source '{}'; COMP_WORDS=(etcdctl {}); COMP_CWORD={}; _etcdctl; printf '%s\\n' \
         \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len()
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_formats() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("etcdctl.bash");
    let output =
        Command::new(Kind::Ours.program("etcdctl")).args(["completion", "bash"]).output().unwrap();
    fs::write(&script, &output.stdout).unwrap();
    assert_eq!(completed(&script, &["mem"]), ["member"]);
    assert_eq!(
        completed(&script, &["member", ""]),
        ["add", "list", "promote", "remove", "replace", "update"]
    );
    assert_eq!(completed(&script, &["lease", "k"]), ["keep-alive"]);
    assert_eq!(completed(&script, &["lock", "--t"]), ["--ttl"]);
    assert_eq!(completed(&script, &["get", "--min"]), ["--min-create-rev", "--min-mod-rev"]);
    assert_eq!(completed(&script, &["--endpoints", "member", "memb"]), ["member"]);
    assert_eq!(
        completed(&script, &["--endpoints", "=", "x", "endpoint", "h"]),
        ["hashkv", "health"]
    );
    assert_eq!(completed(&script, &["--endpoints", "mem"]), Vec::<String>::new());
    assert_eq!(completed(&script, &["endpoint", "-w", "json", "he"]), ["health"]);
    assert_eq!(completed(&script, &["member", "add", "--lea"]), ["--learner"]);
    assert_eq!(completed(&script, &["get", "-w", "t"]), ["table"]);
    assert_eq!(completed(&script, &["get", "--write-out", "=", "j"]), ["json"]);
    assert_eq!(completed(&script, &["endpoint", "status", "--clus"]), ["--cluster"]);
    for shell in ["zsh", "fish"] {
        let output =
            Command::new(Kind::Ours.program("etcdctl")).args(["completion", shell]).output();
        let text = out(&output.unwrap());
        assert!(text.contains("grant-permission") && text.contains("snapshot"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_for_every_program() {
    let home = tempfile::tempdir().unwrap();
    let program = Kind::Ours.program("etcdctl");
    let written = Command::new(&program).arg("man").arg(home.path()).status().unwrap();
    assert!(written.success());
    for name in ["etcd", "etcdctl", "etcdutl"] {
        let page = fs::read_to_string(home.path().join(format!("{name}.1"))).unwrap();
        assert!(page.starts_with(&format!(".TH {} 1 ", name.to_uppercase())), "{page}");
        assert!(page.contains(&format!(".SH NAME\n{name} \\- ")), "{name}");
    }
    let etcd = fs::read_to_string(home.path().join("etcd.1")).unwrap();
    assert!(etcd.contains("\n.TP\n\\-\\-listen\\-client\\-urls"), "every flag has its entry");
    let printed = Command::new(&program).arg("man").output().unwrap();
    assert_eq!(printed.stdout, fs::read(home.path().join("etcdctl.1")).unwrap());
    let nowhere = Command::new(&program).args(["man", "/nonexistent"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err(&nowhere).contains("/nonexistent/etcd.1"), "{}", err(&nowhere));
}
