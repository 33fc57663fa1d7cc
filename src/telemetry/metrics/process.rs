//! What the operating system tells about this process.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

/// The name under which a registry remembers that these metrics are present.
pub(super) const KEY: &str = "process";

/// Adds the process metrics to `registry`.
pub(super) fn register(registry: &Registry) {
    let limit = IntGauge::new("os_fd_limit", "The file descriptor limit.");
    let used = IntGauge::new("os_fd_used", "The number of used file descriptors.");
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
        let used = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        // Counting opens one descriptor itself.
        self.used.set(i64::try_from(used.saturating_sub(1)).unwrap_or(i64::MAX));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.and_then(|limit| i64::try_from(limit).ok());
        self.limit.set(limit.unwrap_or(i64::MAX));
        [self.limit.collect(), self.used.collect()].concat()
    }
}
