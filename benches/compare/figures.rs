//! What is measured and how it is told.

use std::collections::BTreeMap;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Rate,
    P50,
    P99,
    P999,
    Cpu,
    Peak,
    ServerBusy,
    ClientBusy,
    LoadRate,
    LoadCpu,
    Resident,
    Anonymous,
    ResidentAgain,
    Restart,
    RestartKilled,
    QuietGap,
    CompactionTook,
    CompactionGap,
    CompactionFailed,
    DefragTook,
    DefragGap,
    DefragFailed,
    PerWatcher,
    Failover,
    FailoverWorst,
    RunTook,
    RunCpu,
    ProgramSize,
}

/// The figures of one run of one server.
pub(crate) type Sample = BTreeMap<Figure, f64>;

impl Figure {
    /// Its name with its unit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "operations/s",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::P999 => "p99.9 µs",
            Self::Cpu => "server CPU µs/op",
            Self::Peak => "peak memory MB",
            Self::ServerBusy => "server cores",
            Self::ClientBusy => "client cores",
            Self::LoadRate => "loading, keys/s",
            Self::LoadCpu => "loading, server CPU µs/key",
            Self::Resident => "resident memory afterwards, MB",
            Self::Anonymous => "of it not pages of files, MB",
            Self::ResidentAgain => "resident memory after a restart, MB",
            Self::Restart => "restart after SIGTERM, ms",
            Self::RestartKilled => "restart after SIGKILL, ms",
            Self::QuietGap => "longest gap between acknowledgements, nothing else going on, ms",
            Self::CompactionTook => "compaction of half the history, s",
            Self::CompactionGap => "longest gap between acknowledgements during it, ms",
            Self::CompactionFailed => "failed puts during it",
            Self::DefragTook => "defragmentation, s",
            Self::DefragGap => "longest gap between acknowledgements during defragmentation, ms",
            Self::DefragFailed => "failed puts during defragmentation",
            Self::PerWatcher => "resident memory per watcher, bytes",
            Self::Failover => "from the leader's death to the next acknowledged put, median, ms",
            Self::FailoverWorst => {
                "from the leader's death to the next acknowledged put, longest, ms"
            }
            Self::RunTook => "a run from start to end, median, ms",
            Self::RunCpu => "CPU of a run, ms",
            Self::ProgramSize => "size of the program, MB",
        }
    }

    /// Whether more of it is better.
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Self::Rate | Self::LoadRate)
    }

    /// Whether a ratio of it says who is better.
    pub(crate) fn compares(self) -> bool {
        !matches!(
            self,
            Self::ServerBusy | Self::ClientBusy | Self::CompactionFailed | Self::DefragFailed
        )
    }

    /// A value with as many digits as it deserves.
    pub(crate) fn show(self, value: f64) -> String {
        match value.abs() {
            _ if value.is_nan() => "-".to_owned(),
            size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
            size if size >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        }
    }
}

/// A workload over all its rounds.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What is done.
    pub(crate) name: String,
    /// By how many clients at once; zero where that says nothing.
    pub(crate) in_flight: usize,
    /// How they are connected.
    pub(crate) wire: &'static str,
    /// Real etcd's and ours, round by round.
    pub(crate) rounds: Vec<[Sample; 2]>,
}

impl Row {
    /// The median of a figure of real etcd (0) or of ours (1).
    pub(crate) fn median(&self, figure: Figure, program: usize) -> f64 {
        let samples = self.rounds.iter().filter_map(|pair| pair.get(program));
        median(samples.filter_map(|sample| sample.get(&figure)).copied().collect())
    }

    /// The median of the rounds' ratios, ours to real etcd's.
    pub(crate) fn ratio(&self, figure: Figure) -> f64 {
        let ratios = self.rounds.iter().filter_map(|[real, ours]| {
            Some(ours.get(&figure)? / real.get(&figure)?).filter(|ratio| !ratio.is_nan())
        });
        median(ratios.collect())
    }

    /// How many times better ours is: above one whatever the figure.
    pub(crate) fn times_better(&self, figure: Figure) -> f64 {
        let ratio = self.ratio(figure);
        if figure.more_is_better() { ratio } else { 1.0 / ratio }
    }

    /// Whether it is about requests, with rates and latencies.
    pub(crate) fn has_latencies(&self) -> bool {
        self.figures().contains(&Figure::P50)
    }

    /// Every figure it has.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        self.rounds.first().map(|[real, _]| real.keys().copied().collect()).unwrap_or_default()
    }

    /// Its name with what tells it from others of that name.
    pub(crate) fn title(&self) -> String {
        match self.in_flight {
            0 => self.name.clone(),
            many => format!("{}, {many} in flight", self.name),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
