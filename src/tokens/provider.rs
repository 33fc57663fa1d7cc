//! Which tokens are given out and taken.

use std::sync::Arc;

use super::jwt::Jwts;
use super::simple::SimpleTokens;

/// Whose a token is.
#[derive(Debug, PartialEq, Eq)]
pub enum Whose {
    /// This user's. What the token says itself was said at an auth revision; any other holds at the
    /// present one.
    User {
        /// The name.
        name: Arc<str>,
        /// The revision, if the token tells it.
        revision: Option<u64>,
    },
    /// Not known; the entry at this position of the log would have issued it.
    Issued(u64),
    /// Nobody's.
    Nobodys,
}

/// How users show that they have shown their password before.
#[derive(Clone, Debug)]
pub enum Provider {
    /// By tokens that members remember.
    Simple(Arc<SimpleTokens>),
    /// By tokens that are signed.
    Jwt(Arc<Jwts>),
    /// Not at all.
    Nothing,
}

impl Provider {
    /// Whose token it is.
    pub fn whose(&self, token: &str) -> Whose {
        match self {
            Self::Nothing => Whose::Nobodys,
            Self::Jwt(keys) => match keys.verify(token) {
                Some((name, revision)) => Whose::User { name, revision: Some(revision) },
                None => Whose::Nobodys,
            },
            Self::Simple(tokens) => {
                if let Some(name) = tokens.user_of(token) {
                    return Whose::User { name, revision: None };
                }
                let index = token.split_once('.').and_then(|(_, index)| index.parse().ok());
                index.map_or(Whose::Nobodys, Whose::Issued)
            }
        }
    }
}
