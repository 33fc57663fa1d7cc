//! Many watchers that see nothing, and the memory they hold.

use etcd::proto::etcdserverpb::WatchCreateRequest;

use crate::Error;
use crate::figures::{Figure, Sample};
use crate::identity::Identity;
use crate::keys;
use crate::options::Scale;
use crate::server::Server;
use crate::watching::Watching;

const CONNECTIONS: usize = 10;
/// Watchers on one stream.
const PER_STREAM: usize = 100;

/// Opens the watchers, each of a key of its own, and weighs the server before and after.
pub(crate) async fn run(
    server: &Server,
    identity: &Identity,
    scale: &Scale,
    quick: bool,
) -> Result<Sample, Error> {
    let wires = server.connect(identity, CONNECTIONS).await?;
    let before = server.settle(quick).await?;
    let mut streams = Vec::new();
    for (number, wire) in (0..scale.idle / PER_STREAM).zip(wires.iter().cycle()) {
        let first = (number * PER_STREAM) as u64;
        let watchers = (first..first + PER_STREAM as u64).map(|number| WatchCreateRequest {
            key: keys::key(number),
            ..WatchCreateRequest::default()
        });
        streams.push(Watching::open(wire, watchers.collect()).await?);
    }
    let after = server.settle(quick).await?;
    let grown = after.resident.saturating_sub(before.resident) as f64;
    let many = (streams.len() * PER_STREAM) as f64;
    Ok(Sample::from([
        (Figure::PerWatcher, grown / many),
        (Figure::Resident, after.resident as f64 / 1e6),
    ]))
}
