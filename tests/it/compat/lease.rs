//! Leases: granting, attaching, renewing, revoking, running out.

use etcd::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest,
};

use crate::compat::side_by_side;
use crate::compat::watch::create;
use crate::support::session::{Session, opening, put};
use crate::support::wait::within;

side_by_side!(lease_life, play_life);
side_by_side!(lease_expiry, play_expiry);

async fn grant(session: &mut Session, id: i64, ttl: i64) {
    let request = LeaseGrantRequest { id, ttl };
    let answer = session.lease.lease_grant(request).await;
    session.keep(request, answer);
}

async fn revoke(session: &mut Session, id: i64) {
    let request = LeaseRevokeRequest { id };
    let answer = session.lease.lease_revoke(request).await;
    session.keep(request, answer);
}

async fn time_to_live(session: &mut Session, id: i64) {
    let request = LeaseTimeToLiveRequest { id, keys: true };
    let mut answer = session.lease.lease_time_to_live(request).await;
    if let Ok(response) = &mut answer {
        let response = response.get_mut();
        // A second may pass between grant and question; keys come in no promised order.
        response.ttl = if response.ttl >= response.granted_ttl - 2 && response.ttl > 0 {
            1
        } else {
            response.ttl
        };
        response.keys.sort();
    }
    session.keep(request, answer);
}

async fn attach(session: &mut Session, key: &str, lease: i64) {
    let request = PutRequest { lease, ..put(key, "v") };
    let answer = session.kv.put(request.clone()).await;
    session.keep(request, answer);
}

async fn everything(session: &mut Session) {
    let request =
        RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let answer = session.kv.range(request.clone()).await;
    session.keep(request, answer);
}

async fn play_life(session: &mut Session) {
    for (id, ttl) in
        [(7, 100), (7, 100), (8, 0), (9, -5), (-3, 60), (10, 9_000_000_000), (11, 9_000_000_001)]
    {
        grant(session, id, ttl).await;
    }
    let answer = session.lease.lease_grant(LeaseGrantRequest { id: 0, ttl: 500 }).await;
    let chosen = answer.unwrap().into_inner();
    session.note(format!("chosen id positive: {}, ttl {}", chosen.id > 0, chosen.ttl));
    for (key, lease) in [("b", 7), ("a", 7), ("c", -3), ("a", -3), ("d", 7), ("d", 0), ("e", 404)] {
        attach(session, key, lease).await;
    }
    for id in [7, 8, -3, 404, 0] {
        time_to_live(session, id).await;
    }
    let (requests, receiver) = tokio::sync::mpsc::channel(8);
    for id in [7, 404, -3, 0] {
        requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
    }
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = session.lease.lease_keep_alive(stream).await.unwrap().into_inner();
    for _ in 0..4 {
        let answer = within("a keep-alive answer", answers.message()).await.unwrap().unwrap();
        session.keep("keep alive", Ok(tonic::Response::new(answer)));
    }
    revoke(session, 404).await;
    revoke(session, -3).await;
    everything(session).await;
    revoke(session, 8).await;
    revoke(session, 7).await;
    everything(session).await;
    let answer = session.lease.lease_leases(LeaseLeasesRequest {}).await;
    let mut left: Vec<i64> = answer.unwrap().into_inner().leases.iter().map(|l| l.id).collect();
    left.retain(|id| *id != chosen.id);
    session.note(format!("leases left: {left:?}"));
}

async fn play_expiry(session: &mut Session) {
    let mut watch = session.watch();
    watch.send(opening(create("k", "\0"))).await;
    let created = watch.next().await;
    session.keep("created", Ok(tonic::Response::new(created)));
    grant(session, 5, 1).await;
    attach(session, "kb", 5).await;
    attach(session, "ka", 5).await;
    for _ in 0..3 {
        let response = watch.next().await;
        session.keep("event", Ok(tonic::Response::new(response)));
    }
    everything(session).await;
    time_to_live(session, 5).await;
    grant(session, 5, 60).await;
}
