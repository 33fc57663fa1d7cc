//! What the tests of images and of taking them over share.

use bytes::Bytes;

use super::support::{Store, delete, op_delete, op_put, put, then};
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::{
    AlarmRequest, AlarmType, LeaseCheckpoint, LeaseCheckpointRequest, PutRequest,
};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ClusterVersion, MemberAttributes};
use crate::state::{Image, ReceiveError, Received, Receiver};

/// Everything anybody could tell two states apart by, line by line.
pub(super) fn look(store: &Store) -> Vec<String> {
    let (reader, machine) = (&store.reader, &store.machine);
    let (revision, compacted) = (reader.revision(), reader.compacted());
    let mut seen = vec![
        format!("{revision} {compacted} {:?} {:?}", reader.key_counts(), reader.sizes().in_use),
        format!("{:?} {:?}", machine.applied(), machine.membership()),
        format!("{:?} {:?}", reader.applied_hash(), reader.alarms()),
        format!("{:?}", reader.members()),
    ];
    for lease in reader.leases() {
        seen.push(format!("{lease:?} {:?}", reader.lease_keys(lease.id)));
    }
    for at in (compacted.max(1)..=revision).rev().step_by(7) {
        seen.push(format!("{:?}", reader.hash_kv(at).unwrap().hash));
    }
    // Values are in the hash; here they would only be long.
    let keys = store.contents().into_iter().map(|kv| (kv.key, kv.mod_revision, kv.value.len()));
    seen.push(format!("{:?}", keys.collect::<Vec<_>>()));
    seen
}

/// Bytes of the largest value.
pub(super) const LARGE: usize = 2 << 20;

/// Something of everything, enough for several pieces.
pub(super) fn fill(store: &mut Store) {
    store.configure(&[1, 2, 3]);
    for id in [1, 2, 3] {
        let (name, client_urls) = (format!("m{id}"), vec![format!("http://m{id}:2379")]);
        let attributes = MemberAttributes { member_id: id, name, client_urls, level: 1 };
        store.run(Op::MemberAttributes(attributes));
    }
    store.run(Op::ClusterVersion(ClusterVersion { version: "3.5.0".into() }));
    store.configure(&[1, 2]);
    for id in [-5, 5, 6] {
        store.grant(id);
    }
    let checkpoints = vec![LeaseCheckpoint { id: 6, remaining_ttl: 7 }];
    store.run(Op::LeaseCheckpoint(LeaseCheckpointRequest { checkpoints }));
    for n in 0..60 {
        let value = "v".repeat(40_000 + n);
        store.put(&format!("k{:02}", n % 23), &value);
    }
    store.try_put(PutRequest { lease: 5, ..put("leased", "") }).unwrap();
    store.try_put(PutRequest { lease: -5, ..put("leased/too", "x") }).unwrap();
    store.delete("k05", "k08");
    store.put("large", &"l".repeat(LARGE));
    store.txn(then(vec![op_put(put("k06", "back")), op_delete(delete("k10", "k12"))]));
    let alarm = AlarmRequest {
        action: AlarmAction::Activate as i32,
        member_id: 2,
        alarm: AlarmType::Corrupt as i32 + 40,
    };
    store.run(Op::Alarm(alarm));
    store.compact(20);
    // Accepted and not carried out.
    store.accept_compaction(30).unwrap();
}

/// All pieces of an image.
pub(super) fn pieces(image: &Image) -> Vec<Bytes> {
    image.pieces(0).map(Result::unwrap).collect()
}

/// A receiver of a member.
pub(super) fn receiver(store: &Store) -> Receiver {
    Receiver::create(&store.machine.intake().unwrap()).unwrap()
}

/// Receives what another member holds now.
pub(super) fn receive(store: &Store, from: &Store) -> Received {
    try_receive(store, pieces(&from.machine.image().unwrap())).unwrap()
}

pub(super) fn try_receive(store: &Store, pieces: Vec<Bytes>) -> Result<Received, ReceiveError> {
    let mut receiver = receiver(store);
    for piece in pieces {
        receiver.take(piece)?;
    }
    receiver.finish()
}
