//! The metrics of one node: made by name, rendered in the Prometheus text format 0.0.4.

mod process;
mod text;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
pub use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
use prometheus::{HistogramOpts, Opts};

pub use process::{Process, process};

/// The media type of [`Registry::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bucket bounds as etcd has them, by the kind of thing measured; seconds unless said otherwise.
pub mod buckets {
    /// Syncs, writes and commits on disk: 1 ms doubling 13 times, up to 8.192 s.
    pub fn disk() -> Vec<f64> {
        doubling(0.001, 14)
    }

    /// Applies and ranges: 0.1 ms doubling 19 times, up to 52 s.
    pub fn apply() -> Vec<f64> {
        doubling(0.0001, 20)
    }

    /// Round trips between members: 0.1 ms doubling 15 times, up to 3.3 s.
    pub fn round_trip() -> Vec<f64> {
        doubling(0.0001, 16)
    }

    /// Hashes over the whole store: 10 ms doubling 14 times, up to 164 s.
    pub fn hash() -> Vec<f64> {
        doubling(0.01, 15)
    }

    /// Snapshots of the store: 10 ms doubling 16 times, up to 655 s.
    pub fn snapshot() -> Vec<f64> {
        doubling(0.01, 17)
    }

    /// Defragmentation, and snapshots between members: 0.1 s doubling 12 times, up to 410 s.
    pub fn defrag() -> Vec<f64> {
        doubling(0.1, 13)
    }

    /// Whole requests, as the stock gRPC interceptor buckets them: 5 ms to 10 s.
    pub fn grpc() -> Vec<f64> {
        vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
    }

    /// Pauses of a compaction in milliseconds: `start` (1 for the store, 0.5 for the index) doubling.
    pub fn compaction_pause_ms(start: f64, count: usize) -> Vec<f64> {
        doubling(start, count)
    }

    /// Whole compactions in milliseconds: 100 doubling 13 times.
    pub fn compaction_total_ms() -> Vec<f64> {
        doubling(100.0, 14)
    }

    /// Times to live of leases in seconds: 1 doubling 23 times.
    pub fn lease_ttl() -> Vec<f64> {
        doubling(1.0, 24)
    }

    /// `count` bounds, each twice the one before.
    pub fn doubling(start: f64, count: usize) -> Vec<f64> {
        std::iter::successors(Some(start), |bound| Some(bound * 2.0)).take(count).collect()
    }
}

/// All metrics of one node; clones share them.
///
/// Asking twice for one name gives the same metric, so that two listeners can share a counter.
///
/// Names, labels and buckets are literals of this program: a malformed one is a mistake in the code
/// that the first start finds, and the only thing here that panics.
#[derive(Clone)]
pub struct Registry {
    inner: prometheus::Registry,
    made: Arc<Mutex<HashMap<String, Box<dyn Any + Send>>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self { inner: prometheus::Registry::new(), made: Arc::default() }
    }

    /// A counter without labels.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.make(name, || IntCounter::new(name, help))
    }

    /// A counter per combination of label values; a combination appears when first used.
    pub fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.make(name, || IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A whole-numbered gauge without labels.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.make(name, || IntGauge::new(name, help))
    }

    /// A whole-numbered gauge per combination of label values.
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.make(name, || IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A fractional gauge without labels.
    pub fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.make(name, || Gauge::new(name, help))
    }

    /// A histogram without labels; see [`buckets`] for the bounds etcd uses.
    pub fn histogram(&self, name: &str, help: &str, bounds: Vec<f64>) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(bounds);
        self.make(name, || Histogram::with_opts(options))
    }

    /// A histogram per combination of label values.
    pub fn histogram_vec(
        &self,
        name: &str,
        help: &str,
        bounds: Vec<f64>,
        labels: &[&str],
    ) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(bounds);
        self.make(name, || HistogramVec::new(options, labels))
    }

    /// Adds what the operating system tells about this process: processor time, memory, files, start
    /// time, and what goes over the network.
    pub fn watch_process(&self) {
        // A second call would only fail on the names already present.
        if self.made.lock().insert(String::from(process::KEY), Box::new(())).is_none() {
            process::register(&self.inner);
        }
    }

    /// Adds a gauge that is always 1 and tells a fact in its label, such as a version.
    pub fn fact(&self, name: &str, help: &str, label: &str, value: &str) {
        self.gauge_vec(name, help, &[label]).with_label_values(&[value]).set(1);
    }

    /// The current values of all metrics, in the format of [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        text::render(&self.inner.gather())
    }

    fn make<M, F>(&self, name: &str, new: F) -> M
    where
        M: Collector + Clone + Send + 'static,
        F: FnOnce() -> prometheus::Result<M>,
    {
        let mut made = self.made.lock();
        if let Some(metric) = made.get(name).and_then(|metric| metric.downcast_ref::<M>()) {
            return metric.clone();
        }
        let registered = new().and_then(|metric| {
            self.inner.register(Box::new(metric.clone()))?;
            Ok(metric)
        });
        #[expect(
            clippy::expect_used,
            reason = "names are literals; the first start finds a bad one"
        )]
        let metric = registered.expect("a metric needs a valid name used for one type only");
        made.insert(String::from(name), Box::new(metric.clone()));
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_metric() {
        let registry = Registry::new();
        registry.counter("etcd_x_total", "X.").inc();
        let clone = registry.clone();
        clone.counter("etcd_x_total", "X.").inc_by(2);
        let text = registry.render();
        assert_eq!(text, "# HELP etcd_x_total X.\n# TYPE etcd_x_total counter\netcd_x_total 3\n");
    }

    #[test]
    fn registries_do_not_share() {
        let (a, b) = (Registry::new(), Registry::new());
        a.gauge("g", "G.").set(1);
        assert_eq!(b.render(), "");
        b.gauge("g", "G.").set(5);
        assert!(a.render().ends_with("\ng 1\n") && b.render().ends_with("\ng 5\n"));
    }

    #[test]
    fn the_process_is_described_under_the_usual_names() {
        let registry = Registry::new();
        registry.watch_process();
        registry.watch_process();
        let text = registry.render();
        for name in [
            "process_cpu_seconds_total",
            "process_max_fds",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_virtual_memory_bytes",
            "process_virtual_memory_max_bytes",
            "process_network_receive_bytes_total",
            "process_network_transmit_bytes_total",
            "os_fd_limit",
            "os_fd_used",
        ] {
            assert_eq!(text.matches(&format!("\n{name} ")).count(), 1, "{name} in\n{text}");
        }
    }

    #[test]
    fn buckets_reach_where_etcds_do() {
        assert_eq!(buckets::disk().last(), Some(&8.192));
        assert_eq!(buckets::apply().last(), Some(&52.4288));
        assert_eq!(buckets::defrag().last(), Some(&409.6));
        assert_eq!(buckets::lease_ttl().last(), Some(&8_388_608.0));
    }
}
