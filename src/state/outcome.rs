//! What applying one request came to.

use std::fmt;

use tokio::sync::oneshot;

use super::error::ApplyError;
use super::late::Late;
use crate::proto::etcdserverpb::{
    AlarmResponse, DeleteRangeResponse, LeaseGrantResponse, PutResponse, TxnResponse,
};

/// The answer to one request of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// The revision for the header of the reply: of this write, or the current one if nothing
    /// was written.
    pub revision: i64,
    /// The reply, or why the request was refused. A refused request changed nothing, except one
    /// refused for [`ApplyError::NoSpace`] by the quota, which was carried out, as etcd does.
    pub result: Result<Response, ApplyError>,
    /// For a compaction that asked to wait: resolves when the last record is deleted. Dropped
    /// unresolved when the node stops.
    pub physical: Option<oneshot::Receiver<()>>,
    /// What is left out of the reply because it is large; [`Reader::complete`](super::Reader::complete)
    /// reads it.
    pub late: Vec<Late>,
}

/// A reply without its outer header; headers inside transactions are filled as etcd fills them.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To a put.
    Put(PutResponse),
    /// To a deletion.
    DeleteRange(DeleteRangeResponse),
    /// To a transaction.
    Txn(TxnResponse),
    /// To a compaction.
    Compact,
    /// To a lease grant.
    LeaseGrant(LeaseGrantResponse),
    /// To a lease revocation.
    LeaseRevoke,
    /// To a lease checkpoint.
    LeaseCheckpoint,
    /// To an alarm request.
    Alarm(AlarmResponse),
    /// To a user that has shown its password.
    Authenticate(Issued),
    /// To what has no reply of its own: member attributes, cluster version, changes of users and roles.
    Done,
}

/// A token that was given to a user, which is as good as its password and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued(pub String);

impl fmt::Debug for Issued {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Issued(..)")
    }
}
