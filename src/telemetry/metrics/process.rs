//! What the operating system tells about this process.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

/// The name under which a registry remembers that these metrics are present.
pub(super) const KEY: &str = "process";

/// Sizes of this process at one moment; zero where the operating system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Memory in use, in bytes.
    pub resident_bytes: u64,
    /// Address space in use, in bytes.
    pub virtual_bytes: u64,
    /// Files it may have open.
    pub file_limit: u64,
    /// Files it has open.
    pub files_open: u64,
}

/// Asks the operating system about this process.
pub fn process() -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024
    };
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    Process {
        resident_bytes: bytes("VmRSS:"),
        virtual_bytes: bytes("VmSize:"),
        file_limit: limit.unwrap_or(u64::MAX),
        // Counting opens one itself.
        files_open: u64::try_from(open.saturating_sub(1)).unwrap_or(u64::MAX),
    }
}

/// Adds the process metrics to `registry`.
pub(super) fn register(registry: &Registry) {
    let limit = IntGauge::new("os_fd_limit", "Files this process may have open.");
    let used = IntGauge::new("os_fd_used", "Files this process has open.");
    let process = registry.register(Box::new(ProcessCollector::for_self()));
    if let (Ok(limit), Ok(used)) = (limit, used) {
        let files = registry.register(Box::new(Files { limit, used }));
        if let Err(error) = process.and(files) {
            tracing::warn!(error = %error, "some process metrics are not available");
        }
    }
}

/// File descriptors under etcd's own names, counted when asked for.
struct Files {
    limit: IntGauge,
    used: IntGauge,
}

impl Collector for Files {
    fn desc(&self) -> Vec<&Desc> {
        [self.limit.desc(), self.used.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let process = process();
        self.used.set(i64::try_from(process.files_open).unwrap_or(i64::MAX));
        self.limit.set(i64::try_from(process.file_limit).unwrap_or(i64::MAX));
        [self.limit.collect(), self.used.collect()].concat()
    }
}
