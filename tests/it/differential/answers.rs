//! Answers as they are compared: without what depends on time or chance, large values shortened.

use std::fmt::Debug;

use bytes::Bytes;
use etcd::proto::etcdserverpb::response_op::Response as Op;
use etcd::proto::etcdserverpb::{
    CompactionResponse, DefragmentResponse, DeleteRangeResponse, HashKvResponse,
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse,
    LeaseTimeToLiveResponse, PutResponse, RangeResponse, ResponseHeader, TxnResponse,
    WatchResponse,
};
use etcd::proto::mvccpb::{Event, KeyValue};
use tonic::Status;

/// Values longer than this are shown by length and checksum.
const SHOWN: usize = 64;

/// An answer that can be compared.
pub(super) trait Answer: Debug {
    /// Its header, if it has one.
    fn header(&mut self) -> Option<&mut ResponseHeader>;
    /// Shortens the values in it.
    fn shorten(&mut self) {}
}

macro_rules! plain_answers {
    ($($answer:ty),*) => {
        $(impl Answer for $answer {
            fn header(&mut self) -> Option<&mut ResponseHeader> {
                self.header.as_mut()
            }
        })*
    };
}
plain_answers!(
    CompactionResponse,
    DefragmentResponse,
    HashKvResponse,
    LeaseGrantResponse,
    LeaseKeepAliveResponse,
    LeaseLeasesResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
    WatchResponse
);

macro_rules! answers_with_values {
    ($($answer:ty: $values:ident),*) => {
        $(impl Answer for $answer {
            fn header(&mut self) -> Option<&mut ResponseHeader> {
                self.header.as_mut()
            }

            fn shorten(&mut self) {
                self.$values.iter_mut().for_each(shorten);
            }
        })*
    };
}
answers_with_values!(PutResponse: prev_kv, RangeResponse: kvs, DeleteRangeResponse: prev_kvs);

impl Answer for TxnResponse {
    fn header(&mut self) -> Option<&mut ResponseHeader> {
        self.header.as_mut()
    }

    fn shorten(&mut self) {
        for op in &mut self.responses {
            match &mut op.response {
                Some(Op::ResponseRange(answer)) => answer.shorten(),
                Some(Op::ResponsePut(answer)) => answer.shorten(),
                Some(Op::ResponseDeleteRange(answer)) => answer.shorten(),
                Some(Op::ResponseTxn(answer)) => answer.shorten(),
                None => {}
            }
        }
    }
}

fn shorten(kv: &mut KeyValue) {
    if kv.value.len() > SHOWN {
        let check = crc32c::crc32c(&kv.value);
        kv.value = Bytes::from(format!("<{} bytes, checksum {check:08x}>", kv.value.len()));
    }
}

/// An answer as text. How many terms a server needed is its own affair; that it tells one is not.
pub(super) fn text(answer: &mut impl Answer) -> String {
    if let Some(header) = answer.header() {
        header.raft_term = header.raft_term.min(1);
    }
    answer.shorten();
    format!("{answer:?}")
}

/// A refusal as text.
pub(super) fn refusal(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// An event as text.
pub(super) fn event(event: &Event) -> String {
    let mut event = event.clone();
    event.kv.iter_mut().chain(&mut event.prev_kv).for_each(shorten);
    format!("{event:?}")
}
