//! Members, status, alarms and health: what dashboards and operators ask.

use etcd::proto::etcdserverpb::cluster_client::ClusterClient;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest,
    LeaseGrantRequest, LeaseRevokeRequest, MemberListRequest, RangeRequest, RequestOp,
    StatusRequest, TxnRequest,
};
use etcd::proto::health::HealthCheckRequest;
use etcd::proto::health::health_client::HealthClient;

use crate::compat::side_by_side;
use crate::support::session::{Session, put};

side_by_side!(members_and_status, play_members);
side_by_side!(health_service, play_health);
side_by_side!(alarms, play_alarms);
side_by_side!(without_space, play_without_space);
side_by_side!(corrupt, play_corrupt);

const GET: i32 = 0;
const ACTIVATE: i32 = 1;
const DEACTIVATE: i32 = 2;
const NONE: i32 = 0;
const NOSPACE: i32 = 1;
const CORRUPT: i32 = 2;

async fn play_members(session: &mut Session) {
    let mut cluster = ClusterClient::new(session.channel());
    for linearizable in [false, true] {
        let request = MemberListRequest { linearizable };
        let answer = cluster.member_list(request).await;
        session.keep(request, answer);
    }
    session.kv.put(put("k", "v")).await.unwrap();
    let status = session.maintenance.status(StatusRequest {}).await.unwrap().into_inner();
    let plausible = status.db_size > 0
        && status.db_size_in_use > 0
        && status.raft_applied_index > 0
        && status.raft_applied_index <= status.raft_index
        && status.raft_term > 0
        && status.leader == status.header.as_ref().map_or(0, |header| header.member_id);
    session.note(format!(
        "plausible: {plausible}, revision {}, learner {}, errors {:?}",
        status.header.map_or(0, |header| header.revision),
        status.is_learner,
        status.errors
    ));
}

async fn play_health(session: &mut Session) {
    let mut health = HealthClient::new(session.channel());
    for service in ["", "etcdserverpb.KV", "nonsense"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request.clone()).await;
        session.keep(request, answer);
    }
}

async fn alarm(session: &mut Session, action: i32, member_id: u64, alarm: i32) {
    let request = AlarmRequest { action, member_id, alarm };
    let mut answer = session.maintenance.alarm(request).await;
    if let Ok(response) = &mut answer {
        // They come in the order of a map, which in etcd is no order.
        response.get_mut().alarms.sort_by_key(|alarm| (alarm.member_id, alarm.alarm));
    }
    session.keep(request, answer);
}

async fn errors(session: &mut Session) {
    let answer = session.maintenance.status(StatusRequest {}).await;
    session.note(format!("{:?}", answer.map(|status| status.into_inner().errors).ok()));
}

async fn play_alarms(session: &mut Session) {
    alarm(session, GET, 0, NONE).await;
    for (member, kind) in [(7, NOSPACE), (7, NOSPACE), (8, CORRUPT), (9, NONE), (0, NOSPACE)] {
        alarm(session, ACTIVATE, member, kind).await;
    }
    for kind in [NONE, NOSPACE, CORRUPT] {
        alarm(session, GET, 0, kind).await;
    }
    for (member, kind) in [(9, NOSPACE), (7, NOSPACE), (7, NOSPACE), (0, NOSPACE), (8, CORRUPT)] {
        alarm(session, DEACTIVATE, member, kind).await;
    }
    alarm(session, GET, 0, NONE).await;
    errors(session).await;
}

/// Under the alarm about space only what frees some is admitted.
async fn play_without_space(session: &mut Session) {
    session.kv.put(put("a", "1")).await.unwrap();
    session.kv.put(put("b", "1")).await.unwrap();
    session.lease.lease_grant(LeaseGrantRequest { id: 5, ttl: 600 }).await.unwrap();
    alarm(session, ACTIVATE, 7, NOSPACE).await;
    errors(session).await;
    for (key, value) in [("a", "2"), ("", "2")] {
        let answer = session.kv.put(put(key, value)).await;
        session.keep(key, answer);
    }
    let answer = session.lease.lease_grant(LeaseGrantRequest { id: 6, ttl: 600 }).await;
    session.keep("grant", answer);
    let answer = session.lease.lease_revoke(LeaseRevokeRequest { id: 5 }).await;
    session.keep("revoke", answer);
    let range = RangeRequest { key: "a".into(), ..RangeRequest::default() };
    let answer = session.kv.range(range).await;
    session.keep("range", answer);
    let delete = DeleteRangeRequest { key: "b".into(), ..DeleteRangeRequest::default() };
    let answer = session.kv.delete_range(delete).await;
    session.keep("delete", answer);
    let answer = session.kv.compact(CompactionRequest { revision: 3, physical: true }).await;
    session.keep("compact", answer);
    let answer = session.maintenance.defragment(DefragmentRequest {}).await;
    session.keep("defragment", answer);
    alarm(session, DEACTIVATE, 7, NOSPACE).await;
    let answer = session.kv.put(put("a", "3")).await;
    session.keep("put", answer);
}

/// Under the alarm about differing members nothing is written; what is there can be read and looked at.
async fn play_corrupt(session: &mut Session) {
    session.kv.put(put("a", "1")).await.unwrap();
    session.lease.lease_grant(LeaseGrantRequest { id: 5, ttl: 600 }).await.unwrap();
    for member in [0, 7] {
        alarm(session, ACTIVATE, member, CORRUPT).await;
        errors(session).await;
        let answer = session.kv.put(put("a", "2")).await;
        session.keep("put", answer);
        let delete = DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
        let answer = session.kv.delete_range(delete).await;
        session.keep("delete", answer);
        let read = TxnRequest { success: vec![reading("a")], ..TxnRequest::default() };
        let answer = session.kv.txn(read.clone()).await;
        session.keep("reading txn", answer);
        let write = RequestOp { request: Some(Request::RequestPut(put("a", "3"))) };
        let answer = session.kv.txn(TxnRequest { success: vec![write], ..read }).await;
        session.keep("writing txn", answer);
        let answer = session.kv.compact(CompactionRequest { revision: 1, physical: false }).await;
        session.keep("compact", answer);
        let answer = session.lease.lease_grant(LeaseGrantRequest { id: 6, ttl: 600 }).await;
        session.keep("grant", answer);
        let answer = session.lease.lease_revoke(LeaseRevokeRequest { id: 5 }).await;
        session.keep("revoke", answer);
        for serializable in [false, true] {
            let range = RangeRequest { key: "a".into(), serializable, ..RangeRequest::default() };
            let answer = session.kv.range(range).await;
            session.keep("range", answer);
        }
        let answer = session.maintenance.hash_kv(HashKvRequest { revision: 0 }).await;
        session.keep("hash", answer);
        alarm(session, DEACTIVATE, member, CORRUPT).await;
    }
    let answer = session.kv.put(put("a", "4")).await;
    session.keep("put", answer);
}

fn reading(key: &str) -> RequestOp {
    let range = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    RequestOp { request: Some(Request::RequestRange(range)) }
}
