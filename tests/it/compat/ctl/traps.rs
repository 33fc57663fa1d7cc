//! The original's known bugs and traps, and what became of each: kept where a script may have come to
//! depend on it, mended where nobody can. Each stands with its reason and with what shows it: lines of
//! the tables, which the original and ours answer alike, a test by its name, or a command that both
//! answer here, each as it is written down.

mod list;

use list::ALL;

use super::script::Line;
use super::{run, tables};
use crate::support::reference;
use crate::support::server::{Kind, Server};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Kept,
    Mended,
}

/// What shows it.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// Lines of the tables.
    Lines(&'static [&'static str]),
    /// A test.
    Test(&'static str),
    /// A command, part of what the original says and does, and of ours.
    Both(Line, &'static str, &'static str),
}
use Shown::{Both, Lines, Test};

struct Trap {
    what: &'static str,
    decision: Decision,
    reason: &'static str,
    shown: Shown,
}

const fn trap(what: &'static str, decision: Decision, reason: &'static str, shown: Shown) -> Trap {
    Trap { what, decision, reason, shown }
}

/// Every line that is played.
fn played() -> Vec<&'static str> {
    let groups = tables::GROUPS.iter().flat_map(|group| group.iter());
    let others = tables::QUESTIONS.iter().chain(tables::CRAMPED).chain([tables::ALARMED]);
    groups.chain(others).flat_map(|table| table.lines.iter().map(|line| line.arguments)).collect()
}

/// Every test of this crate that runs here or beside the code.
fn tests() -> String {
    let listed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format=terse"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&listed.stdout).into_owned()
}

/// A test beside the code is looked for in its text.
fn is_beside_code(name: &str) -> bool {
    let Some((module, test)) = name.split_once("::tests::") else { return false };
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let path = format!("{root}{}.rs", module.replace("::", "/"));
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {test}()")))
}

#[test]
fn every_trap_is_decided_and_shown() {
    let (played, tests) = (played(), tests());
    for trap in ALL.iter().copied().flatten() {
        let Trap { what, reason, shown, .. } = trap;
        assert!(!reason.is_empty(), "{what}");
        match shown {
            Lines(lines) => {
                for line in *lines {
                    assert!(played.contains(line), "{what}: nobody plays {line}");
                }
            }
            Test(name) => {
                let listed = tests.lines().any(|line| line == format!("{name}: test"));
                assert!(listed || is_beside_code(name), "{what}: no test {name}");
            }
            // What is the same for both need not be shown to differ.
            Both(..) => assert_eq!(trap.decision, Decision::Mended, "{what}"),
        }
    }
}

#[test]
fn what_was_mended_is_still_broken_in_the_original() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let server = Server::start(&real);
    for trap in ALL.iter().copied().flatten() {
        let Both(line, theirs, ours) = trap.shown else { continue };
        let seen = |program: &Kind| run(program, &server, &[], &line);
        let (original, mended) = (seen(&real), seen(&Kind::Ours));
        assert!(original.contains(theirs), "{}: mended meanwhile? {original}", trap.what);
        assert!(mended.contains(ours), "{}: {mended}", trap.what);
        assert!(!mended.contains(theirs) || theirs == "Some(", "{}: {mended}", trap.what);
    }
}
