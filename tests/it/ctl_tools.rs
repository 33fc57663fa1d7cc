//! Our `etcdctl` as a process: snapshots, copies, measurements, shells and manual pages.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::pki::Pki;
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::terminal::Terminal;
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
fn an_interrupted_check_leaves_nothing() {
    let server = Server::start(&Kind::Ours);
    let keys = |prefix: &str| {
        let words = ["get", prefix, "--prefix", "--keys-only"];
        out(&run(&server, &[&words[..], &["--limit=1"]].concat()))
    };
    for (check, prefix) in
        [("perf", "/etcdctl-check-perf/"), ("datascale", "/etcdctl-check-datascale/")]
    {
        let mut checking = Process::start(etcdctl(&server).args(["check", check, "--load=l"]));
        eventually("the first writes", || (!keys(prefix).is_empty()).then_some(()));
        checking.signal("INT");
        let code = checking.wait_end().code();
        let told = checking.output().join("\n");
        assert_eq!(keys(prefix), "", "{told}");
        match check {
            // It judges what there was until then.
            "perf" => assert!(told.contains("\nStopped after ") && code != Some(5), "{told}"),
            _ => assert!(told.contains("Error: interrupt: ") && code == Some(5), "{told}"),
        }
    }
}

#[test]
fn a_mirror_splits_large_transactions() {
    let (source, copy) = (
        Server::start_with(&Kind::Ours, "http", &["--max-txn-ops=400"]),
        Server::start(&Kind::Ours),
    );
    let put = |range: std::ops::Range<u32>| {
        let puts: String = range.map(|key| format!("put many{key:03} x\n")).collect();
        let mut command = etcdctl(&source);
        let mut child =
            command.arg("txn").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        write!(child.stdin.take().unwrap(), "\n{puts}\n\n").unwrap();
        assert!(child.wait().unwrap().success());
    };
    let count =
        || out(&run(&copy, &["get", "many", "--prefix", "--keys-only"])).lines().count() / 2;
    put(0..1);
    let mut mirror = Process::start(etcdctl(&source).args(["make-mirror", copy.address()]));
    eventually("what was there", || (count() == 1).then_some(()));
    put(1..301);
    eventually("what came at once", || (count() == 301).then_some(()));
    let from =
        ["make-mirror", "--rev=2", "--max-txn-ops=10", "--dest-prefix=other/", copy.address()];
    let _other = Process::start(etcdctl(&source).args(from));
    let others =
        || out(&run(&copy, &["get", "other/", "--prefix", "--keys-only"])).lines().count() / 2;
    eventually("the changes from there on", || (others() == 301).then_some(()));
    assert!(!mirror.has_ended());
    // The original knows no such limit, and fails.
    let Some(folder) = reference::folder() else { return };
    let other = Server::start(&Kind::Ours);
    let mut command = Command::new(folder.join("etcdctl"));
    command.env_clear().args(["--endpoints", source.address(), "make-mirror", other.address()]);
    let mut theirs = Process::start(&mut command);
    eventually("a copy by the original", || (value(&other, "many300") == "x\n").then_some(()));
    eventually("its end", || {
        // It begins to follow at a moment that it does not tell.
        put(0..300);
        theirs.has_ended().then_some(())
    });
    assert_eq!(theirs.wait_end().code(), Some(1), "mended meanwhile?");
    assert!(theirs.output().join("\n").contains("too many operations"), "{:?}", theirs.output());
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

#[test]
fn a_downgrade_is_asked_for_in_the_words_of_later_releases() {
    let Some(folder) = reference::folder() else { return };
    let real = Server::start(&Kind::Reference(folder));
    for (words, code, text) in [
        ("validate 3.4", 0, "Downgrade validate success, cluster version 3.5.0\n"),
        ("validate 3.4 -w json", 0, "\"version\":\"3.5.0\"}\n"),
        ("validate 3.4 -w protobuf", 0, "3.5.0"),
        ("validate 3.4 -w fields", 4, "Error: fields not supported as output format\n"),
        ("validate 3.4 -w table", 4, "Error: table not supported as output format\n"),
        ("validate 3.3", 1, "Error: etcdserver: invalid downgrade target version\n"),
        ("validate x", 1, "Error: etcdserver: wrong downgrade target version format\n"),
        ("cancel", 1, "Error: etcdserver: no inflight downgrade job\n"),
        // A server of 3.5 does it and never says so.
        ("enable 3.4 --command-timeout=1s", 1, "Error: context deadline exceeded\n"),
        ("enable 3.4", 1, "Error: etcdserver: cluster has a downgrade job in progress\n"),
        ("validate", 128, "Error: TARGET_VERSION not provided\n"),
        ("enable 3.4 3.3", 128, "Error: too many arguments\n"),
        ("cancel x", 128, "Error: too many arguments\n"),
    ] {
        let words: Vec<&str> = ["downgrade"].into_iter().chain(words.split(' ')).collect();
        let ended = run(&real, &words);
        assert_eq!(ended.status.code(), Some(code), "{words:?}: {}{}", out(&ended), err(&ended));
        let told = if code == 0 { out(&ended) } else { err(&ended) };
        assert!(told.ends_with(text), "{words:?}: {told}");
    }
    let ours = Server::start(&Kind::Ours);
    let refused = run(&ours, &["downgrade", "validate", "3.4"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("is not available in this version"), "{}", err(&refused));
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let Some(folder) = reference::folder() else { return };
    let server = Server::start(&Kind::Reference(folder));
    let program = Kind::Ours.program("etcdctl");
    let line = format!("{} --endpoints={} user add bob", program.display(), server.address());
    let mut terminal = Terminal::start(&line, server.home());
    terminal.wait("Password of bob: ");
    terminal.type_line("secret");
    terminal.wait("Type password of bob again");
    terminal.wait("for confirmation: ");
    terminal.type_line("secret");
    terminal.wait("User bob created");
    let (shown, code) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
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
