//! Waiting for messages on a thread that is no task: as long as it takes, not at all, or no longer than
//! to a moment.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::types::clock::Clock;

/// Runs a future on this thread, which does nothing else meanwhile.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// The next message if one is there; none when nobody can send any more.
pub(crate) fn at_once<T>(queue: &mut Receiver<T>) -> Option<Option<T>> {
    match queue.try_recv() {
        Ok(message) => Some(Some(message)),
        Err(TryRecvError::Empty) => Some(None),
        Err(TryRecvError::Disconnected) => None,
    }
}

/// The next message if one comes before `end`; none when nobody can send any more.
///
/// The runtime has no part in it: the thread may outlive the timers there.
pub(crate) fn until<T>(queue: &mut Receiver<T>, clock: Clock, end: Instant) -> Option<Option<T>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(message) = queue.poll_recv(&mut context) {
            return message.map(Some);
        }
        let left = end.saturating_duration_since(clock.now());
        if left.is_zero() {
            return Some(None);
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_message_or_the_end_of_all_senders_ends_the_wait() {
        let (sender, mut queue) = mpsc::channel(1);
        let end = Clock.now() + HOUR;
        let receiving = thread::spawn(move || {
            let first = until(&mut queue, Clock, end);
            (first, until(&mut queue, Clock, end), at_once(&mut queue))
        });
        sender.blocking_send(7).unwrap();
        drop(sender);
        assert_eq!(receiving.join().unwrap(), (Some(Some(7)), None, None));
    }

    #[test]
    fn the_wait_ends_at_its_moment() {
        let (sender, mut queue) = mpsc::channel::<i32>(1);
        let begun = Clock.now();
        let pause = Duration::from_millis(20);
        assert_eq!(until(&mut queue, Clock, begun + pause), Some(None));
        assert!(Clock.now() - begun >= pause);
        assert_eq!(
            (until(&mut queue, Clock, begun), at_once(&mut queue)),
            (Some(None), Some(None))
        );
        drop(sender);
    }
}
