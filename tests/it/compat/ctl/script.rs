//! What is played: lines, tables of them, and what a script sees of each.

use std::collections::BTreeSet;

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its words, split at blanks; `'…'` keeps them together.
    pub(crate) arguments: &'static str,
    /// What is typed.
    pub(crate) input: &'static str,
    /// The variables it finds.
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

/// A command that is typed nothing and finds no variables.
pub(crate) const fn line(arguments: &'static str) -> Line {
    Line { arguments, input: "", environment: &[] }
}

impl Line {
    /// The command with something on its standard input.
    pub(crate) const fn typing(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    /// The command with variables in its environment.
    pub(crate) const fn with(self, environment: &'static [(&'static str, &'static str)]) -> Self {
        Self { environment, ..self }
    }
}

/// Lines that belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) lines: &'static [Line],
    /// A number that servers choose.
    pub(crate) keeps: Option<Keep>,
    pub(crate) order: Order,
    /// Why servers answer differently; then programs are compared on each server alone.
    pub(crate) apart: Option<&'static str>,
}

impl Table {
    /// Nothing special.
    pub(crate) const SCRIPT: Self =
        Self { name: "", lines: &[], keeps: None, order: Order::Fixed, apart: None };
}

/// A number that a command prints: later lines have it, the last one, for its name, and wherever it is
/// printed, its name stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// How lines begin that print one.
    pub(crate) command: &'static str,
    pub(crate) name: &'static str,
    /// What stands in front of it, in hex; in JSON it is the first `ID`.
    pub(crate) before: &'static str,
}

/// In which order things are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Fixed,
    /// By ids of members. Where chance put a learner elsewhere, the parts of an answer are compared
    /// without their order.
    ByMember,
}

/// What a script sees of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) line: Line,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line: Line { arguments, input, environment }, code, out: printed, err } = self;
        let typed = if input.is_empty() { String::new() } else { format!(" < {input:?}") };
        for (name, value) in *environment {
            write!(out, "{name}={value} ")?;
        }
        write!(out, "etcdctl {arguments}{typed} => {code:?}\n{printed}{err}")
    }
}

/// The numbers of a play that were kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    all: BTreeSet<(&'static str, u64)>,
    last: Option<(&'static str, u64)>,
}

impl Numbers {
    /// Finds the number in what a line printed, if it keeps one.
    pub(super) fn keep(&mut self, keep: Option<Keep>, line: &Line, printed: &str) {
        let Some(keep) = keep.filter(|keep| line.arguments.starts_with(keep.command)) else {
            return;
        };
        let json = printed.split_once("\"ID\":").map(|(_, rest)| (rest, 10));
        let text = printed.split_once(keep.before).map(|(_, rest)| (rest.trim_start(), 16));
        let Some((rest, radix)) = json.or(text) else { return };
        let word = rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap();
        if let Ok(number) = u64::from_str_radix(word, radix) {
            self.last = Some((keep.name, number));
            self.all.extend(self.last);
        }
    }

    /// A line with its number.
    pub(super) fn fill(&self, line: &str) -> String {
        match self.last {
            Some((name, number)) => line.replace(name, &format!("{number:x}")),
            None => line.to_owned(),
        }
    }

    /// A text with names for the numbers.
    pub(super) fn hide(&self, text: &str) -> String {
        let hidden = |text: String, (name, number): &(&str, u64)| {
            // Sentences and tables pad a short number with blanks.
            let padded = ["Member ", "| "].iter().fold(text, |text, before| {
                text.replace(&format!("{before}{number:>16x}"), &format!("{before}{name}"))
            });
            [format!("{number:016x}"), format!("{number:x}"), number.to_string()]
                .iter()
                .fold(padded, |text, spelt| text.replace(spelt, name))
        };
        self.all.iter().fold(text.to_owned(), hidden)
    }
}

/// The words of a line.
pub(crate) fn words(line: &str) -> Vec<String> {
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
