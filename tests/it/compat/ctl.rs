//! Command lines: the real etcdctl on both servers, and our etcdctl on both, must print the same.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::compat::assert_same;
use crate::support::pki::Pki;
use crate::support::reference;
use crate::support::server::{Kind, Server};

/// One command: its arguments, split at blanks (`'…'` keeps them together), and its input.
pub(super) struct Line {
    pub(super) arguments: &'static str,
    pub(super) input: &'static str,
}

pub(super) const fn line(arguments: &'static str) -> Line {
    Line { arguments, input: "" }
}

/// Commands whose answers, errors included, do not depend on when they are asked.
const COMMANDS: &[Line] = &[
    line("put foo bar"),
    line("get foo"),
    line("get foo -w json"),
    line("get foo -w fields"),
    line("get foo -w simple --hex"),
    line("get foo -w table"),
    line("get missing"),
    line("get missing -w json"),
    line("put foo baz --prev-kv"),
    line("put foo --ignore-value"),
    Line { arguments: "put piped", input: "from standard input" },
    line("put a 1"),
    line("put ab 2"),
    line("put abc 3"),
    line("put b 4 -w json"),
    line("put dash -- -5"),
    line("get a --prefix"),
    line("get a --prefix --keys-only"),
    line("get a --prefix --print-value-only"),
    line("get a --prefix --count-only"),
    line("get a --prefix --count-only -w fields"),
    line("get a --prefix --limit 2"),
    line("get a --prefix --limit 2 -w json"),
    line("get ab --from-key"),
    line("get a b"),
    line("get a c --order DESCEND"),
    line("get a c --sort-by VALUE --order DESCEND"),
    line("get a c --sort-by nonsense"),
    line("get a c --order nonsense"),
    line("get a --rev 1"),
    line("get a --rev 2 --prefix"),
    line("get a --rev 999"),
    line("get a --consistency s"),
    line("get a --consistency nonsense"),
    line("get"),
    line("get a b c"),
    line("get a --prefix --from-key"),
    line("get '' --prefix"),
    line("get '' --from-key --keys-only"),
    line("put"),
    line("put a"),
    line("put a b c"),
    line("put a b --lease zz"),
    line("put a b --lease 123abc"),
    line("put a b --ignore-value"),
    line("put '' x"),
    line("del"),
    line("del missing"),
    line("del a"),
    line("del ab --prev-kv"),
    line("del a --prefix --prev-kv -w json"),
    line("del b --from-key"),
    line("del x --prefix --from-key"),
    line("put k v1"),
    line("put k v2"),
    line("del k"),
    line("nonsense"),
    line("get a --nonsense"),
    line("endpoint health"),
    line("endpoint health -w json"),
    line("endpoint health --cluster"),
    line("version"),
];

/// More commands, which other tables hold for our program.
const ORIGINAL_COMMANDS: &[Line] = &[
    line("lease list"),
    line("lease grant 100 -w fields"),
    line("lease timetolive 404"),
    line("lease revoke 404"),
    line("member list"),
    line("member list -w table"),
    line("member list -w json"),
    line("compaction 5"),
    line("compaction 5"),
    line("compaction 9999"),
    line("compaction 6 --physical"),
    line("get foo --rev 3"),
    Line {
        arguments: "txn",
        input: "value(\"foo\") = \"baz\"\n\nput yes 1\nget foo\n\ndel foo\n\n",
    },
    Line { arguments: "txn -w json", input: "mod(\"foo\") > \"999\"\n\nput yes 1\n\nget foo\n\n" },
    line("alarm list"),
    line("alarm disarm"),
    line("defrag"),
    line("endpoint hashkv"),
    line("auth status -w fields"),
    line("move-leader zz"),
];

#[test]
fn the_real_etcdctl_cannot_tell_the_servers_apart() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let play = |server: &Kind| {
        let server = Server::start(server);
        COMMANDS
            .iter()
            .chain(ORIGINAL_COMMANDS)
            .map(|line| run(&real, &server, &[], line))
            .collect::<Vec<_>>()
    };
    assert_same(&play(&real), &play(&Kind::Ours));
}

#[test]
fn our_etcdctl_prints_what_the_real_one_prints() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let play = |program: &Kind, server: &Kind| {
        let server = Server::start(server);
        COMMANDS.iter().map(|line| run(program, &server, &[], line)).collect::<Vec<_>>()
    };
    let expected = play(&real, &real);
    assert_same(&expected, &play(&Kind::Ours, &real));
    assert_same(&expected, &play(&Kind::Ours, &Kind::Ours));
}

/// Strangers are refused only once their time is up; it need not be long.
const IMPATIENT: [&str; 2] = ["--dial-timeout=1s", "--command-timeout=2s"];

#[test]
fn over_mutual_tls_everything_is_the_same() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let pki = Pki::new();
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let play = |program: &Kind, server: &Kind, lines: &[&[Line]]| {
        let server = Server::start_with(server, "https", &flags);
        let own = pki.client_flags("client");
        let mut record: Vec<String> =
            lines.iter().copied().flatten().map(|line| run(program, &server, &own, line)).collect();
        let impatient = IMPATIENT.map(str::to_owned);
        let authority = format!("--cacert={}", pki.file("ca.crt").display());
        let nameless = [&impatient[..], &[authority]].concat();
        record.push(run(program, &server, &nameless, &line("put nameless x")));
        for stranger in ["unknown", "expired"] {
            let flags = [&impatient[..], &pki.client_flags(stranger)].concat();
            record.push(run(program, &server, &flags, &line("put stranger x")));
        }
        record.push(run(program, &server, &own, &line("get '' --prefix --keys-only")));
        record
    };
    let all: &[&[Line]] = &[COMMANDS, ORIGINAL_COMMANDS];
    assert_same(&play(&real, &real, all), &play(&real, &Kind::Ours, all));
    let expected = play(&real, &real, &[COMMANDS]);
    assert_same(&expected, &play(&Kind::Ours, &Kind::Ours, &[COMMANDS]));
}

/// Runs one command and writes down what a script would see of it.
pub(super) fn run(program: &Kind, server: &Server, flags: &[String], line: &Line) -> String {
    let mut child = Command::new(program.program("etcdctl"))
        .env_clear()
        .current_dir(server.home())
        .arg(format!("--endpoints={}", server.address()))
        .args(flags)
        .args(words(line.arguments))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that does not read its input may have closed it already.
    let _unread = input.write_all(line.input.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    format!(
        "etcdctl {} => {:?}\n{}{}",
        line.arguments,
        output.status.code(),
        mask(&String::from_utf8_lossy(&output.stdout), server),
        mask_errors(&String::from_utf8_lossy(&output.stderr), server),
    )
}

pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Terms, times, versions and the address differ between servers; all else must not. Member and
/// cluster ids are the same on purpose: they derive from the same flags.
pub(super) fn mask(text: &str, server: &Server) -> String {
    let mut masked = without_descriptions(text).replace(server.address(), "ADDRESS");
    for (field, end) in [
        ("\"raft_term\":", &['}', ','][..]),
        ("\"RaftTerm\" : ", &['\n']),
        // A lease id the server chose.
        ("\"ID\" : ", &['\n']),
        ("took = ", &['\n']),
        ("\"took\":\"", &['"']),
        ("etcdctl version: ", &['\n']),
    ] {
        masked = mask_field(&masked, field, end);
    }
    masked
}

/// Help lists the same flags and commands in the same layout; what it says about them is its own, and
/// so are its examples.
fn without_descriptions(text: &str) -> String {
    if !text.starts_with("NAME:\n") {
        return text.to_owned();
    }
    let text = match text.split_once("EXAMPLE:\n") {
        Some((before, after)) => {
            format!("{before}{}", after.split_once("\n\n").map_or("", |(_, rest)| rest))
        }
        None => text.to_owned(),
    };
    let name_only = |line: &str| {
        let indented = line.starts_with(' ') || line.starts_with('\t');
        let end = line.trim_start().find(['\t']).or_else(|| line.trim_start().find(" - "));
        let start = line.len() - line.trim_start().len();
        let end = end.filter(|_| indented).map_or(line.len(), |end| start + end);
        format!("{}\n", &line[..end])
    };
    let older = |line: &&str| !LATER_FLAGS.iter().any(|flag| line.contains(flag));
    text.lines().filter(older).map(name_only).collect()
}

/// Flags of `get` that came after the release compared with.
const LATER_FLAGS: [&str; 5] =
    ["--max-create-rev", "--max-mod-rev", "--min-create-rev", "--min-mod-rev", "--stream"];

pub(super) fn mask_field(text: &str, field: &str, end: &[char]) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(field) {
        let value = at + field.len();
        masked.push_str(&rest[..value]);
        masked.push('_');
        rest = &rest[value..];
        rest = &rest[rest.find(end).unwrap_or(rest.len())..];
    }
    masked.push_str(rest);
    masked
}

/// The client library logs retries as JSON with addresses and times; the last line is the message.
pub(super) fn mask_errors(text: &str, server: &Server) -> String {
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('{') || !line.contains("\"logger\""))
        .collect();
    mask(&kept.join("\n"), server)
}
