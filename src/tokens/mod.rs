//! How users show who they are: passwords, simple tokens, signed tokens.
//!
//! Nothing here is replicated and nothing is stored. The state machine tells [`SimpleTokens`] what was
//! issued and what ended; the gRPC face asks whose a token is.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod jwt;
mod password;
mod provider;
mod simple;

pub use jwt::{Jwts, KeyError, SignError};
pub use password::{MAX_COST, MIN_COST, PasswordError, Passwords};
pub use provider::{Provider, Whose};
pub use simple::{SimpleTokens, prefix};
