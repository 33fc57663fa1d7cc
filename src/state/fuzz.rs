//! The decoders of stored state for hostile bytes.

use bytes::Bytes;

use super::alarm::Alarms;
use super::auth::Auth;
use super::membership::Members;
use super::meta::Progress;
use super::mvcc::index::checkpoint;
use super::mvcc::record;
use super::piece::{self, Body, Builder, Piece, Totals};
use super::rolling::Rolling;
use crate::proto::authpb::User;
use crate::proto::internal::MemberAttributes;
use crate::proto::mvccpb::KeyValue;
use crate::storage::engine::Space;
use crate::types::fuzz::{Seed, in_folder};
use crate::types::revision::Revision;

/// A record and the key it is stored under.
pub(crate) fn record(bytes: &[u8]) {
    let at = Revision::new(1, 0);
    if let Ok(kv) = record::decode(at, Bytes::copy_from_slice(bytes)) {
        assert_eq!(record::decode(at, record::encode(&kv)).ok(), Some(kv));
    }
    let _ = record::read_key(bytes);
}

/// What stands beside the records: progress, members, alarms, users. The first byte parts key and value.
pub(crate) fn tables(bytes: &[u8]) {
    let _ = Progress::decode(&Bytes::copy_from_slice(bytes));
    let _ = Rolling::decode(&Bytes::copy_from_slice(bytes));
    let (mut members, mut alarms) = (Members::default(), Alarms::default());
    let mut auth = Auth::default();
    let Some((length, rest)) = bytes.split_first() else { return };
    let (key, value) = rest.split_at_checked(usize::from(*length)).unwrap_or((rest, &[]));
    let _ = (members.restore(key, value), alarms.restore(key), auth.restore(key, value));
}

/// A whole index checkpoint, and the entries inside a block, which no checksum guards here.
pub(crate) fn checkpoint(bytes: &[u8]) {
    checkpoint::read_unchecked(bytes);
    in_folder(|folder| {
        let path = folder.join("checkpoint");
        if std::fs::write(&path, bytes).is_ok() {
            let _ = checkpoint::load(&path);
        }
    });
}

/// A piece of another member's state, and the pairs in one, which no checksum guards here.
pub(crate) fn piece(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    piece::pairs(bytes.clone()).for_each(drop);
    let Ok(read) = Piece::decode(bytes.clone()) else { return };
    match read.body {
        Body::End(totals) => assert_eq!(piece::end(read.image, read.number, totals), bytes),
        Body::Pairs(body) => {
            let mut again = Builder::new(read.image, read.number);
            let pushed = piece::pairs(body).try_for_each(|pair| {
                let (space, key, value) = pair.ok()?;
                again.push(space, &key, &value)
            });
            assert!(pushed.is_none() || again.finish() == bytes);
        }
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    use prost::Message;
    let kv = KeyValue {
        key: "key".into(),
        value: "value".into(),
        create_revision: 2,
        mod_revision: 3,
        version: 2,
        lease: 7,
    };
    let attributes = MemberAttributes {
        member_id: 1,
        name: "n".into(),
        client_urls: vec!["http://a:1".into()],
        level: 0,
    };
    let members = [&[8][..], &1_u64.to_be_bytes(), &attributes.encode_to_vec()].concat();
    let user = User {
        name: "alice".into(),
        password: "hash".into(),
        roles: vec!["r".into()],
        options: None,
    };
    let mut pairs = Builder::new(7, 0);
    // An empty piece is one as well, if they should not fit.
    let _ = pairs.push(Space::Records, &Revision::new(3, 0).to_bytes(), &record::encode(&kv));
    let _ = pairs.push(Space::Meta, b"progress", b"value");
    let totals = Totals { pieces: 2, pairs: 2, sum: 99 };
    let mut seeds = vec![
        Seed::new("record", "put", record::encode(&kv).to_vec()),
        Seed::new("tables", "member", members),
        Seed::new("tables", "user", [&[7][..], b"u/alice", &user.encode_to_vec()].concat()),
        Seed::new("piece", "pairs", pairs.finish().to_vec()),
        Seed::new("piece", "end", piece::end(7, 1, totals).to_vec()),
    ];
    let mut index = super::mvcc::index::Index::new();
    for number in 0..40 {
        let key = Bytes::from(format!("key{:02}", number % 10));
        index.put(&key, Revision::new(number + 2, 0), number % 3);
    }
    let written = in_folder(|folder| {
        let path = folder.join("checkpoint");
        let stamp = checkpoint::Stamp { revision: 41, compacted: -1 };
        checkpoint::write(&index.root(), stamp, &path).ok()?;
        std::fs::read(&path).ok()
    });
    seeds.extend(written.map(|bytes| Seed::new("checkpoint", "ten_keys", bytes)));
    seeds
}
