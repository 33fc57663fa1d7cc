//! What we promise ourselves, and whether a run keeps it.

use crate::figures::{Figure, Row};

/// How far a figure may go.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// At least so many times real etcd's.
    AtLeast(f64),
    /// At most so many times real etcd's.
    AtMost(f64),
    /// At most this, whatever real etcd's is.
    Never(f64),
}

use Bound::{AtLeast, AtMost, Never};

/// Rows by the beginning of their names, in flight where it matters, and what is promised of them.
const TARGETS: &[(&str, Option<usize>, Figure, Bound)] = &[
    ("put", Some(100), Figure::Rate, AtLeast(3.0)),
    ("put", Some(1_000), Figure::Rate, AtLeast(3.0)),
    ("put", Some(100), Figure::P99, AtMost(0.5)),
    ("put", Some(1_000), Figure::P99, AtMost(0.5)),
    ("put", Some(1), Figure::P50, AtMost(0.85)),
    ("put", None, Figure::Cpu, AtMost(0.3)),
    ("linearizable get", None, Figure::Rate, AtLeast(3.0)),
    ("linearizable get", None, Figure::Cpu, AtMost(0.3)),
    ("serializable get", None, Figure::Rate, AtLeast(3.0)),
    ("serializable get", None, Figure::Cpu, AtMost(0.3)),
    ("range of 1,000", None, Figure::Rate, AtLeast(2.0)),
    ("count of", None, Figure::Rate, AtLeast(100.0)),
    ("watch fan-out", None, Figure::Rate, AtLeast(3.0)),
    ("5,000,000 keys", None, Figure::Resident, AtMost(0.5)),
    ("5,000,000 keys", None, Figure::Restart, AtMost(0.2)),
    ("5,000,000 keys", None, Figure::RestartKilled, AtMost(0.2)),
    ("three members: put", Some(1), Figure::Rate, AtLeast(1.0)),
    ("three members: put", Some(100), Figure::Rate, AtLeast(2.5)),
    ("three members: put", Some(1_000), Figure::Rate, AtLeast(2.5)),
    ("three members: put", Some(1), Figure::P99, AtMost(1.0)),
    ("three members: put", Some(100), Figure::P99, AtMost(0.6)),
    ("three members: put", Some(1_000), Figure::P99, AtMost(0.6)),
    ("three members: put", None, Figure::Cpu, AtMost(0.4)),
    ("three members: linearizable get", None, Figure::Rate, AtLeast(3.0)),
    ("three members: serializable get", None, Figure::Rate, AtLeast(3.0)),
    ("three members: failover", None, Figure::Failover, AtMost(1.0)),
    ("three members: 1,000,000 keys", None, Figure::Resident, AtMost(0.5)),
    ("etcdctl", None, Figure::RunTook, AtMost(0.5)),
    ("etcdctl", None, Figure::RunCpu, AtMost(0.5)),
    ("etcdctl", None, Figure::ProgramSize, AtMost(0.5)),
    ("", None, Figure::CompactionGap, Never(50.0)),
    ("", None, Figure::DefragGap, Never(50.0)),
    ("", None, Figure::CompactionFailed, Never(0.0)),
    ("", None, Figure::DefragFailed, Never(0.0)),
];

/// A promise beside what was measured.
pub(crate) struct Verdict {
    /// Of which row and figure.
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) measured: String,
    pub(crate) kept: bool,
}

/// Every promise that these rows speak of; only those with mutual TLS do.
pub(crate) fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (name, in_flight, figure, bound) in TARGETS {
        let of = |row: &&Row| {
            row.wire == "mutual TLS"
                && row.name.starts_with(name)
                && in_flight.is_none_or(|many| many == row.in_flight)
                && row.figures().contains(figure)
        };
        verdicts.extend(rows.iter().filter(of).map(|row| judge(row, *figure, *bound)));
    }
    verdicts
}

fn judge(row: &Row, figure: Figure, bound: Bound) -> Verdict {
    let (wanted, measured, kept) = match bound {
        AtLeast(times) => {
            let ratio = row.ratio(figure);
            (format!("≥ {times}x"), format!("{ratio:.2}x"), ratio >= times)
        }
        AtMost(times) => {
            let ratio = row.ratio(figure);
            (format!("≤ {times}x"), format!("{ratio:.2}x"), ratio <= times)
        }
        Never(most) => {
            let value = row.median(figure, 1);
            (format!("≤ {most}"), figure.show(value), value <= most)
        }
    };
    Verdict { what: format!("{}: {}", row.title(), figure.name()), wanted, measured, kept }
}
