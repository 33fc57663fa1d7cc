//! What a crash, a power cut, a failing or a full disk must not do to what was acknowledged.

mod crash;
mod damage;
mod faults;
mod full;
mod history;
mod killed;
mod power;
mod replay;
pub(crate) mod shim;
mod subject;
