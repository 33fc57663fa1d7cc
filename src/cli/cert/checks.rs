//! Checks and their fixes, one line for each.

use serde_json::json;

use super::report::Report;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Bad,
    Skipped,
}

/// One check.
struct Check {
    name: &'static str,
    outcome: Outcome,
    detail: String,
    fix: Option<String>,
}

/// Checks in the order they were made.
#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    /// It is as it should be.
    pub(super) fn good(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, Outcome::Good, detail.into(), None);
    }

    /// It is not, and this is what to do.
    pub(super) fn bad(&mut self, name: &'static str, detail: impl Into<String>, fix: &str) {
        self.add(name, Outcome::Bad, detail.into(), Some(fix.to_owned()));
    }

    /// It could not be looked at, and this is why.
    pub(super) fn skipped(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, Outcome::Skipped, detail.into(), None);
    }

    fn add(&mut self, name: &'static str, outcome: Outcome, detail: String, fix: Option<String>) {
        self.0.push(Check { name, outcome, detail, fix });
    }

    /// All of them; the exit code is 1 when one is not as it should be.
    pub(super) fn report(self) -> Report {
        let mut report = Report::default();
        let widest = self.0.iter().map(|check| check.name.len()).max().unwrap_or_default();
        for check in &self.0 {
            let word = check.outcome.as_str();
            report.say(format!("{word:4}  {:widest$}  {}", check.name, check.detail));
            if let Some(fix) = &check.fix {
                report.say(format!("      {:widest$}  fix: {fix}", ""));
            }
        }
        let bad = self.0.iter().filter(|check| check.outcome == Outcome::Bad).count();
        report.say(match bad {
            0 => "\nAll is well.".to_owned(),
            1 => "\n1 check failed.".to_owned(),
            many => format!("\n{many} checks failed."),
        });
        let of = |check: &Check| {
            json!({
                "check": check.name,
                "outcome": check.outcome.as_str(),
                "detail": check.detail,
                "fix": check.fix,
            })
        };
        report.set("checks", self.0.iter().map(of).collect());
        report.code = i32::from(bad > 0);
        report
    }
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad => "BAD",
            Self::Skipped => "skip",
        }
    }
}
