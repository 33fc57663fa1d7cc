//! Runs the requests of an HTTP/2 connection in the task of their connection.
//!
//! hyper hands every request to an executor. As tasks of the runtime, a hundred requests whose
//! answers come at once, which is what a group commit does, would be a hundred wake-ups through the
//! lock of the scheduler, and each would wake its connection again. Here they are one, and their
//! answers one system call. What is long, a large range, is worked out on other threads anyway; what
//! is left of a request is shorter than its encryption, which a connection cannot spread over
//! processors either.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;

use super::gather::Outbox;

/// Takes the requests that hyper begins.
#[derive(Clone, Default)]
pub(super) struct Arrivals {
    new: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl<F> Executor<F> for Arrivals
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.new.lock().push(Box::pin(request));
    }
}

/// A connection and its requests. It ends with the connection: requests that are still under way
/// then have nobody to answer to, and are dropped.
pub(super) struct Together<C, S> {
    /// The connection itself.
    pub(super) connection: Pin<Box<C>>,
    arrivals: Arrivals,
    outbox: Outbox<S>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl<C, S> Together<C, S> {
    /// The connection that gives its requests to `arrivals` and writes to the stream of `outbox`.
    pub(super) fn new(connection: C, arrivals: Arrivals, outbox: Outbox<S>) -> Self {
        let running = FuturesUnordered::new();
        Self { connection: Box::pin(connection), arrivals, outbox, running }
    }

    /// Takes in what has arrived; whether there was anything.
    fn admit(&mut self) -> bool {
        let new = std::mem::take(&mut *self.arrivals.new.lock());
        let any = !new.is_empty();
        self.running.extend(new);
        any
    }
}

impl<C: Future, S: AsyncWrite + Unpin> Future for Together<C, S> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        loop {
            // Answers first, so that the connection takes all of them along.
            while let Poll::Ready(Some(())) = this.running.poll_next_unpin(context) {}
            if let Poll::Ready(end) = this.connection.as_mut().poll(context) {
                return Poll::Ready(end);
            }
            if !this.admit() {
                this.outbox.send(context);
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, Stream};
    use tokio::sync::oneshot;

    use super::super::gather::gather;
    use super::*;

    /// A connection that begins one request per message and ends when there are no more.
    struct Script {
        arrivals: Arrivals,
        requests: futures::channel::mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
    }

    impl Future for Script {
        type Output = &'static str;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            while let Some(request) =
                std::task::ready!(Pin::new(&mut self.requests).poll_next(context))
            {
                self.arrivals.execute(request);
            }
            Poll::Ready("closed")
        }
    }

    #[tokio::test]
    async fn requests_run_beside_their_connection_and_end_with_it() {
        let (begin, requests) = futures::channel::mpsc::unbounded();
        let arrivals = Arrivals::default();
        let script = Script { arrivals: arrivals.clone(), requests };
        let (_stream, outbox) = gather(tokio::io::sink());
        let mut together = Box::pin(Together::new(script, arrivals, outbox));

        let (ask, asked) = oneshot::channel::<()>();
        let (done, answered) = oneshot::channel();
        let first = async move {
            let _ = asked.await;
            let _ = done.send(());
        };
        let (hold, held) = oneshot::channel::<()>();
        let second = async move {
            let _kept = hold;
            std::future::pending::<()>().await;
        };
        begin.unbounded_send(first.boxed()).unwrap();
        begin.unbounded_send(second.boxed()).unwrap();
        assert!(futures::poll!(&mut together).is_pending());
        ask.send(()).unwrap();
        assert!(futures::poll!(&mut together).is_pending());
        assert!(answered.await.is_ok(), "a request that could go on did not");
        assert_eq!(together.running.len(), 1);

        drop(begin);
        assert_eq!(together.await, "closed");
        assert!(held.await.is_err(), "a request outlived its connection");
    }
}
