//! What a process costs, as the kernel counts it.

use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

use crate::Error;

/// Clock ticks per second in `/proc`; fixed by the kernel's interface on Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where in `/proc/PID/stat` the time of the process itself stands (fields 14 and 15), and that of its
/// children (16 and 17), counted behind the name, which is field 2.
const OWN: usize = 11;
const CHILDREN: usize = 13;

/// What a process, or several, have used up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time, to 10 ms.
    pub(crate) cpu: Duration,
    /// Resident bytes now; pages of mapped files are among them.
    pub(crate) resident: u64,
    /// Resident bytes that belong to no file.
    pub(crate) anonymous: u64,
    /// The most resident bytes there ever were.
    pub(crate) peak: u64,
}

impl Usage {
    /// Looks at a process; `self` is this one.
    ///
    /// # Errors
    /// If it is gone.
    pub(crate) fn of(process: &str) -> Result<Self, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        Self::parse(&stat, &status).ok_or_else(|| format!("cannot read /proc/{process}").into())
    }

    /// User and system time of the processes that this one has waited for.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(crate) fn of_children() -> Result<Duration, Error> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        ticks(&stat, CHILDREN).ok_or_else(|| "cannot read /proc/self/stat".into())
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        };
        Some(Self {
            cpu: ticks(stat, OWN)?,
            resident: bytes("VmRSS:")?,
            anonymous: bytes("RssAnon:")?,
            peak: bytes("VmHWM:")?,
        })
    }
}

/// Time in user and kernel mode, which are two neighbouring fields.
fn ticks(stat: &str, first: usize) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(first);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            resident: self.resident + other.resident,
            anonymous: self.anonymous + other.anonymous,
            peak: self.peak + other.peak,
        }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
