//! Plays one sequence on both servers and finds where they part.

use tokio::task::JoinSet;

use super::player::{Halt, Line, Played, play};
use super::step::{Sequence, show};
use crate::support::server::Kind;

/// How playing a sequence on two servers ended.
pub(super) enum Verdict {
    /// Nothing differs.
    Same(Counts),
    /// The machine was too slow for the steps that depend on time.
    Void(String),
    /// The first difference.
    Parted(Parting),
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Lines of the record: answers and events.
    pub(super) lines: usize,
    /// Events of watchers among them.
    pub(super) events: usize,
    /// Steps left out on purpose.
    pub(super) left_out: usize,
}

/// Where two records part.
#[derive(Debug)]
pub(super) struct Parting {
    pub(super) step: usize,
    pub(super) expected: String,
    pub(super) got: String,
}

/// Plays on fresh servers of both kinds at once.
pub(super) async fn side_by_side(expected: &Kind, subject: &Kind, sequence: &Sequence) -> Verdict {
    let mut players = JoinSet::new();
    for (place, kind) in [expected, subject].into_iter().cloned().enumerate() {
        let sequence = sequence.clone();
        players.spawn(async move { (place, play(&kind, &sequence).await) });
    }
    let mut played = [None, None];
    while let Some(ended) = players.join_next().await {
        match ended {
            Ok((place, record)) => played[place] = Some(record),
            Err(error) => {
                let broken = format!("one server, or the test itself, broke: {error}");
                let (step, got) = (sequence.steps.len(), String::new());
                return Verdict::Parted(Parting { step, expected: broken, got });
            }
        }
    }
    let [expected, subject] = played.map(Option::unwrap_or_default);
    judge(&expected, &subject)
}

fn judge(expected: &Played, subject: &Played) -> Verdict {
    for played in [expected, subject] {
        if let Some(Halt::Void(why)) = &played.halt {
            return Verdict::Void(why.clone());
        }
    }
    if let Some(parting) = first_difference(&expected.lines, &subject.lines) {
        return Verdict::Parted(parting);
    }
    let step = subject.lines.last().map_or(0, |line| line.step);
    if let Some(fault) = subject.faults.first() {
        let expected = "a watch stream that keeps its promises".to_owned();
        return Verdict::Parted(Parting { step, expected, got: fault.clone() });
    }
    if let Some(Halt::Stuck(why)) = &subject.halt {
        let expected = "that not both servers, or the test, get stuck".to_owned();
        return Verdict::Parted(Parting { step, expected, got: why.clone() });
    }
    let (lines, events, left_out) = (subject.lines.len(), subject.events, subject.left_out);
    Verdict::Same(Counts { lines, events, left_out })
}

/// The first place where two records differ, the end of one among them.
pub(super) fn first_difference(expected: &[Line], got: &[Line]) -> Option<Parting> {
    let common = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let (expected, got) = (expected.get(common), got.get(common));
    let step = [expected, got].into_iter().flatten().map(|line| line.step).min()?;
    let text = |line: Option<&Line>| {
        line.map_or("nothing more".to_owned(), |line| format!("(step {}) {}", line.step, line.text))
    };
    Some(Parting { step, expected: text(expected), got: text(got) })
}

impl Parting {
    /// The difference for people, after the steps of the sequence that led to it.
    pub(super) fn describe(&self, sequence: &Sequence) -> String {
        let mut text = format!("seed {}\n", sequence.seed);
        let from = self.step.saturating_sub(LED);
        for (number, step) in
            sequence.steps.iter().enumerate().skip(from).take(self.step - from + 1)
        {
            text.push_str(&format!("  step {number}: {}\n", show(step)));
        }
        text.push_str(&format!("  etcd: {}\n  ours: {}\n", self.expected, self.got));
        text
    }
}

/// Steps shown before the one where the records part.
const LED: usize = 12;
