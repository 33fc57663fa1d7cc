//! Status, alarms, hashes and other care of a member.

use std::sync::Arc;

use futures::stream;
use tonic::Status;

use super::Shared;
use super::identity::Asker;
use super::propose::{decide, mismatch};
use crate::api::backend::Backend;
use crate::api::{header, status as wire};
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse,
    MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest,
    StatusResponse,
};
use crate::proto::internal::request::Op;
use crate::state::Response;
use crate::storage::space::Room;
use crate::types::ids::MemberId;
use crate::types::version::ETCD_API;

/// Alarms that may be raised: two kinds for each member of the largest cluster, many times over. The
/// member is whatever the client says.
const MOST_ALARMS: usize = 1_024;

pub(super) async fn status(
    shared: Arc<Shared>,
    _: Asker,
    _: StatusRequest,
) -> Result<StatusResponse, Status> {
    let backend = &shared.backend;
    let (now, sizes) = (backend.node.status(), backend.reader.sizes());
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Ok(StatusResponse {
        header: header::now(backend),
        version: ETCD_API.to_owned(),
        db_size: bytes(sizes.allocated),
        db_size_in_use: bytes(sizes.in_use),
        leader: now.leader.map_or(0, |leader| leader.0),
        raft_index: now.committed,
        raft_applied_index: now.applied,
        raft_term: now.term,
        errors: complaints(backend, now.leader.is_none()),
        is_learner: now.is_learner,
        ..StatusResponse::default()
    })
}

/// What is wrong, in the words etcdctl prints.
fn complaints(backend: &Backend, leaderless: bool) -> Vec<String> {
    let no_leader = leaderless.then(|| wire::no_leader().message().to_owned());
    let mut alarms = backend.reader.alarms().list(AlarmType::None);
    let full = AlarmMember { member_id: backend.member.0, alarm: AlarmType::Nospace as i32 };
    if backend.disk.room() < Room::Ample && !alarms.contains(&full) {
        alarms.push(full);
    }
    no_leader.into_iter().chain(alarms.iter().map(alarm_text)).collect()
}

/// An alarm in the text form of its message, with the blank etcd leaves behind each field.
fn alarm_text(alarm: &AlarmMember) -> String {
    let mut text = String::new();
    if alarm.member_id != 0 {
        text.push_str(&format!("memberID:{} ", alarm.member_id));
    }
    match AlarmType::try_from(alarm.alarm) {
        Ok(AlarmType::None) => {}
        Ok(kind) => text.push_str(&format!("alarm:{} ", kind.as_str_name())),
        Err(_) => text.push_str(&format!("alarm:{} ", alarm.alarm)),
    }
    text
}

pub(super) async fn alarm(
    shared: Arc<Shared>,
    asker: Asker,
    request: AlarmRequest,
) -> Result<AlarmResponse, Status> {
    if AlarmAction::try_from(request.action).is_err() {
        return Err(wire::unknown_alarm_action(request.action));
    }
    let raises = request.action == AlarmAction::Activate as i32;
    if raises && shared.backend.reader.alarms().list(AlarmType::None).len() >= MOST_ALARMS {
        return Err(wire::too_many_alarms(MOST_ALARMS));
    }
    match decide(&shared, &asker, Op::Alarm(request)).await? {
        (revision, Response::Alarm(mut response)) => {
            response.header = header::at(&shared.backend, revision);
            Ok(response)
        }
        _ => Err(mismatch()),
    }
}

/// Space comes back by itself as the store merges its files, and the quota counts live bytes: there
/// is nothing to do, and nobody has to wait for it.
pub(super) async fn defragment(
    shared: Arc<Shared>,
    _: Asker,
    _: DefragmentRequest,
) -> Result<DefragmentResponse, Status> {
    let begun = shared.clock.now();
    let sizes = shared.backend.reader.sizes();
    tracing::info!(
        bytes = sizes.allocated,
        bytes_in_use = sizes.in_use,
        "defragmentation requested; space is given back in the background"
    );
    shared.metrics.defragmentation.observe((shared.clock.now() - begun).as_secs_f64());
    Ok(DefragmentResponse { header: None })
}

pub(super) async fn hash_kv(
    shared: Arc<Shared>,
    _: Asker,
    request: HashKvRequest,
) -> Result<HashKvResponse, Status> {
    let hashed = shared.backend.hash_kv(request.revision).await?;
    Ok(HashKvResponse {
        header: header::at(&shared.backend, hashed.current),
        hash: hashed.hash,
        compact_revision: hashed.compacted,
        // Unknown to the API level this server speaks.
        hash_revision: 0,
    })
}

pub(super) async fn hash(_: Arc<Shared>, _: Asker, _: HashRequest) -> Result<HashResponse, Status> {
    Err(wire::not_offered("the hash of the database file", "HashKV compares the contents"))
}

pub(super) async fn snapshot(
    _: Arc<Shared>,
    _: Asker,
    _: SnapshotRequest,
) -> Result<stream::Empty<Result<SnapshotResponse, Status>>, Status> {
    Err(wire::not_offered("the snapshot stream", "copy the data directory of a stopped member"))
}

pub(super) async fn move_leader(
    shared: Arc<Shared>,
    _: Asker,
    request: MoveLeaderRequest,
) -> Result<MoveLeaderResponse, Status> {
    let node = &shared.backend.node;
    node.move_leader(MemberId(request.target_id)).await.map_err(wire::of_move)?;
    Ok(MoveLeaderResponse { header: None })
}

pub(super) async fn downgrade(
    _: Arc<Shared>,
    _: Asker,
    _: DowngradeRequest,
) -> Result<DowngradeResponse, Status> {
    Err(wire::not_offered("downgrading", "the data format has no older version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_read_as_etcdctl_prints_them() {
        let alarm = |member_id, alarm| alarm_text(&AlarmMember { member_id, alarm });
        assert_eq!(alarm(123, 1), "memberID:123 alarm:NOSPACE ");
        assert_eq!(alarm(0, 2), "alarm:CORRUPT ");
    }
}
