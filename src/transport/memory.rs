//! What clients may make this process hold, counted in bytes per connection and in total.
//!
//! Calls, requests on their way in, watchers and answers on their way out are charged to the
//! connection they belong to. A connection may hold so much and no more; what all connections hold
//! together is bounded too, but the first bytes of each are always granted, so that nobody can keep
//! others from being served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Bounds in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// What one connection may hold.
    pub connection: usize,
    /// What every connection is granted even if others have taken everything else.
    pub granted: usize,
    /// What all connections may hold together beyond that.
    pub total: usize,
    /// Receive windows of HTTP/2 connections together, beyond the least the protocol allows.
    pub windows: usize,
}

impl Default for MemoryLimits {
    /// 128 MiB for a connection: thirty thousand idle calls, a quarter of a million watchers, or
    /// sixty requests of the largest size, each far above what clients do. 1 GiB for all: eight such
    /// connections. 256 KiB granted: sixty calls, more than a client that does no harm has waiting.
    fn default() -> Self {
        Self { connection: 128 << 20, granted: 256 << 10, total: 1 << 30, windows: 512 << 20 }
    }
}

/// The share of the free receive windows that one connection gets; the first get the most.
const WINDOW_SHARE: usize = 64;
/// The receive window no HTTP/2 connection can be denied.
const LEAST_WINDOW: usize = (64 << 10) - 1;

/// The memory of all connections. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    limits: MemoryLimits,
    free: AtomicUsize,
    windows: AtomicUsize,
    waiting: AtomicBool,
    waiters: Mutex<Vec<Waker>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(MemoryLimits::default())
    }
}

impl Pool {
    fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            free: AtomicUsize::new(limits.total),
            windows: AtomicUsize::new(limits.windows),
            waiting: AtomicBool::new(false),
            waiters: Mutex::default(),
        }
    }

    /// What of `held` bytes of one connection counts against the total.
    fn counted(&self, held: usize) -> usize {
        held.saturating_sub(self.limits.granted)
    }

    fn wake(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            std::mem::take(&mut *self.waiters.lock()).into_iter().for_each(Waker::wake);
        }
    }
}

impl Memory {
    /// Memory with bounds of its own.
    pub fn new(limits: MemoryLimits) -> Self {
        Self { pool: Arc::new(Pool::new(limits)) }
    }

    /// The account of a new connection.
    pub fn account(&self) -> Account {
        Account { inner: Arc::new(Inner { pool: Arc::clone(&self.pool), held: Mutex::new(0) }) }
    }

    /// A receive window of at most `wanted` bytes, given back when dropped.
    pub(super) fn window(&self, wanted: u32) -> Window {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(LEAST_WINDOW);
        let mut taken = 0;
        let take = |free: usize| {
            // Falls with what is free, so that there is always something left for the next.
            taken = wanted.min(free / WINDOW_SHARE);
            Some(free - taken)
        };
        // It never refuses: the closure always has an answer.
        let _ = self.pool.windows.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        Window { pool: Arc::clone(&self.pool), taken }
    }
}

/// Part of the receive windows.
#[derive(Debug)]
pub(super) struct Window {
    pool: Arc<Pool>,
    taken: usize,
}

impl Window {
    /// Bytes the client may send ahead.
    pub(super) fn bytes(&self) -> u32 {
        u32::try_from(LEAST_WINDOW + self.taken).unwrap_or(u32::MAX)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.pool.windows.fetch_add(self.taken, Ordering::AcqRel);
    }
}

/// There is no room for what was to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// This connection holds all it may.
    #[error("the calls of this connection hold all of the {0} bytes it may use")]
    Connection(usize),
    /// All connections together do.
    #[error("all connections together hold all of the {0} bytes kept for them")]
    Total(usize),
}

/// What one connection holds. Clones share it.
#[derive(Clone, Debug)]
pub struct Account {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: Arc<Pool>,
    held: Mutex<usize>,
}

impl Account {
    /// Charges `bytes` until the result is dropped.
    ///
    /// # Errors
    /// When the connection, or all of them, hold too much already.
    pub fn charge(&self, bytes: usize) -> Result<Charge, Full> {
        self.inner.take(bytes)?;
        Ok(Charge { inner: Arc::clone(&self.inner), bytes })
    }

    /// As [`Self::charge`], but waits for room. More than half of what a connection may hold waits
    /// for that half only: it could never be had otherwise.
    pub fn poll_charge(&self, context: &mut Context<'_>, bytes: usize) -> Poll<Charge> {
        let pool = &self.inner.pool;
        let bytes = bytes.min(pool.limits.connection / 2).min(pool.limits.total / 2);
        if let Ok(charge) = self.charge(bytes) {
            return Poll::Ready(charge);
        }
        pool.waiters.lock().push(context.waker().clone());
        pool.waiting.store(true, Ordering::SeqCst);
        // Between the look and the registration something may have been given back.
        self.charge(bytes).map_or(Poll::Pending, Poll::Ready)
    }

    /// Bytes charged now.
    pub fn held(&self) -> usize {
        *self.inner.held.lock()
    }
}

impl Inner {
    fn take(&self, bytes: usize) -> Result<(), Full> {
        let limits = self.pool.limits;
        let mut held = self.held.lock();
        let after = held.saturating_add(bytes);
        if after > limits.connection {
            return Err(Full::Connection(limits.connection));
        }
        let more = self.pool.counted(after) - self.pool.counted(*held);
        let take = |free: usize| free.checked_sub(more);
        if more > 0
            && self.pool.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err()
        {
            return Err(Full::Total(limits.total));
        }
        *held = after;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let mut held = self.held.lock();
        let after = held.saturating_sub(bytes);
        let less = self.pool.counted(*held) - self.pool.counted(after);
        self.pool.free.fetch_add(less, Ordering::AcqRel);
        *held = after;
        drop(held);
        self.pool.wake();
    }
}

/// Bytes held for a connection; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Charge {
    /// Bytes of this charge.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it `bytes` large.
    ///
    /// # Errors
    /// As [`Account::charge`]; it is unchanged then. Making it smaller never fails.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Full> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.inner.take(more)?,
            None => self.inner.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Takes in another charge of the same connection.
    pub fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Parts with `bytes` of it, or with all there is.
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { inner: Arc::clone(&self.inner), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.inner.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MemoryLimits =
        MemoryLimits { connection: 100, granted: 10, total: 150, windows: 64 << 20 };

    #[test]
    fn a_connection_holds_so_much_and_all_of_them_no_more_than_the_total() {
        let memory = Memory::new(LIMITS);
        let (first, second, third) = (memory.account(), memory.account(), memory.account());
        let mut held = first.charge(100).unwrap();
        assert_eq!(first.charge(1).unwrap_err(), Full::Connection(100));
        // 90 of the total are gone, so the second gets the other 60 and what is granted to it.
        assert_eq!(second.charge(71).unwrap_err(), Full::Total(150));
        let rest = second.charge(70).unwrap();
        assert!(third.charge(11).is_err());
        let granted = third.charge(10).unwrap();
        held.resize(20).unwrap();
        assert_eq!((first.held(), held.bytes()), (20, 20));
        assert!(third.charge(80).is_ok());
        drop((held, rest, granted));
        assert_eq!(memory.pool.free.load(Ordering::Acquire), 150);
    }

    #[test]
    fn parts_of_a_charge_are_given_back_one_by_one() {
        let account = Memory::new(LIMITS).account();
        let mut whole = account.charge(50).unwrap();
        let part = whole.split(30);
        assert_eq!((whole.bytes(), part.bytes(), whole.split(99).bytes()), (20, 30, 20));
        assert_eq!(account.held(), 30);
        let mut part = part;
        part.merge(account.charge(5).unwrap());
        assert_eq!((part.bytes(), account.held()), (35, 35));
        drop(part);
        assert_eq!(account.held(), 0);
    }

    #[tokio::test]
    async fn who_waits_is_woken_when_something_is_given_back() {
        let account = Memory::new(LIMITS).account();
        let all = account.charge(100).unwrap();
        let mut waiting = Box::pin(std::future::poll_fn(|cx| account.poll_charge(cx, 1_000)));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(all);
        assert_eq!(waiting.await.bytes(), 50);
    }

    #[test]
    fn windows_shrink_as_connections_come_and_never_run_out() {
        let memory = Memory::new(LIMITS);
        let first = memory.window(16 << 20);
        assert_eq!(first.bytes() as usize, LEAST_WINDOW + (1 << 20));
        let many: Vec<_> = (0..10_000).map(|_| memory.window(16 << 20)).collect();
        let taken: usize = many.iter().map(|window| window.taken).sum();
        assert!(taken < LIMITS.windows);
        assert!(many.iter().all(|window| window.bytes() as usize >= LEAST_WINDOW));
        drop((first, many));
        assert_eq!(memory.pool.windows.load(Ordering::Acquire), LIMITS.windows);
    }
}
