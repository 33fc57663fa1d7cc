//! Ranges: which keys, in which order, how many of them, and what of them is told.

use std::cell::Cell;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::index::{KeyMeta, Root};
use super::record::{Fetch, decode};
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use crate::proto::mvccpb::KeyValue;
use crate::state::error::ReadError;
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

/// The store at one moment.
#[derive(Clone, Copy)]
pub(in crate::state) struct View<'a> {
    pub(in crate::state) root: &'a Root,
    pub(in crate::state) revision: i64,
    pub(in crate::state) compacted: i64,
}

impl View<'_> {
    /// The revision a request means: zero and below are the current one.
    ///
    /// # Errors
    /// It is not written yet, or compacted.
    pub(in crate::state) fn resolve(&self, asked: i64) -> Result<i64, ReadError> {
        if asked > self.revision {
            return Err(ReadError::FutureRevision);
        }
        let rev = if asked <= 0 { self.revision } else { asked };
        if rev < self.compacted { Err(ReadError::Compacted) } else { Ok(rev) }
    }
}

/// Bytes a read may take in memory: what it finds in the index and what it fetches.
pub(in crate::state) struct Meter {
    limit: usize,
    left: Cell<usize>,
}

/// What a key found costs beside its own bytes and its value's: its places in the lists made of it.
const KEY_BYTES: usize = size_of::<Found>() + size_of::<KeyValue>();

impl Meter {
    pub(in crate::state) fn new(limit: usize) -> Self {
        Self { limit, left: Cell::new(limit) }
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// When there are fewer left.
    pub(in crate::state) fn take(&self, bytes: usize) -> Result<(), ReadError> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or(ReadError::TooLarge(self.limit))?);
        Ok(())
    }

    /// Takes what a fetched key holds.
    pub(in crate::state) fn take_kv(&self, kv: KeyValue) -> Result<KeyValue, ReadError> {
        self.take(kv.key.len() + kv.value.len())?;
        Ok(kv)
    }
}

/// Records of older revisions read at once, of which filters may leave out any.
const PAGE: usize = 1024;

/// A header that carries a revision; the rest is the answering member's business.
pub(in crate::state) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

/// The answer to a range request.
#[derive(Debug, Default)]
pub struct RangeAnswer {
    /// The answer, without the keys in `records`.
    pub response: RangeResponse,
    /// Keys that nobody had to look into, as they are stored: each an encoded `mvccpb.KeyValue`, which
    /// is what goes to the client. Empty when `response` has keys.
    pub records: Vec<Bytes>,
}

/// As [`range`], but leaves the keys as they are stored where that is all the request needs.
///
/// # Errors
/// As [`range`].
pub(in crate::state) fn range_stored(
    view: View<'_>,
    source: &impl Fetch,
    request: &RangeRequest,
    meter: &Meter,
) -> Result<RangeAnswer, ReadError> {
    let plan = Plan::new(request, meter)?;
    let looked_into = request.count_only || request.keys_only || plan.target == SortTarget::Value;
    if looked_into || view.resolve(request.revision)? != view.revision {
        let response = range(view, source, request, meter)?;
        return Ok(RangeAnswer { response, records: Vec::new() });
    }
    let mut response = RangeResponse { header: header(view.revision), ..Default::default() };
    let at = revisions(plan.choose(view.root, &mut response)?);
    let accept = |_, record: Bytes| meter.take(record.len()).map(|()| Some(record));
    Ok(RangeAnswer { response, records: source.fetch_each(&at, &accept)? })
}

/// Answers a range request. The header carries the revision of the view, not the one asked for.
///
/// # Errors
/// [`ReadError::TooLarge`] when `meter` runs out, whatever has been read by then; others as the
/// request deserves.
pub(in crate::state) fn range(
    view: View<'_>,
    source: &impl Fetch,
    request: &RangeRequest,
    meter: &Meter,
) -> Result<RangeResponse, ReadError> {
    let plan = Plan::new(request, meter)?;
    let rev = view.resolve(request.revision)?;
    let mut answer = RangeResponse { header: header(view.revision), ..Default::default() };
    if request.count_only {
        answer.count = count(view, &plan.range, rev);
        return Ok(answer);
    }
    if rev == view.revision {
        plan.current(view.root, source, &mut answer)?;
    } else {
        plan.historic(view.root, rev, source, &mut answer)?;
    }
    if plan.limit.is_some_and(|limit| answer.kvs.len() > limit) {
        answer.kvs.truncate(plan.limit.unwrap_or(usize::MAX));
        answer.more = true;
    }
    Ok(answer)
}

/// How many keys of a range live at a revision of the view.
pub(in crate::state) fn count(view: View<'_>, range: &KeyRange, rev: i64) -> i64 {
    let count = if rev == view.revision {
        match range {
            KeyRange::Single(key) => u64::from(view.root.get(key).is_some()),
            range => view.root.count(range),
        }
    } else {
        view.root.count_at(range, rev)
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A key found, with what the index knows about it at the current revision.
struct Found {
    meta: KeyMeta,
    /// Only when the answer is made from the index alone.
    key: Bytes,
}

/// A request made precise.
struct Plan<'a> {
    request: &'a RangeRequest,
    range: KeyRange,
    target: SortTarget,
    descending: bool,
    limit: Option<usize>,
    /// Keys after which looking for more is pointless: one above the limit, when the order the keys
    /// are found in decides which of them the limit keeps.
    enough: usize,
    meter: &'a Meter,
}

impl<'a> Plan<'a> {
    fn new(request: &'a RangeRequest, meter: &'a Meter) -> Result<Self, ReadError> {
        let target = SortTarget::try_from(request.sort_target);
        let order = SortOrder::try_from(request.sort_order);
        let (Ok(target), Ok(order)) = (target, order) else {
            return Err(ReadError::InvalidSortOption);
        };
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        // etcd cuts to the limit before it sorts when no order is given, even if the target is not
        // the key: the answer is a sorted subset of the first keys.
        let by_key = target == SortTarget::Key;
        let cut_first = by_key || (order == SortOrder::None && !has_filters(request));
        let enough =
            limit.filter(|_| cut_first).map_or(usize::MAX, |limit| limit.saturating_add(1));
        Ok(Self {
            request,
            range: KeyRange::new(request.key.clone(), request.range_end.clone()),
            target,
            descending: order == SortOrder::Descend,
            limit,
            enough,
            meter,
        })
    }

    /// Reads the current revision: the index decides, the store only gives values.
    fn current(
        &self,
        root: &Root,
        source: &impl Fetch,
        answer: &mut RangeResponse,
    ) -> Result<(), ReadError> {
        let found = self.choose(root, answer)?;
        answer.kvs = if self.is_from_index() {
            found.into_iter().map(Found::into_kv).collect()
        } else {
            source.fetch_each(&revisions(found), &|at, record| {
                self.meter.take_kv(decode(at, record)?).map(Some)
            })?
        };
        if self.target == SortTarget::Value {
            self.sort(&mut answer.kvs, |kv| kv.value.clone());
            self.strip(&mut answer.kvs);
        }
        Ok(())
    }

    /// Whether the answer is made without reading a record.
    fn is_from_index(&self) -> bool {
        self.request.keys_only && self.target != SortTarget::Value
    }

    /// The keys of the answer at the current revision in their order, which by value is still to be
    /// made; says in `answer` how many there are, and whether more.
    fn choose(&self, root: &Root, answer: &mut RangeResponse) -> Result<Vec<Found>, ReadError> {
        let (mut found, count) = self.scan(root, self.is_from_index())?;
        answer.count = count;
        match self.target {
            SortTarget::Key => {}
            SortTarget::Value => return Ok(found),
            SortTarget::Version => self.sort(&mut found, |one| one.meta.version),
            SortTarget::Create => self.sort(&mut found, |one| one.meta.create),
            SortTarget::Mod => self.sort(&mut found, |one| one.meta.modified.main),
        }
        if let Some(limit) = self.limit {
            answer.more = found.len() > limit;
            found.truncate(limit);
        }
        Ok(found)
    }

    /// The keys that pass the filters, and how many there are without filters and limit.
    fn scan(&self, root: &Root, with_keys: bool) -> Result<(Vec<Found>, i64), ReadError> {
        let mut found = Vec::new();
        let mut seen = 0;
        let mut stopped = false;
        let mut fits = Ok(());
        let mut visit = |key: &[u8], meta: KeyMeta| {
            seen += 1;
            if self.passes(meta.modified.main, meta.create) {
                let key = if with_keys { Bytes::copy_from_slice(key) } else { Bytes::new() };
                fits = self.meter.take(KEY_BYTES + key.len());
                found.push(Found { meta, key });
            }
            stopped = found.len() >= self.enough;
            if stopped || fits.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match &self.range {
            KeyRange::Single(key) => {
                if let Some(meta) = root.get(key) {
                    let _ = visit(key, meta);
                }
            }
            range if self.descending && self.target == SortTarget::Key => {
                root.for_each_rev(range, visit);
            }
            range => root.for_each(range, visit),
        }
        fits?;
        let single = matches!(self.range, KeyRange::Single(_));
        if stopped && !single {
            seen = i64::try_from(root.count(&self.range)).unwrap_or(i64::MAX);
        }
        Ok((found, seen))
    }

    /// Reads an older revision: the index names the records, everything else is in them.
    fn historic(
        &self,
        root: &Root,
        rev: i64,
        source: &impl Fetch,
        answer: &mut RangeResponse,
    ) -> Result<(), ReadError> {
        let mut at = Vec::new();
        let mut fits = Ok(());
        root.for_each_at(&self.range, rev, |_, revision| {
            at.push(revision);
            fits = self.meter.take(size_of::<Revision>());
            if fits.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        fits?;
        answer.count = i64::try_from(at.len()).unwrap_or(i64::MAX);
        if self.descending && self.target == SortTarget::Key {
            at.reverse();
        }
        for page in at.chunks(self.enough.clamp(1, PAGE)) {
            answer
                .kvs
                .extend(source.fetch_each(page, &|at, record| self.keep(decode(at, record)?))?);
            if answer.kvs.len() >= self.enough {
                break;
            }
        }
        answer.kvs.truncate(self.enough);
        match self.target {
            SortTarget::Key => {}
            SortTarget::Version => self.sort(&mut answer.kvs, |kv| kv.version),
            SortTarget::Create => self.sort(&mut answer.kvs, |kv| kv.create_revision),
            SortTarget::Mod => self.sort(&mut answer.kvs, mod_order),
            SortTarget::Value => self.sort(&mut answer.kvs, |kv| kv.value.clone()),
        }
        self.strip(&mut answer.kvs);
        Ok(())
    }

    /// The key if it passes the filters and there is room for it.
    fn keep(&self, kv: KeyValue) -> Result<Option<KeyValue>, ReadError> {
        if !self.passes(kv.mod_revision, kv.create_revision) {
            return Ok(None);
        }
        self.meter.take(KEY_BYTES)?;
        self.meter.take_kv(kv).map(Some)
    }

    fn passes(&self, modified: i64, created: i64) -> bool {
        let ask = self.request;
        let within = |value: i64, min: i64, max: i64| {
            (min == 0 || value >= min) && (max == 0 || value <= max)
        };
        within(modified, ask.min_mod_revision, ask.max_mod_revision)
            && within(created, ask.min_create_revision, ask.max_create_revision)
    }

    /// Sorts by what `of` picks. Equals stay in key order, or in its reverse when descending; etcd
    /// promises nothing about them.
    fn sort<T, K: Ord>(&self, items: &mut [T], of: impl Fn(&T) -> K) {
        if self.descending {
            items.sort_by_cached_key(|one| std::cmp::Reverse(of(one)));
        } else {
            items.sort_by_cached_key(of);
        }
    }

    fn strip(&self, kvs: &mut [KeyValue]) {
        if self.request.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
    }
}

impl Found {
    fn into_kv(self) -> KeyValue {
        KeyValue {
            key: self.key,
            create_revision: self.meta.create,
            mod_revision: self.meta.modified.main,
            version: self.meta.version,
            value: Bytes::new(),
            lease: self.meta.lease,
        }
    }
}

fn revisions(found: Vec<Found>) -> Vec<Revision> {
    found.into_iter().map(|one| one.meta.modified).collect()
}

fn mod_order(kv: &KeyValue) -> i64 {
    kv.mod_revision
}

fn has_filters(request: &RangeRequest) -> bool {
    [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ]
    .iter()
    .any(|bound| *bound != 0)
}

/// The key's value at a revision of the view; `None` if it did not exist then.
pub(in crate::state) fn get_at(
    view: View<'_>,
    source: &impl Fetch,
    key: &[u8],
    rev: i64,
) -> Result<Option<KeyValue>, ReadError> {
    let at: Option<Revision> = view.root.get_at(key, rev);
    Ok(at.map(|at| source.fetch_kv(at)).transpose()?)
}

/// Refuses a range inside a transaction before anything of the transaction is carried out.
/// Revisions are bounded as etcd bounds them there: zero is the current one, but a negative one is
/// compared with the compacted revision like any other.
pub(in crate::state) fn check_in_txn(
    view: View<'_>,
    request: &RangeRequest,
) -> Result<(), ReadError> {
    Plan::new(request, &Meter::new(0))?;
    match request.revision {
        0 => Ok(()),
        asked if asked > view.revision => Err(ReadError::FutureRevision),
        asked if asked < view.compacted => Err(ReadError::Compacted),
        _ => Ok(()),
    }
}
