//! A range answered in pieces that all belong to one revision.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::proto::etcdserverpb::{RangeRequest, RangeResponse};
use crate::proto::mvccpb::KeyValue;
use crate::state::error::{ReadError, StateError};
use crate::state::mvcc::read::{self, View};
use crate::state::mvcc::record::{self, Fetch, Records};
use crate::state::shared::Shared;
use crate::types::range::{KeyRange, next_key};
use crate::types::revision::Revision;

/// Keys in the first piece; later ones grow and shrink towards the wanted size.
const FIRST_KEYS: usize = 10;

/// The pieces of a range, in key order. Sort orders and filters of the request are not looked at:
/// whoever takes it refuses them.
///
/// No state is held between two pieces: a compaction that passes the revision ends the stream.
pub struct RangeStream {
    shared: Arc<Shared>,
    request: RangeRequest,
    /// The revision of every piece, and the one in the header.
    rev: i64,
    header: i64,
    count: i64,
    /// What is still to be read.
    rest: Option<KeyRange>,
    left: usize,
    keys: usize,
    wanted_bytes: usize,
}

impl RangeStream {
    pub(in crate::state) fn new(
        shared: Arc<Shared>,
        request: RangeRequest,
        wanted_bytes: usize,
    ) -> Result<Self, ReadError> {
        let state = shared.published.load_full();
        let rev = state.view().resolve(request.revision)?;
        let range = KeyRange::new(request.key.clone(), request.range_end.clone());
        let count = read::count(state.view(), &range, rev);
        let left = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        Ok(Self {
            shared,
            request,
            rev,
            header: state.revision,
            count,
            rest: Some(range),
            left: left.unwrap_or(usize::MAX),
            keys: FIRST_KEYS,
            wanted_bytes: wanted_bytes.max(1),
        })
    }

    /// The next piece; `None` after the last, which alone carries header, count and `more`.
    ///
    /// # Errors
    /// The revision was compacted meanwhile, or the store failed.
    pub fn next_piece(&mut self) -> Result<Option<RangeResponse>, ReadError> {
        let Some(range) = self.rest.take() else { return Ok(None) };
        let mut piece = RangeResponse::default();
        let mut resume = None;
        if !self.request.count_only {
            (piece.kvs, resume) = self.fetch(&range)?;
        }
        self.left = self.left.saturating_sub(piece.kvs.len());
        if let Some(key) = resume.clone().filter(|_| self.left > 0) {
            self.rest = Some(from_key(range, key));
            self.adapt(&piece.kvs);
        } else {
            piece.header = read::header(self.header);
            piece.count = self.count;
            piece.more = resume.is_some();
        }
        Ok(Some(piece))
    }

    /// Keys from the start of `range`, and the first key that did not fit.
    fn fetch(&self, range: &KeyRange) -> Result<(Vec<KeyValue>, Option<Bytes>), ReadError> {
        loop {
            let state = self.shared.published.load_full();
            let (found, resume) = self.find(state.view(), range)?;
            match self.load(&state.records, &found) {
                Err(StateError::MissingRecord(_))
                    if self.shared.published.load().compacted > state.compacted => {}
                kvs => {
                    let kvs = kvs?;
                    // Fewer than were found when they are larger than those before.
                    let cut = kvs.last().filter(|_| kvs.len() < found.len());
                    let resume = cut.map(|last| next_key(&last.key)).or(resume);
                    return Ok((kvs, resume));
                }
            }
        }
    }

    fn find(
        &self,
        view: View<'_>,
        range: &KeyRange,
    ) -> Result<(Vec<Revision>, Option<Bytes>), ReadError> {
        view.resolve(self.rev)?;
        let most = self.keys.min(self.left);
        let mut found = Vec::new();
        let mut resume = None;
        view.root.for_each_at(range, self.rev, |key, at| {
            if found.len() == most {
                resume = Some(Bytes::copy_from_slice(key));
                return ControlFlow::Break(());
            }
            found.push(at);
            ControlFlow::Continue(())
        });
        Ok((found, resume))
    }

    fn load(&self, records: &Records, found: &[Revision]) -> Result<Vec<KeyValue>, StateError> {
        let mut kvs = Vec::with_capacity(found.len());
        let mut bytes = 0;
        for at in found {
            if bytes >= self.wanted_bytes {
                break;
            }
            let record = records.fetch(*at)?.ok_or(StateError::MissingRecord(*at))?;
            let mut kv = record::decode(*at, record)?;
            bytes += kv.key.len() + if self.request.keys_only { 0 } else { kv.value.len() };
            if self.request.keys_only {
                kv.value = Bytes::new();
            }
            kvs.push(kv);
        }
        Ok(kvs)
    }

    fn adapt(&mut self, kvs: &[KeyValue]) {
        let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        if bytes < self.wanted_bytes / 2 {
            self.keys = self.keys.saturating_mul(2);
        } else if bytes > self.wanted_bytes.saturating_mul(2) {
            self.keys = (self.keys / 2).max(1);
        }
    }
}

/// The part of a range at or above `key`.
fn from_key(range: KeyRange, key: Bytes) -> KeyRange {
    match range {
        KeyRange::Between(_, end) => KeyRange::Between(key, end),
        KeyRange::From(_) => KeyRange::From(key),
        single @ KeyRange::Single(_) => single,
    }
}
