//! Plays tables of commands with both programs on both servers, and compares what scripts see.

use std::io::Write;
use std::process::{Command, Stdio};

use super::differences::Difference;
use super::mask;
use super::script::{Keep, Line, Numbers, Order, Seen, Table, line, words};
use crate::support::server::{Kind, Server};

/// How often a question is put again whose answer changed between the two programs: a server at
/// leisure still writes into its log now and then.
const ATTEMPTS: usize = 5;

/// A program, the server it talks to, and what was kept so far.
pub(super) struct Player<'a> {
    pub(super) program: &'a Kind,
    pub(super) server: &'a Server,
    /// Flags in front of each command.
    pub(super) flags: &'a [String],
    numbers: Numbers,
}

/// What was seen of a line, and whether a learner stands behind the other member then.
pub(super) type Record = (Seen, bool);

impl<'a> Player<'a> {
    pub(super) fn new(program: &'a Kind, server: &'a Server, flags: &'a [String]) -> Self {
        Self { program, server, flags, numbers: Numbers::default() }
    }

    /// Plays a table from its first line to its last.
    pub(super) fn play(&mut self, table: &Table) -> Vec<Record> {
        let one = |line: &Line| {
            let seen = self.line(line, table.keeps);
            let placed = table.order == Order::ByMember && self.learner_is_last();
            (seen, placed)
        };
        table.lines.iter().map(one).collect()
    }

    /// Plays one line.
    pub(super) fn line(&mut self, line: &Line, keep: Option<Keep>) -> Seen {
        let (code, out, err) = self.run(line, &self.numbers.fill(line.arguments));
        self.numbers.keep(keep, line, &out);
        let out = self.numbers.hide(&mask::output(&out, self.server));
        let err = self.numbers.hide(&mask::errors(&err, self.server));
        Seen { line: *line, code, out, err }
    }

    fn run(&self, line: &Line, arguments: &str) -> (Option<i32>, String, String) {
        let mut child = Command::new(self.program.program("etcdctl"))
            .env_clear()
            .envs(line.environment.iter().copied())
            .current_dir(self.server.home())
            .arg(format!("--endpoints={}", self.server.address()))
            .args(self.flags)
            .args(words(arguments))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut typed = child.stdin.take().unwrap();
        // A command that does not read its input may have closed it already.
        let _unread = typed.write_all(line.input.as_bytes());
        drop(typed);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let printed = if arguments.contains("-w protobuf") {
            mask::term(&output.stdout)
        } else {
            output.stdout.clone()
        };
        (output.status.code(), text(&printed), text(&output.stderr))
    }

    fn learner_is_last(&self) -> bool {
        let (_, list, _) = self.run(&line("member list"), "member list");
        list.lines().next().is_some_and(|line| line.contains(", started, "))
    }
}

/// Where records part, as texts for people; differences that are meant are noted in `met`.
pub(super) fn parted(
    table: &Table,
    expected: &[Record],
    got: &[Record],
    met: &mut Vec<&'static str>,
) -> Vec<String> {
    assert_eq!(expected.len(), got.len(), "{}", table.name);
    let mut parted = Vec::new();
    for (expected, got) in expected.iter().zip(got) {
        if alike(expected, got) {
            continue;
        }
        match Difference::of(&expected.0, &got.0) {
            Some(difference) => met.push(difference.arguments),
            None => {
                parted.push(format!("\n {}\n  etcd: {}\n  ours: {}", table.name, expected.0, got.0))
            }
        }
    }
    parted
}

fn alike(expected: &Record, got: &Record) -> bool {
    if expected.1 == got.1 {
        return expected.0 == got.0;
    }
    let parts = |text: &str| {
        let mut parts: Vec<String> =
            text.split([',', '\n', '[', ']', '{', '}', '"', '=']).map(str::to_owned).collect();
        parts.retain(|part| !part.is_empty());
        parts.sort_unstable();
        parts
    };
    let (expected, got) = (&expected.0, &got.0);
    expected.code == got.code
        && parts(&expected.out) == parts(&got.out)
        && parts(&expected.err) == parts(&got.err)
}

/// Puts each question of a table to one server with both programs, one right after the other.
pub(super) fn ask(table: &Table, server: &Server, real: &Kind) -> (Vec<Record>, Vec<Record>) {
    let (mut original, mut ours) =
        (Player::new(real, server, &[]), Player::new(&Kind::Ours, server, &[]));
    let put = |line: &Line| {
        let mut pair = (original.line(line, None), ours.line(line, None));
        for _ in 1..ATTEMPTS {
            if pair.0 == pair.1 {
                break;
            }
            pair = (original.line(line, None), ours.line(line, None));
        }
        ((pair.0, false), (pair.1, false))
    };
    table.lines.iter().map(put).unzip()
}
