//! How openraft tells us what became of a proposal.

use openraft::raft::responder::Responder;

use super::types::TypeConfig;

/// Runs a closure with the result of a proposal. Dropped without a result, it runs nothing: who
/// waits must also be told when consensus stops.
pub(crate) struct Ticket<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Ticket<T> {
    /// A ticket that hands its result to `done`, on the thread of the consensus core.
    pub(crate) fn new(done: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(done))
    }
}

impl<T: Send + 'static> Responder<TypeConfig, T> for Ticket<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}
