//! What a process costs, as the kernel counts it.

use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

use crate::Error;

/// Clock ticks per second in `/proc`; fixed by the kernel's interface on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

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

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // utime and stime are fields 14 and 15; the first two end with the parenthesis.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        };
        Some(Self {
            cpu: Duration::from_secs_f64(ticks / TICKS_PER_SECOND),
            resident: bytes("VmRSS:")?,
            anonymous: bytes("RssAnon:")?,
            peak: bytes("VmHWM:")?,
        })
    }
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
