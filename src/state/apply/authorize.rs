//! Permission: one function judges every request, whatever it is made of.
//!
//! What a request would do is flattened into demands on keys: conditions, both branches, transactions in
//! them, previous values, the keys on its leases. The matches are exhaustive, so that an operation
//! nobody has judged does not compile.

use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::{DeleteRangeRequest, PutRequest, TxnRequest};
use crate::proto::internal::request::Op;
use crate::state::auth::{Auth, Caller, Standing};
use crate::state::error::ApplyError;
use crate::state::lease::Leases;
use crate::types::ids::LeaseId;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Demand<'a> {
    /// What an entry of the log asks for.
    Op(&'a Op),
    /// A transaction that only reads.
    Txn(&'a TxnRequest),
    /// To read, or to watch, the keys of a range.
    Read {
        /// Its first key.
        key: &'a [u8],
        /// Its end, as requests give it.
        range_end: &'a [u8],
    },
    /// To be told the keys on a lease.
    LeaseKeys(LeaseId),
    /// To see a user.
    SeeUser(&'a str),
    /// To see a role.
    SeeRole(&'a str),
    /// What only root may.
    Administer,
}

/// Whether a caller may do all of what it wants to.
///
/// # Errors
/// Why not.
pub(in crate::state) fn authorize(
    auth: &Auth,
    leases: &Leases,
    caller: &Caller,
    demand: Demand<'_>,
) -> Result<(), ApplyError> {
    if !auth.is_enabled() || *caller == Caller::Member {
        return Ok(());
    }
    let mut judge = Judge { auth, leases, caller, standing: None };
    match demand {
        Demand::Op(op) => judge.op(op),
        Demand::Txn(txn) => judge.txn(txn),
        Demand::Read { key, range_end } => judge.read(key, range_end),
        Demand::LeaseKeys(lease) => {
            judge.leases.keys(lease).iter().try_for_each(|key| judge.read(key, b""))
        }
        Demand::SeeUser(name) => {
            let own = caller.name().is_some_and(|caller| caller.as_ref() == name);
            auth.administers(caller).or_else(|error| if own { Ok(()) } else { Err(error) })
        }
        Demand::SeeRole(role) => {
            let own = auth.has_role(caller, role);
            auth.administers(caller).or_else(|error| if own { Ok(()) } else { Err(error) })
        }
        Demand::Administer => auth.administers(caller),
    }
}

struct Judge<'a> {
    auth: &'a Auth,
    leases: &'a Leases,
    caller: &'a Caller,
    /// Found out for the first key: what touches none asks for nobody, as in etcd.
    standing: Option<Standing<'a>>,
}

impl Judge<'_> {
    fn op(&mut self, op: &Op) -> Result<(), ApplyError> {
        match op {
            Op::Put(put) => self.put(put),
            Op::DeleteRange(delete) => self.delete(delete),
            Op::Txn(txn) => self.txn(txn),
            Op::LeaseRevoke(revoke) => self.whole_lease(revoke.id),
            Op::AuthEnable(_)
            | Op::AuthDisable(_)
            | Op::UserAdd(_)
            | Op::UserDelete(_)
            | Op::UserChangePassword(_)
            | Op::UserGrantRole(_)
            | Op::UserRevokeRole(_)
            | Op::RoleAdd(_)
            | Op::RoleDelete(_)
            | Op::RoleGrantPermission(_)
            | Op::RoleRevokePermission(_) => self.auth.administers(self.caller),
            // Open to everybody in the version of etcd that we are like.
            Op::Compaction(_) | Op::LeaseGrant(_) | Op::Alarm(_) | Op::Authenticate(_) => Ok(()),
            // Members alone propose these.
            Op::LeaseCheckpoint(_) | Op::MemberAttributes(_) | Op::ClusterVersion(_) => Ok(()),
        }
    }

    fn put(&mut self, put: &PutRequest) -> Result<(), ApplyError> {
        self.write(&put.key, b"")?;
        // Whoever hangs a key on a lease has the others end with it.
        self.whole_lease(put.lease)?;
        if put.prev_kv { self.read(&put.key, b"") } else { Ok(()) }
    }

    fn delete(&mut self, delete: &DeleteRangeRequest) -> Result<(), ApplyError> {
        if delete.prev_kv {
            self.read(&delete.key, &delete.range_end)?;
        }
        self.write(&delete.key, &delete.range_end)
    }

    fn txn(&mut self, txn: &TxnRequest) -> Result<(), ApplyError> {
        for compare in &txn.compare {
            self.read(&compare.key, &compare.range_end)?;
        }
        for op in txn.success.iter().chain(&txn.failure) {
            match &op.request {
                Some(Inner::RequestRange(range)) => self.read(&range.key, &range.range_end)?,
                Some(Inner::RequestPut(put)) => self.put(put)?,
                Some(Inner::RequestDeleteRange(delete)) => self.delete(delete)?,
                Some(Inner::RequestTxn(inner)) => self.txn(inner)?,
                None => {}
            }
        }
        Ok(())
    }

    /// To end a lease, or to bind a key to its end, is to delete the keys on it.
    fn whole_lease(&mut self, lease: i64) -> Result<(), ApplyError> {
        if lease == 0 || matches!(self.standing, Some(Standing::All)) {
            return Ok(());
        }
        self.leases.keys(LeaseId(lease)).iter().try_for_each(|key| self.write(key, b""))
    }

    fn read(&mut self, key: &[u8], range_end: &[u8]) -> Result<(), ApplyError> {
        permit(self.standing()?.may_read(key, range_end))
    }

    fn write(&mut self, key: &[u8], range_end: &[u8]) -> Result<(), ApplyError> {
        permit(self.standing()?.may_write(key, range_end))
    }

    fn standing(&mut self) -> Result<Standing<'_>, ApplyError> {
        match self.standing {
            Some(standing) => Ok(standing),
            None => Ok(*self.standing.insert(self.auth.standing(self.caller)?)),
        }
    }
}

fn permit(may: bool) -> Result<(), ApplyError> {
    if may { Ok(()) } else { Err(ApplyError::PermissionDenied) }
}
