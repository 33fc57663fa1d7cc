//! What the gRPC face counts, under the names of etcd and of its gRPC interceptor.

use std::collections::HashMap;

use parking_lot::RwLock;
use tonic::Code;

use super::method::{Kind, Method};
use super::status::code_label;
use crate::telemetry::metrics::{Histogram, IntCounter, IntCounterVec, Registry, buckets};

const CODES: [Code; 17] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// Client versions counted apart. The label comes from clients, so something must bound it.
const VERSIONS: usize = 64;
/// A version is a few numbers; longer ones are not counted apart either.
const VERSION_BYTES: usize = 32;

/// The counters of one method, made beforehand: a request only adds.
pub(super) struct PerMethod {
    pub(super) started: IntCounter,
    received: IntCounter,
    pub(super) sent: IntCounter,
    handled: [IntCounter; CODES.len()],
    /// Only with extensive metrics.
    pub(super) seconds: Option<Histogram>,
}

impl PerMethod {
    /// Counts a finished call.
    pub(super) fn handled(&self, code: Code) {
        if let Some(counter) = self.handled.get(code as usize) {
            counter.inc();
        }
    }
}

/// All counters of the gRPC face.
pub(super) struct Metrics {
    methods: Vec<PerMethod>,
    received_bytes: IntCounter,
    pub(super) sent_bytes: IntCounter,
    pub(super) defragmentation: Histogram,
    requests: IntCounterVec,
    /// By client version: unary calls, streams.
    versions: RwLock<HashMap<String, [IntCounter; 2]>>,
}

fn defragmentation(registry: &Registry) -> Histogram {
    // It stays at 0: a defragmentation ends with the request for it.
    registry.gauge("etcd_disk_defrag_inflight", "1 while a defragmentation is under way.");
    registry.histogram(
        "etcd_disk_backend_defrag_duration_seconds",
        "How long defragmentations took that clients asked for.",
        buckets::defrag(),
    )
}

impl Metrics {
    pub(super) fn new(registry: &Registry, extensive: bool) -> Self {
        let labels = ["grpc_type", "grpc_service", "grpc_method"];
        let with_code = ["grpc_type", "grpc_service", "grpc_method", "grpc_code"];
        let per_method = |name, help| registry.counter_vec(name, help, &labels);
        let started =
            per_method("grpc_server_started_total", "Total number of RPCs started on the server.");
        let received = per_method(
            "grpc_server_msg_received_total",
            "Total number of RPC stream messages received on the server.",
        );
        let sent = per_method(
            "grpc_server_msg_sent_total",
            "Total number of gRPC stream messages sent by the server.",
        );
        let handled = registry.counter_vec(
            "grpc_server_handled_total",
            "Total number of RPCs completed on the server, regardless of success or failure.",
            &with_code,
        );
        let seconds = extensive.then(|| {
            registry.histogram_vec(
                "grpc_server_handling_seconds",
                "Histogram of response latency (seconds) of gRPC handled by the server.",
                buckets::grpc(),
                &labels,
            )
        });
        let method = |method: &Method| {
            let [kind, service, name] = [method.kind().label(), method.service(), method.name()];
            let values = [kind, service, name];
            PerMethod {
                started: started.with_label_values(&values),
                received: received.with_label_values(&values),
                sent: sent.with_label_values(&values),
                handled: CODES.map(|code| {
                    handled.with_label_values(&[kind, service, name, code_label(code)])
                }),
                seconds: seconds.as_ref().map(|all| all.with_label_values(&values)),
            }
        };
        Self {
            methods: Method::ALL.iter().map(method).collect(),
            received_bytes: registry.counter(
                "etcd_network_client_grpc_received_bytes_total",
                "The total number of bytes received from grpc clients.",
            ),
            sent_bytes: registry.counter(
                "etcd_network_client_grpc_sent_bytes_total",
                "The total number of bytes sent to grpc clients.",
            ),
            defragmentation: defragmentation(registry),
            requests: registry.counter_vec(
                "etcd_server_client_requests_total",
                "The total number of client requests per client version.",
                &["type", "client_api_version"],
            ),
            versions: RwLock::default(),
        }
    }

    /// The counters of a method.
    pub(super) fn of(&self, method: Method) -> Option<&PerMethod> {
        self.methods.get(method as usize)
    }

    /// Counts a message from a client.
    pub(super) fn received(&self, method: Method, bytes: usize) {
        if let Some(counters) = self.of(method) {
            counters.received.inc();
        }
        self.received_bytes.inc_by(bytes as u64);
    }

    /// Counts a request by the version its client claims.
    pub(super) fn request(&self, kind: Kind, version: Option<&str>) {
        let version = version.unwrap_or("unknown");
        let place = usize::from(kind != Kind::Unary);
        if let Some(counter) = self.versions.read().get(version).and_then(|both| both.get(place)) {
            counter.inc();
            return;
        }
        let mut versions = self.versions.write();
        let known = versions.contains_key(version)
            || (versions.len() < VERSIONS && version.len() <= VERSION_BYTES);
        let version = if known { version } else { "unknown" };
        let both = versions.entry(version.to_owned()).or_insert_with(|| {
            ["unary", "stream"].map(|kind| self.requests.with_label_values(&[kind, version]))
        });
        if let Some(counter) = both.get(place) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_there_from_the_start_and_versions_are_bounded() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, false);
        metrics.of(Method::Put).unwrap().handled(Code::ResourceExhausted);
        for version in 0..200 {
            metrics.request(Kind::Unary, Some(&version.to_string()));
        }
        metrics.request(Kind::BidiStream, None);
        metrics.request(Kind::Unary, Some(&"9".repeat(60_000)));
        let text = registry.render();
        let line = "grpc_server_handled_total{grpc_code=\"ResourceExhausted\",\
                    grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("{grpc_code=\"OK\",grpc_method=\"Watch\""));
        assert!(!text.contains(&"9".repeat(100)));
        assert!(text.matches("etcd_server_client_requests_total{").count() <= 2 * VERSIONS + 4);
    }
}
