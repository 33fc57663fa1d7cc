//! Who wants to know when the state of a member is safe on its disk.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::types::ids::MemberId;

type Watcher = Box<dyn Fn() + Send>;

static WATCHERS: Mutex<BTreeMap<u64, Watcher>> = Mutex::new(BTreeMap::new());

/// Has `watcher` called whenever the state of `member` is safe.
pub(super) fn watch(member: MemberId, watcher: impl Fn() + Send + 'static) {
    WATCHERS.lock().insert(member.0, Box::new(watcher));
}

/// Ends [`watch`].
pub(super) fn forget(member: MemberId) {
    WATCHERS.lock().remove(&member.0);
}

/// All that `member` has applied is safe.
pub(in crate::consensus) fn is_durable(member: MemberId) {
    if let Some(watcher) = WATCHERS.lock().get(&member.0) {
        watcher();
    }
}
