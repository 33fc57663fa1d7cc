//! One watcher of everything a workload writes, at one member, which goes on where it was whenever
//! its stream breaks.

use std::sync::Arc;
use std::time::Duration;

use etcd::client::Client;
use etcd::proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use tonic::Status;

use super::client::number;
use super::operation::Value;
use super::workload::Shared;
use crate::support::cluster::requests::end;
use crate::support::session::{WatchSession, opening};

/// Before it is tried again at a member that is away.
const PAUSE: Duration = Duration::from_millis(60);

/// A change of a key: when, which, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) revision: i64,
    pub(super) key: String,
    pub(super) value: Option<Value>,
}

/// Collects events after `newest` until the last key of the workload was written.
pub(super) async fn collect(client: Client, shared: Arc<Shared>, mut newest: i64) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let request = WatchCreateRequest {
            key: shared.prefix.clone().into(),
            range_end: end(&shared.prefix),
            start_revision: newest + 1,
            ..WatchCreateRequest::default()
        };
        let mut watch = WatchSession::over(&client);
        watch.send(opening(request)).await;
        while let Ok(response) = read(&mut watch).await {
            for event in response {
                // One key is written at a time, so that each event has a revision of its own.
                assert!(event.revision > newest, "{event:?} after revision {newest}");
                newest = event.revision;
                if event.key == shared.last_key() {
                    return events;
                }
                events.push(event);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(watch: &mut WatchSession) -> Result<Vec<Event>, Status> {
    let response: WatchResponse = watch.receive().await?;
    assert_eq!(response.compact_revision, 0, "nothing was compacted");
    if response.canceled {
        return Err(Status::cancelled(response.cancel_reason));
    }
    let told = response.events.into_iter().map(|event| {
        let kv = event.kv.unwrap();
        let value = (event.r#type == 0).then(|| number(&kv.value));
        let key = String::from_utf8(kv.key.to_vec()).unwrap();
        Event { revision: kv.mod_revision, key, value }
    });
    Ok(told.collect())
}
