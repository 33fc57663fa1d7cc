//! How a node begins. Pure: looks at the configuration and at what the data directory remembers, and
//! says what to do; `server` does it.

mod identity;
mod plan;

pub use identity::{Identity, IdentityError};
pub use plan::{Plan, PlanError, plan};
