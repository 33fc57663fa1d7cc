//! How a node begins: founds a cluster, joins one, or goes on. Looks at the configuration, at what the
//! data directory remembers and, where etcd does, at the other members; says what to do. `server`
//! does it.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod identity;
mod join;
mod plan;
mod probe;
mod resolve;

pub use identity::{Identity, IdentityError};
pub use plan::{Plan, PlanError, plan};
