//! Command lines about members, servers, users and roles: our etcdctl against the original.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::compat::assert_same;
use crate::compat::ctl::{mask, mask_errors, words};
use crate::support::reference;
use crate::support::server::{Kind, Server};

/// Questions: both programs ask the same server, one right after the other.
const QUESTIONS: &[&str] = &[
    "member list",
    "member list -w json",
    "member list -w fields",
    "member list -w table",
    "member list -w protobuf",
    "member list --hex",
    "member list --hex -w json",
    "member list --hex -w fields",
    "member list extra",
    "memb list",
    "snapshot bogus -w table",
    "endpoint status",
    "endpoint status -w fields",
    "endpoint status -w table",
    "endpoint status -w protobuf",
    "endpoint status --cluster",
    "endpoint hashkv",
    "endpoint hashkv -w json",
    "endpoint hashkv -w fields",
    "endpoint hashkv -w table",
    "endpoint hashkv -w protobuf",
    "endpoint hashkv --rev=1",
    "endpoint hashkv --rev=99999",
    "endpoint hashkv --cluster",
    "endpoint health -w table",
    "endpoint health -w fields",
    "alarm list",
    "alarm list -w json",
    "alarm list -w fields",
    "alarm list -w table",
    "alarm list x",
    "alarm disarm",
    "alarm disarm -w json",
    "alarm disarm x",
    "alarm",
    "defrag",
    "defrag --cluster",
    "defrag -w bogus",
    "move-leader",
    "move-leader zz",
    "move-leader 123",
    "move-leader fffffffffffffffffffff",
    "move-leader 123 -w json",
    "member add",
    "member add a",
    "member add a http://x:1",
    "member add a --peer-urls=",
    "member add a --peer-urls=foo",
    "member add a --peer-urls=http://127.0.0.1",
    "member add a --peer-urls=http://x:1/path",
    "member remove",
    "member remove zz",
    "member remove 123",
    "member remove 1 2",
    "member promote",
    "member promote zz",
    "member promote 123",
    "member update",
    "member update zz --peer-urls=http://127.0.0.1:1",
    "member update 1",
    "member update 1 --peer-urls=foo",
    "member update 123 --peer-urls=http://127.0.0.1:1",
    "snapshot save",
    "snapshot save a b",
    "snapshot save /nonexistent/x",
    "snapshot save x --endpoints=127.0.0.1:1",
    "auth enable x",
    "auth status x",
    "auth disable x",
    "auth status",
    "auth status -w json",
    "auth status -w fields",
    "auth status -w table",
    "user add",
    "user add a b",
    "user add :x",
    "user get",
    "user delete",
    "user passwd",
    "user list x",
    "user grant-role a",
    "user revoke-role a",
    "role add",
    "role get",
    "role delete",
    "role list x",
    "role grant-permission a",
    "role grant-permission a read",
    "role grant-permission a bogus c",
    "role grant-permission a read a b --prefix",
    "role grant-permission a read a b --from-key",
    "role grant-permission a read a --prefix --from-key",
    "role grant-permission a read '' --prefix --from-key",
    "role revoke-permission a",
];

/// Changes of a cluster's members, with what is asked in between. `NEW` is the id of the learner.
const MEMBERS: &[&str] = &[
    "member add n2 --peer-urls=http://127.0.0.1:14480 --learner",
    "member list",
    "member list -w json",
    "member list -w json --hex",
    "member list -w table",
    "member list -w fields",
    "member add n2 --peer-urls=http://127.0.0.1:15480 --learner",
    "member promote NEW",
    "member update NEW --peer-urls=http://127.0.0.1:14481,http://127.0.0.1:14482",
    "member update NEW --peer-urls=http://127.0.0.1:14483 -w json",
    "member update NEW --peer-urls=http://127.0.0.1:14483 -w fields",
    "member remove NEW",
    "member remove NEW",
    "member add n3 --peer-urls=http://127.0.0.1:14490,http://127.0.0.1:14491 --learner",
    "member remove NEW -w json",
    "member add n4 --peer-urls=http://127.0.0.1:14492 --learner -w json",
    "member remove NEW -w table",
    "member list",
];

/// Users and roles from their first day to their last; behind `<` what is typed.
const AUTH: &[&str] = &[
    "auth enable",
    "user add root:rootpw",
    "user add root:rootpw",
    "user add u1 --new-user-password=pw1",
    "user add u2 --interactive=false < pw2",
    "user add u3 --no-password",
    "user add xjson:pw -w json",
    "user add xfields:pw -w fields",
    "user add xtable:pw -w table",
    "user list",
    "user list -w json",
    "user list -w fields",
    "user list -w protobuf",
    "role add r1",
    "role add r1",
    "role add r2 -w json",
    "role add r3 -w fields",
    "role add r4 -w table",
    "role grant-permission r1 read a z",
    "role grant-permission r1 readwrite foo -w json",
    "role grant-permission r1 READ k --from-key -w fields",
    "role grant-permission r1 write pre --prefix",
    "role grant-permission r2 read '' --prefix",
    "role grant-permission nobody read a",
    "role get r1",
    "role get r1 -w json",
    "role get r1 -w fields",
    "role get r1 -w table",
    "role get r2",
    "role get nobody",
    "role list",
    "role list -w json",
    "role list -w fields",
    "role revoke-permission r1 a z",
    "role revoke-permission r1 k --from-key",
    "role revoke-permission r1 pre --prefix",
    "role revoke-permission r1 nothing",
    "role revoke-permission r1 foo -w json",
    "role grant-permission r1 readwrite foo",
    "user grant-role u1 r1",
    "user grant-role u1 r1 -w fields",
    "user grant-role u1 nobody",
    "user get u1",
    "user get u1 -w json",
    "user get u1 -w fields",
    "user get u1 --detail",
    "user get u1 --detail -w json",
    "user get nobody",
    "user passwd u2 --interactive=false < new",
    "user revoke-role u1 r2",
    "user delete u3",
    "user delete u3",
    "role delete r3",
    "role delete r3",
    "auth enable",
    "auth status",
    "--user root:rootpw auth status",
    "--user root:rootpw auth status -w json",
    "get foo",
    "--user root:bad get foo",
    "--user u1:pw1 put foo v",
    "--user u1 --password pw1 get foo",
    "--user u1:pw1 get bar",
    "--user u1:pw1 user list",
    "--user u2:new user get u2",
    "--user u1:pw1 member list -w json",
    "--user u1:pw1 endpoint status -w table --cluster",
    "--user root:rootpw role get root",
    "--user root:rootpw user get root --detail",
    "--user root:rootpw auth enable",
    "auth disable",
    "--user root:rootpw auth disable",
    "auth status",
];

/// How often a question is put again whose answer changed between the two programs: a server at
/// leisure still writes into its log now and then.
const ATTEMPTS: usize = 5;

/// What a script sees of one command.
fn run(program: &Kind, server: &Server, text: &str) -> String {
    let (arguments, input) = text.split_once(" < ").unwrap_or((text, ""));
    let mut child = Command::new(program.program("etcdctl"))
        .env_clear()
        .current_dir(server.home())
        .arg(format!("--endpoints={}", server.address()))
        .args(words(arguments))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    // A command that does not read its input may have closed it already.
    let _unread = typed.write_all(input.as_bytes());
    drop(typed);
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    format!(
        "etcdctl {text} => {:?}\n{}{}",
        output.status.code(),
        mask(&health_unmeasured(&printed), server),
        mask_errors(&String::from_utf8_lossy(&output.stderr), server),
    )
}

/// How long a probe took, in the forms that do not say so in words the masks know.
fn health_unmeasured(text: &str) -> String {
    let timed = |line: &str| {
        let cells: Vec<&str> = line.split('|').collect();
        match cells.as_slice() {
            ["", endpoint, " HEALTH " | "   true ", _, error, ""] => {
                format!("|{endpoint}|_|{error}|")
            }
            _ if line.starts_with("\"Took\" : ") => "\"Took\" : _".to_owned(),
            _ => line.to_owned(),
        }
    };
    let timed_table = text.contains("| HEALTH |");
    let lines = text.lines().filter(|line| !timed_table || !line.starts_with('+')).map(timed);
    lines.map(|line| line + "\n").collect()
}

fn ask_both(server: &Server, real: &Kind, questions: &[&str]) {
    let (mut expected, mut got) = (Vec::new(), Vec::new());
    for question in questions {
        for attempt in 1..=ATTEMPTS {
            let pair = (run(real, server, question), run(&Kind::Ours, server, question));
            if pair.0 == pair.1 || attempt == ATTEMPTS {
                expected.push(pair.0);
                got.push(pair.1);
                break;
            }
        }
    }
    assert_same(&expected, &got);
}

#[test]
fn questions_to_a_real_server_are_answered_alike() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let server = Server::start(&real);
    ask_both(&server, &real, QUESTIONS);
}

#[test]
fn questions_to_our_server_are_answered_alike() {
    let Some(folder) = reference::folder() else { return };
    let server = Server::start(&Kind::Ours);
    ask_both(&server, &Kind::Reference(folder), QUESTIONS);
}

/// An answer, and whether the learner stands behind the other member in it.
type Placed = (String, bool);

/// Plays changes of the members, with the id of the learner, which has a time in it, replaced.
fn play_members(program: &Kind, server: &Kind) -> Vec<Placed> {
    let server = Server::start(server);
    let mut ids: Vec<String> = Vec::new();
    let mut record = Vec::new();
    for text in MEMBERS {
        let id = ids.last().cloned().unwrap_or_default();
        let mut answer = run(program, &server, &text.replace("NEW", &id));
        let list = run(program, &server, "member list");
        let with = |status: &str| {
            let line = list.lines().find(|line| line.contains(status));
            line.and_then(|line| line.split(',').next())
        };
        let learner = with(", unstarted, ");
        ids.extend(learner.filter(|id| !ids.iter().any(|known| known == id)).map(str::to_owned));
        for id in &ids {
            let decimal = u64::from_str_radix(id, 16).unwrap().to_string();
            // Sentences and tables pad a short id with blanks.
            for (before, after) in [("Member ", " "), ("| ", " |")] {
                let padded = format!("{before}{id:>16}{after}");
                answer = answer.replace(&padded, &format!("{before}NEW{after}"));
            }
            answer = answer.replace(id, "NEW");
            answer = answer.replace(&decimal, "NEW");
        }
        let padded = |id: Option<&str>| id.map(|id| format!("{id:0>16}"));
        let last = ids.last().map(String::as_str);
        record.push((answer, padded(last) > padded(with(", started, "))));
    }
    record
}

/// Members are listed by their ids. Where chance put the learner elsewhere the second time, the
/// parts of the answers are compared without their order.
fn assert_alike(expected: &[Placed], got: &[Placed]) {
    let parts = |text: &str| {
        let mut parts: Vec<&str> = text.split([',', '\n', '[', ']', '{', '}', '"', '=']).collect();
        parts.retain(|part| !part.is_empty());
        parts.sort_unstable();
        parts.join("\n")
    };
    let text = |one: &Placed, other: &Placed| {
        if one.1 == other.1 { one.0.clone() } else { parts(&one.0) }
    };
    let pairs = || expected.iter().zip(got);
    let left: Vec<String> = pairs().map(|(expected, got)| text(expected, got)).collect();
    let right: Vec<String> = pairs().map(|(expected, got)| text(got, expected)).collect();
    assert_same(&left, &right);
    assert_eq!(expected.len(), got.len());
}

#[test]
fn members_change_alike() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let expected = play_members(&real, &real);
    assert!(expected[0].0.contains("ETCD_NAME=\"n2\""), "{}", expected[0].0);
    assert_alike(&expected, &play_members(&Kind::Ours, &real));
    assert_alike(&play_members(&real, &Kind::Ours), &play_members(&Kind::Ours, &Kind::Ours));
}

#[test]
fn users_and_roles_change_alike() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let play = |program: &Kind| {
        let server = Server::start(&real);
        AUTH.iter().map(|text| run(program, &server, text)).collect::<Vec<_>>()
    };
    let expected = play(&real);
    assert!(expected.last().unwrap().contains("Authentication Status: false"));
    assert_same(&expected, &play(&Kind::Ours));
}
