//! Leases, locks and elections: the original and ours, each on both servers, and both at once.

use std::process::Command;

use crate::compat::assert_same;
use crate::compat::ctl::{Line, four_ways, line, mask_errors, mask_field, run, words};
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

/// A life of leases; `LEASE` is the id of the last one granted.
pub(super) const LEASES: &[Line] = &[
    line("lease list"),
    line("lease list -w json"),
    line("lease list -w fields"),
    line("lease list extra"),
    line("lease grant 600"),
    line("put --lease=LEASE k v"),
    line("get k -w json"),
    line("get k -w fields"),
    line("lease timetolive LEASE"),
    line("lease timetolive LEASE --keys"),
    line("lease timetolive LEASE -w json"),
    line("lease timetolive LEASE --keys -w json"),
    line("lease timetolive LEASE --keys -w fields"),
    line("lease timetolive LEASE -w table"),
    line("lease list"),
    line("lease list -w json"),
    line("lease list -w fields"),
    line("lease list -w table"),
    line("lease keep-alive LEASE --once"),
    line("lease keep-alive --once LEASE -w json"),
    line("lease keep-alive --once LEASE -w fields"),
    line("lease keep-alive --once LEASE -w table"),
    line("lease keep-alive LEASE -w table"),
    line("lease keep LEASE --once"),
    line("lease revoke LEASE"),
    line("lease revoke LEASE"),
    line("lease keep-alive LEASE"),
    line("lease keep-alive LEASE -w json"),
    line("lease keep-alive LEASE --once"),
    line("get k"),
    line("lease grant 600 -w json"),
    line("lease timetolive LEASE --keys"),
    line("lease timetolive LEASE --keys -w json"),
    line("lease revoke LEASE -w json"),
    line("lease grant 600 -w json"),
    line("lease revoke LEASE -w fields"),
    line("lease grant 600 -w json"),
    line("lease revoke LEASE -w table"),
    line("lease grant 600 -w fields"),
    line("lease grant 600 -w table"),
    line("lease grant 600 -w bogus"),
    line("lease grant"),
    line("lease grant 1 2"),
    line("lease grant x"),
    line("lease grant 99999999999"),
    line("lease grant 99999999999999999999"),
    line("lease revoke"),
    line("lease revoke zz"),
    line("lease revoke 0x12"),
    line("lease revoke 0"),
    line("lease revoke -- -5"),
    line("lease timetolive"),
    line("lease timetolive 1 2"),
    line("lease timetolive zz"),
    line("lease timetolive 1234"),
    line("lease timetolive -- -5"),
    line("lease timetolive 1234 --keys"),
    line("lease timetolive 1234 --keys -w json"),
    line("lease timetolive 1234 -w fields"),
    line("lease keep-alive"),
    line("lease keep-alive 1 2"),
    line("lease keep-alive zz"),
    line("lease keep-alive 1234"),
    line("lease keep-alive 1234 -w fields"),
    line("lease keep-alive 1234 --once"),
    line("lease"),
    line("lease bogus"),
    line("lease grant --bogus"),
    line("lease timetolive --help"),
    line("lease keep-alive --help"),
];

/// Locks for commands. The environment has no path, so programs are named in full.
pub(super) const LOCKS: &[Line] = &[
    line("lock"),
    line("lock l /bin/echo hi"),
    line("lock l -- /bin/echo -n hi"),
    line("lock l -w json /bin/echo hi"),
    line("lock l -- /bin/sh -c 'echo $ETCD_LOCK_KEY $ETCD_LOCK_REV'"),
    line("lock l/ -- /bin/sh -c 'echo $ETCD_LOCK_KEY $ETCD_LOCK_REV'"),
    line("lock '' -- /bin/sh -c 'echo $ETCD_LOCK_KEY'"),
    line("lock l --ttl 5 -- /bin/true"),
    line("lock l --ttl=0 /bin/true"),
    line("lock l --ttl=-1 /bin/true"),
    line("lock l --ttl=zz /bin/true"),
    line("lock l --bogus /bin/true"),
    line("lock l /bin/sh -c true"),
    line("lock l /bin/false"),
    line("lock l -- /bin/sh -c 'exit 3'"),
    line("lock l -- /bin/sh -c 'echo out; echo err >&2; exit 200'"),
    line("lock l -- /bin/sh -c 'kill -9 $$'"),
    line("lock l -- /bin/sh -c 'kill -15 $$'"),
    line("lock l /nonexistent/command"),
    line("lock l -w bogus /bin/true"),
    line("lock l /bin/cat").typing("commands do not read what we could"),
    line("get l --prefix"),
    line("lock --help"),
];

/// Elections that need not be waited for.
pub(super) const ELECTIONS: &[Line] = &[
    line("elect"),
    line("elect a"),
    line("elect -l"),
    line("elect a b c"),
    line("elect -l a b"),
    line("elect -l a b c"),
    line("elect a b -w bogus"),
    line("elect --bogus"),
    line("elect --help"),
];

/// The id of a lease in what a program printed.
fn granted(record: &str) -> Option<String> {
    if let Some((before, _)) = record.split_once(" granted with TTL") {
        return before.rsplit(' ').next().map(str::to_owned);
    }
    let (_, id) = record.split_once("\"ID\":")?;
    let id = &id[..id.find(|letter: char| !letter.is_ascii_digit())?];
    id.parse::<u64>().ok().map(|id| format!("{id:016x}"))
}

/// Ids of leases, and the seconds they have left, differ from one run to the next.
fn masked(record: &str, ids: &[String]) -> String {
    let mut masked = record.to_owned();
    for (number, id) in ids.iter().enumerate() {
        let decimal = u64::from_str_radix(id, 16).unwrap().to_string();
        for id in [id.as_str(), id.trim_start_matches('0'), &decimal] {
            masked = masked.replace(id, &format!("LEASE{number}"));
        }
    }
    for (field, end) in [
        ("remaining(", &[')'][..]),
        ("\"ttl\":", &[',']),
        ("\"TTL\" : ", &['\n']),
        // Keys of locks and elections, which end with the id of a lease.
        ("\nl/", &[' ', '\n']),
        ("\ne/", &[' ', '\n']),
        ("\n/", &[' ', '\n']),
        ("\"key\":\"bC8", &['"']),
        ("\"key\":\"ZS8", &['"']),
        ("\"Key\" : \"l/", &['"']),
        ("\"Key\" : \"e/", &['"']),
        ("\"lease\":", &['}', ',']),
        ("\"Lease\" : ", &['\n']),
    ] {
        masked = mask_field(&masked, field, end);
    }
    masked
}

fn play(program: &Kind, server: &Kind, lines: &[Line]) -> Vec<String> {
    let server = Server::start(server);
    lines.iter().map(|line| masked(&run(program, &server, &[], line), &[])).collect()
}

#[test]
fn commands_run_under_locks_alike() {
    four_ways(|program, server| play(program, server, LOCKS));
}

#[test]
fn protobuf_of_leases_is_the_same_bytes() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    for kind in [&real, &Kind::Ours] {
        let server = Server::start(kind);
        for text in [
            "lease grant 600 -w protobuf",
            "lease list -w protobuf",
            "lease timetolive 1234 --keys -w protobuf",
            "lease keep-alive 1234 -w protobuf",
        ] {
            let ours = run(&Kind::Ours, &server, &[], &line(text));
            assert_eq!(run(&real, &server, &[], &line(text)), ours);
        }
    }
}

fn start(program: &Kind, server: &Server, text: &str) -> Process {
    let mut command = Command::new(program.program("etcdctl"));
    command.env_clear().current_dir(server.home());
    command.arg(format!("--endpoints={}", server.address())).args(words(text));
    Process::start(&mut command)
}

/// How a process ended and what it printed, lines of the client library left out.
fn ended(process: &mut Process, server: &Server) -> String {
    let code = process.wait_end().code();
    let output = format!("\n{}\n", process.output().join("\n"));
    format!("{code:?}{}", masked(&mask_errors(&output, server), &[]))
}

fn keys(server: &Server, prefix: &str) -> Vec<String> {
    let mut asking = start(&Kind::Ours, server, &format!("get {prefix} --prefix --keys-only"));
    assert!(asking.wait_end().success());
    asking.output().into_iter().filter(|line| !line.is_empty()).collect()
}

fn wait_for_keys(server: &Server, prefix: &str, count: usize) {
    eventually("keys below the prefix", || (keys(server, prefix).len() == count).then_some(()));
}

fn key_of(process: &mut Process, prefix: &str) -> String {
    process.wait_line("the key", |line| line.starts_with(prefix).then(|| line.to_owned()))
}

/// Both programs in one queue.
fn queue_for_a_lock(holder: &Kind, waiter: &Kind, server: &Kind) -> Vec<String> {
    let server = Server::start(server);
    let mut record = Vec::new();
    let mut holding = start(holder, &server, "lock l");
    key_of(&mut holding, "l/");
    let mut waiting = start(waiter, &server, "lock l -- /bin/echo mine");
    wait_for_keys(&server, "l/", 2);
    let mut impatient = start(waiter, &server, "lock l");
    wait_for_keys(&server, "l/", 3);
    impatient.signal("INT");
    record.push(ended(&mut impatient, &server));
    wait_for_keys(&server, "l/", 2);
    assert!(!waiting.has_ended());
    holding.signal("TERM");
    record.push(ended(&mut holding, &server));
    record.push(ended(&mut waiting, &server));
    wait_for_keys(&server, "l/", 0);
    for format in ["json", "fields"] {
        let mut holding = start(holder, &server, &format!("lock l -w {format}"));
        wait_for_keys(&server, "l/", 1);
        holding.wait_line("the count", |line| line.to_lowercase().contains("count").then_some(()));
        holding.signal("INT");
        record.push(ended(&mut holding, &server));
    }
    let mut bereft = start(holder, &server, "lock l --ttl=3");
    let key = key_of(&mut bereft, "l/");
    let revoke = format!("lease revoke {}", &key["l/".len()..]);
    assert!(start(waiter, &server, &revoke).wait_end().success());
    record.push(ended(&mut bereft, &server));
    record
}

/// One election with candidates and an observer of both programs.
fn elect(leader: &Kind, other: &Kind, server: &Kind) -> Vec<String> {
    let server = Server::start(server);
    let mut record = Vec::new();
    let mut early = start(other, &server, "elect -l e -w fields");
    let mut first = start(leader, &server, "elect e one");
    key_of(&mut first, "e/");
    early.wait_line("the first leader", |line| line.contains("\"one\"").then_some(()));
    let mut listening = start(leader, &server, "elect -l e");
    listening.wait_line("the first leader", |line| (line == "one").then_some(()));
    // "one", and below "two", in base64.
    let mut coded = start(other, &server, "elect -l e -w json");
    coded.wait_line("the first leader", |line| line.contains("\"b25l\"").then_some(()));
    let mut second = start(other, &server, "elect e two");
    wait_for_keys(&server, "e/", 2);
    let mut impatient = start(other, &server, "elect e three");
    wait_for_keys(&server, "e/", 3);
    impatient.signal("INT");
    record.push(ended(&mut impatient, &server));
    wait_for_keys(&server, "e/", 2);
    first.signal("INT");
    record.push(ended(&mut first, &server));
    key_of(&mut second, "e/");
    listening.wait_line("the second leader", |line| (line == "two").then_some(()));
    early.wait_line("the second leader", |line| line.contains("\"two\"").then_some(()));
    coded.wait_line("the second leader", |line| line.contains("\"dHdv\"").then_some(()));
    second.signal("TERM");
    record.push(ended(&mut second, &server));
    for mut observer in [listening, early, coded] {
        observer.signal("INT");
        record.push(ended(&mut observer, &server));
    }
    wait_for_keys(&server, "e/", 0);
    record
}

fn together(play: impl Fn(&Kind, &Kind, &Kind) -> Vec<String>) {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let expected = play(&real, &real, &real);
    for server in [&real, &Kind::Ours] {
        for (one, other) in [(&Kind::Ours, &Kind::Ours), (&Kind::Ours, &real), (&real, &Kind::Ours)]
        {
            assert_same(&expected, &play(one, other, server));
        }
    }
}

#[test]
fn both_programs_wait_for_the_same_lock() {
    together(queue_for_a_lock);
}

#[test]
fn both_programs_stand_for_the_same_election() {
    together(elect);
}

#[test]
fn leases_are_kept_alive_until_they_are_revoked() {
    four_ways(|program, server| {
        let server = Server::start(server);
        let granted = granted(&run(program, &server, &[], &line("lease grant 2"))).unwrap();
        let mut keeping = start(program, &server, &format!("lease keep-alive {granted}"));
        let renewals = |keeping: &Process| {
            keeping.output().iter().filter(|line| line.ends_with("keepalived with TTL(2)")).count()
        };
        eventually("several renewals", || (renewals(&keeping) >= 3).then_some(()));
        assert!(start(program, &server, &format!("lease revoke {granted}")).wait_end().success());
        let code = keeping.wait_end().code();
        let mut lines = keeping.output();
        lines.dedup();
        vec![format!("{code:?} {}", masked(&lines.join("\n"), &[granted]))]
    });
}

/// Faults of the original that nobody can depend on are mended, one by one. Kept are those that
/// scripts may have come to know, all in the tables above: `-w protobuf` of leases is a header alone,
/// `keep-alive` ends with 0 when its lease is gone and `timetolive` when there is none, commands
/// under a lock have nothing to read, an observed election counts no keys.
#[test]
fn faults_of_leases_that_nobody_depends_on_are_mended() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let server = Server::start(&real);
    let leases = || {
        let record = run(&Kind::Ours, &server, &[], &line("lease list"));
        record.matches("\n").count() - 2
    };
    // It cannot print that it has revoked a lease in protobuf, and ends with 4.
    let revoked = |program: &Kind| {
        let id = granted(&run(program, &server, &[], &line("lease grant 600"))).unwrap();
        run_owned(program, &server, &format!("lease revoke {id} -w protobuf"))
    };
    let (theirs, ours) = (revoked(&real), revoked(&Kind::Ours));
    assert!(theirs.contains("Some(4)\nError: marshal unsupported"), "mended meanwhile? {theirs}");
    assert!(ours.contains("Some(0)"), "{ours}");
    assert_eq!(leases(), 0);
    // It leaves its lease behind when it has let go, and the lock as well when it cannot print.
    run_owned(&Kind::Ours, &server, "lock l /bin/true");
    let refused = run_owned(&Kind::Ours, &server, "lock l -w table");
    assert!(refused.contains("Some(4)\nError: table not supported"), "{refused}");
    assert_eq!(leases(), 0);
    run_owned(&real, &server, "lock l /bin/true");
    assert_eq!(leases(), 1, "mended meanwhile?");
    // A lock inside a lock sees the outer one.
    let nested = |program: &Kind| {
        let path = program.program("etcdctl");
        let (path, address) = (path.display(), server.address());
        let inner = format!("{path} --endpoints={address} lock in /usr/bin/env");
        run_owned(program, &server, &format!("lock out -- {inner}"))
    };
    assert!(nested(&real).contains("ETCD_LOCK_KEY=out/"), "mended meanwhile?");
    assert!(nested(&Kind::Ours).contains("ETCD_LOCK_KEY=in/"));
    // It takes a lease for expired when no server can be asked, and ends with 0.
    let unreachable = Kind::Ours.program("etcdctl");
    let words = ["--endpoints=127.0.0.1:1", "--dial-timeout=100ms", "lease", "keep-alive", "1"];
    let output = Command::new(unreachable).env_clear().args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.ends_with("Error: context deadline exceeded\n"), "{errors}");
    assert!(errors.contains("onnection refused"), "the reason is told: {errors}");
}

fn run_owned(program: &Kind, server: &Server, text: &str) -> String {
    run(program, server, &[], &line(Box::leak(text.to_owned().into())))
}

#[test]
fn a_command_under_a_lock_is_told_to_stop_and_of_the_loss_of_the_lock() {
    let server = Server::start(&Kind::Ours);
    let script =
        "lock l -- /bin/sh -c 'trap \"exit 7\" TERM; echo ready; while :; do sleep 0.1; done'";
    let mut running = start(&Kind::Ours, &server, script);
    running.wait_line("the command", |line| (line == "ready").then_some(()));
    running.signal("TERM");
    assert_eq!(running.wait_end().code(), Some(7), "{:?}", running.output());
    assert!(keys(&server, "l/").is_empty());
    let script = "lock l --ttl=2 -- /bin/sh -c 'while [ ! -e done ]; do sleep 0.1; done'";
    let mut running = start(&Kind::Ours, &server, script);
    wait_for_keys(&server, "l/", 1);
    let key = keys(&server, "l/").remove(0);
    assert!(
        start(&Kind::Ours, &server, &format!("lease revoke {}", &key[2..])).wait_end().success()
    );
    running.wait_line("the warning", |line| line.contains("the lock was lost").then_some(()));
    std::fs::write(server.home().join("done"), "").unwrap();
    assert_eq!(running.wait_end().code(), Some(0), "{:?}", running.output());
}
