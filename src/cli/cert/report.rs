//! What a command did, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::args::Words;
use crate::certs::{Action, Step};
use crate::config::Exit;

/// Exit code of a command line that makes no sense.
pub(super) const MISUSE: i32 = 2;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Output {
    /// What `--output` says.
    ///
    /// # Errors
    /// If it is neither.
    pub(super) fn of(words: &Words) -> Result<Self, String> {
        match words.get("output") {
            None | Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some(other) => Err(format!("--output is text or json, not {other:?}")),
        }
    }

    /// What words ask for that make no sense otherwise.
    pub(super) fn asked(words: &[String]) -> Self {
        let next = words.iter().skip(1).map(String::as_str).chain([""]);
        let is_json = |(word, next): (&String, &str)| {
            let word = word.trim_start_matches('-');
            word == "output=json" || (word == "output" && next == "json")
        };
        if words.iter().zip(next).any(is_json) { Self::Json } else { Self::Text }
    }
}

/// An answer in the making: every fact goes into both forms.
#[derive(Debug, Default)]
pub(super) struct Report {
    text: String,
    json: Map<String, Value>,
    warnings: Vec<String>,
    notes: String,
    /// Exit code.
    pub(super) code: i32,
}

impl Report {
    /// A line for people.
    pub(super) fn say(&mut self, line: impl AsRef<str>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}", line.as_ref());
    }

    /// A field for programs.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.json.insert(name.to_owned(), value);
    }

    /// Something that works and deserves attention.
    pub(super) fn warn(&mut self, line: impl Into<String>) {
        self.warnings.push(line.into());
    }

    /// A line for people beside the answer, which may go into a file.
    pub(super) fn note(&mut self, line: impl AsRef<str>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.notes, "{}", line.as_ref());
    }

    /// What was done with files.
    pub(super) fn steps(&mut self, steps: &[Step]) {
        let widest = steps.iter().map(|step| step.path.display().to_string().len()).max();
        let widest = widest.unwrap_or_default();
        for step in steps {
            let (path, action) = (step.path.display().to_string(), step.action.as_str());
            self.say(format!("{action:8}  {path:widest$}  {}", step.what));
        }
        let of = |step: &Step| {
            json!({
                "path": step.path.display().to_string(),
                "action": step.action.as_str(),
                "what": step.what,
            })
        };
        self.set("files", steps.iter().map(of).collect());
        let changed = steps.iter().any(|step| step.action != Action::Kept);
        self.set("changed", changed.into());
    }

    /// Lines of cells, each column as wide as its widest cell.
    pub(super) fn columns<const N: usize>(&mut self, lines: &[[String; N]]) {
        let mut widths = [0; N];
        for line in lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for line in lines {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            self.say(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// What to do now, beside an answer that may go into a file or a variable.
    pub(super) fn note_next(&mut self, lines: &[String]) {
        for line in lines {
            self.note(line);
        }
        self.set_next(lines);
    }

    fn set_next(&mut self, lines: &[String]) {
        self.set("next", lines.iter().map(|line| Value::from(line.as_str())).collect());
    }

    /// What to do now.
    pub(super) fn next(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            self.say("\nNext:");
        }
        for line in lines {
            self.say(format!("  {}", line.replace('\n', "\n  ")));
        }
        self.set_next(lines);
    }

    /// The answer as the process gives it.
    pub(super) fn finish(mut self, output: Output) -> Exit {
        let told = self.warnings.iter().map(|line| format!("warning: {line}\n"));
        let stderr: String = told.chain([self.notes.clone()]).collect();
        match output {
            Output::Text => Exit { code: self.code, stdout: self.text, stderr },
            Output::Json => {
                if !self.warnings.is_empty() {
                    self.set("warnings", self.warnings.clone().into());
                }
                let stdout = format!("{:#}\n", Value::Object(self.json));
                Exit { code: self.code, stdout, stderr: String::new() }
            }
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The words make no sense.
    Misuse(String),
    /// It was tried and did not work.
    Failed(String),
    /// Another part of the program has its own answer.
    Ended(Exit),
}

impl From<crate::certs::CertError> for Refusal {
    fn from(error: crate::certs::CertError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Refusal {
    /// The answer as the process gives it.
    pub(super) fn finish(self, output: Output) -> Exit {
        let (code, sentence) = match self {
            Self::Ended(exit) if output == Output::Text || exit.code == 0 => return exit,
            Self::Ended(exit) => (exit.code, faults(&exit.stderr)),
            Self::Misuse(sentence) => (MISUSE, sentence),
            Self::Failed(sentence) => (1, sentence),
        };
        let stdout = match output {
            Output::Text => String::new(),
            Output::Json => format!("{:#}\n", json!({ "error": sentence })),
        };
        Exit { code, stdout, stderr: format!("etcd cert: {sentence}\n") }
    }
}

/// What is wrong with a configuration, out of the log lines that tell it; of anything else the first line,
/// since what follows is only how to use the program.
fn faults(lines: &str) -> String {
    let fault = |line: &str| {
        let told: Value = serde_json::from_str(line).ok()?;
        Some(told.get("error")?.as_str()?.to_owned())
    };
    let faults: Vec<String> = lines.lines().filter_map(fault).collect();
    if faults.is_empty() {
        return lines.lines().next().unwrap_or_default().to_owned();
    }
    faults.join("; ")
}
