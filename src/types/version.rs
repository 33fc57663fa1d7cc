//! Versions: ours, and the etcd API level we answer with.

/// The etcd release whose API, errors and text formats this server speaks.
pub const ETCD_API: &str = "3.5.21";
/// The cluster version a cluster of such servers decides on.
pub const CLUSTER: &str = "3.5.0";
/// The lowest cluster version such a server joins.
pub const MIN_CLUSTER: &str = "3.0.0";
/// This implementation's name, as printed beside the API level.
pub const IMPLEMENTATION: &str = "etcd in Rust";
/// This implementation's own version.
pub const OURS: &str = env!("CARGO_PKG_VERSION");
