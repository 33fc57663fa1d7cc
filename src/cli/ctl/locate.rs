//! Finds the command in a command line, with shortened words and flags in front of it.

use std::ffi::OsString;

use super::commands::{Command, HIDDEN, KNOWN};
use super::failure::{Exit, Failure};
use super::flags::{Flag, Kind, is_flag};
use super::help::{self, suggestions};

/// Commands of version 2 of the API, which old scripts and fingers still know.
const OLD_COMMANDS: [&str; 12] = [
    "backup",
    "cluster-health",
    "exec-watch",
    "ls",
    "mk",
    "mkdir",
    "rm",
    "rmdir",
    "set",
    "setdir",
    "update",
    "updatedir",
];

/// What is said to whoever asks for it.
pub(super) const OLD_API: &str = "hint: version 2 of the API is gone here, as it is from etcd 3.6 on; its commands are now: ls: `get DIR \
     --prefix --keys-only`, set, mk, update: `put`, rm: `del`, mkdir, setdir: nothing, \
     cluster-health: `endpoint health --cluster`, exec-watch: `watch KEY -- COMMAND`, backup: `snapshot save`";

/// What a command line asks for.
pub(super) enum Found {
    /// A command, and the words that are not its name.
    Command(&'static Command, Vec<OsString>),
    /// Nothing there is.
    Unknown(Failure),
}

/// Finds the command.
pub(super) fn locate(arguments: &[OsString]) -> Found {
    let Some(root) = Command::find("") else { return Found::Unknown(Failure::silent(Exit::Error)) };
    let mut words = arguments.to_vec();
    let Some(place) = first_argument(&words, root) else { return Found::Command(root, words) };
    let typed = words.remove(place).to_string_lossy().into_owned();
    let hidden = HIDDEN.iter().copied().find(|name| *name == typed);
    let name = hidden.or_else(|| complete(&typed, KNOWN));
    let Some(command) = name.and_then(Command::find) else {
        return Found::Unknown(unknown(&typed));
    };
    if command.run.is_some() {
        return Found::Command(command, words);
    }
    let Some(place) = first_argument(&words, command) else {
        return Found::Command(command, words);
    };
    let children = command.children();
    let names: Vec<&'static str> = children.iter().map(|child| child.name()).collect();
    let typed = words.get(place).map(|word| word.to_string_lossy().into_owned());
    let chosen = typed.and_then(|typed| complete(&typed, &names));
    match children.into_iter().find(|child| Some(child.name()) == chosen) {
        Some(child) => {
            words.remove(place);
            Found::Command(child, words)
        }
        // As the original: a wrong word behind a group gets the group's help.
        None => Found::Command(command, words),
    }
}

/// Where the first word is that is neither a flag nor the value of one.
fn first_argument(words: &[OsString], command: &'static Command) -> Option<usize> {
    let mut flags = command.all_flags();
    flags.push(&help::HELP);
    let mut place = 0;
    while let Some(word) = words.get(place) {
        if word == "--" {
            return None;
        }
        if !is_flag(word) {
            return Some(place);
        }
        place += if takes_next(&word.to_string_lossy(), &flags) { 2 } else { 1 };
    }
    None
}

fn takes_next(word: &str, flags: &[&'static Flag]) -> bool {
    let flag = match word.strip_prefix("--") {
        Some(long) if long.contains('=') => return false,
        Some(long) => flags.iter().find(|flag| flag.name == long),
        // A value joined to the letter stands in the same word.
        None if word.chars().count() > 2 => return false,
        None => flags.iter().find(|flag| flag.short == word.chars().nth(1)),
    };
    // A flag that is not known here belongs to the command behind it and may take a value.
    flag.is_none_or(|flag| flag.kind != Kind::Switch)
}

/// The command a word stands for: itself, or the only one that begins with it.
fn complete(typed: &str, known: &[&'static str]) -> Option<&'static str> {
    if let Some(name) = known.iter().find(|name| **name == typed) {
        return Some(name);
    }
    let mut candidates = known.iter().filter(|name| name.starts_with(typed));
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn unknown(typed: &str) -> Failure {
    let mut text = format!("unknown command \"{typed}\" for \"etcdctl\"");
    let likely = suggestions(typed, KNOWN);
    if !likely.is_empty() {
        text.push_str(&format!("\n\nDid you mean this?\n\t{}\n", likely.join("\n\t")));
    }
    eprintln!("Error: {text}\nRun 'etcdctl --help' for usage.");
    if OLD_COMMANDS.contains(&typed) {
        eprintln!("{OLD_API}");
    }
    Failure::new(Exit::Error, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(line: &str) -> (String, Vec<String>) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        match locate(&words) {
            Found::Command(command, words) => {
                let words = words.iter().map(|word| word.to_string_lossy().into_owned());
                (command.path.to_owned(), words.collect())
            }
            Found::Unknown(failure) => (failure.message.unwrap_or_default(), Vec::new()),
        }
    }

    #[test]
    fn commands_are_found_behind_flags_and_by_their_beginning() {
        assert_eq!(find("--endpoints x -w json get a").0, "get");
        assert_eq!(find("--endpoints=x --hex p a b").1, ["--endpoints=x", "--hex", "a", "b"]);
        assert_eq!(find("end --cluster heal").0, "endpoint health");
        assert_eq!(find("endpoint bogus").0, "endpoint");
        assert_eq!(find("-wjson g a").0, "get");
        assert_eq!(find("memb li -w table").0, "member list");
        assert_eq!(find("member re 1").0, "member", "remove or replace");
        assert_eq!(find("man").0, "man");
        assert_eq!(find("--debug").0, "");
        assert_eq!(find("-h get").0, "get");
    }

    #[test]
    fn what_is_not_there_is_said_with_what_may_have_been_meant() {
        assert!(KNOWN.iter().all(|name| Command::find(name).is_some()));
        assert_eq!(find("nonsense").0, "unknown command \"nonsense\" for \"etcdctl\"");
        assert!(find("gte").0.ends_with("Did you mean this?\n\tget\n"));
    }
}
