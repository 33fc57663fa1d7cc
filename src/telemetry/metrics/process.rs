//! What the operating system tells about this process.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Registry};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::types::clock::Clock;

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
    let status = read("/proc/self/status");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024
    };
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Process {
        resident_bytes: bytes("VmRSS:"),
        virtual_bytes: bytes("VmSize:"),
        file_limit: limit(Resource::Nofile),
        // Counting opens one itself.
        files_open: u64::try_from(open.saturating_sub(1)).unwrap_or(u64::MAX),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The most it may have of something; without a limit the largest number, as other clients show it.
fn limit(resource: Resource) -> u64 {
    getrlimit(resource).current.unwrap_or(u64::MAX)
}

/// Processor time of all threads so far, in seconds.
fn processor_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// When the process began, in seconds since the Unix epoch.
fn begin() -> f64 {
    // Not /proc/uptime: a service may not see that part of /proc.
    let uptime = clock_gettime(ClockId::Boottime);
    let uptime = uptime.tv_sec as f64 + uptime.tv_nsec as f64 / 1e9;
    let age = uptime - ticks_at_start() / ticks_per_second();
    Clock.unix().as_secs_f64() - age.max(0.0)
}

/// Clock ticks from the machine's start to the process's: the twenty-second field, where the second is
/// a name that may hold anything.
fn ticks_at_start() -> f64 {
    let stat = read("/proc/self/stat");
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = behind_name.split(' ').nth(22 - 3).and_then(|ticks| ticks.parse().ok());
    ticks.unwrap_or_default()
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second().max(1) as f64
}

/// Bytes that came in and went out over IP, of everything in our network namespace.
fn network_bytes() -> (f64, f64) {
    let table = read("/proc/self/net/netstat");
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let value = |wanted: &str| {
        let mut pairs = names.split(' ').zip(values.split(' '));
        let found = pairs.find(|(name, _)| *name == wanted);
        found.and_then(|(_, value)| value.parse().ok()).unwrap_or_default()
    };
    (value("InOctets"), value("OutOctets"))
}

/// Adds the process metrics to `registry`.
pub(super) fn register(registry: &Registry) {
    let registered = Kernel::new().and_then(|kernel| registry.register(Box::new(kernel)));
    if let Err(error) = registered {
        tracing::warn!(%error, "process metrics are not available");
    }
}

/// Everything above under the names of the usual Prometheus clients, and etcd's own two, asked for at
/// each scrape.
struct Kernel {
    processor: Counter,
    begin: Gauge,
    resident: Gauge,
    address_space: Gauge,
    address_space_limit: Gauge,
    files: [Gauge; 2],
    file_limits: [Gauge; 2],
    received: Counter,
    sent: Counter,
}

impl Kernel {
    fn new() -> prometheus::Result<Self> {
        let gauge = Gauge::new::<&str, &str>;
        let counter = Counter::new::<&str, &str>;
        let kernel = Self {
            processor: counter("process_cpu_seconds_total", "Processor time spent, in seconds.")?,
            begin: gauge("process_start_time_seconds", "Start of the process, Unix seconds.")?,
            resident: gauge("process_resident_memory_bytes", "Memory in use.")?,
            address_space: gauge("process_virtual_memory_bytes", "Address space in use.")?,
            address_space_limit: gauge(
                "process_virtual_memory_max_bytes",
                "Address space this process may use.",
            )?,
            files: [
                gauge("process_open_fds", "Files this process has open.")?,
                gauge("os_fd_used", "Files this process has open.")?,
            ],
            file_limits: [
                gauge("process_max_fds", "Files this process may have open.")?,
                gauge("os_fd_limit", "Files this process may have open.")?,
            ],
            received: counter(
                "process_network_receive_bytes_total",
                "Bytes received over the network, of the whole network namespace.",
            )?,
            sent: counter(
                "process_network_transmit_bytes_total",
                "Bytes sent over the network, of the whole network namespace.",
            )?,
        };
        kernel.begin.set(begin());
        Ok(kernel)
    }

    fn metrics(&self) -> Vec<&dyn Collector> {
        let [open, used] = &self.files;
        let [most, limit] = &self.file_limits;
        vec![
            &self.processor,
            &self.begin,
            &self.resident,
            &self.address_space,
            &self.address_space_limit,
            open,
            used,
            most,
            limit,
            &self.received,
            &self.sent,
        ]
    }
}

impl Collector for Kernel {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let process = process();
        let (received, sent) = network_bytes();
        advance(&self.processor, processor_seconds());
        advance(&self.received, received);
        advance(&self.sent, sent);
        self.resident.set(process.resident_bytes as f64);
        self.address_space.set(process.virtual_bytes as f64);
        self.address_space_limit.set(limit(Resource::As) as f64);
        self.files.iter().for_each(|files| files.set(process.files_open as f64));
        self.file_limits.iter().for_each(|most| most.set(process.file_limit as f64));
        self.metrics().into_iter().flat_map(Collector::collect).collect()
    }
}

/// Brings a counter up to what the operating system counted.
fn advance(counter: &Counter, to: f64) {
    counter.inc_by((to - counter.get()).max(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_began_a_moment_ago_and_has_worked_since() {
        let age = Clock.unix().as_secs_f64() - begin();
        assert!((0.0..3600.0).contains(&age), "{age}");
        assert!(processor_seconds() > 0.0);
    }

    #[test]
    fn what_goes_over_the_network_is_counted() {
        let before = network_bytes();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[0; 2000], socket.local_addr().unwrap()).unwrap();
        let after = network_bytes();
        assert!(
            after.0 >= before.0 + 2000.0 && after.1 >= before.1 + 2000.0,
            "{before:?} {after:?}"
        );
    }
}
