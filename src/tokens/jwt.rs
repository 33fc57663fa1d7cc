//! Signed tokens: who a user is, at which auth revision, until when; signed by the member that saw the
//! password, verified by all that have the key.

mod der;
mod keys;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jsonwebtoken::{Header, encode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::config::Jwt;
use crate::files::Stamp;
use crate::telemetry::metrics::{IntCounterVec, Registry};
use crate::types::clock::Clock;

pub use keys::KeyError;
use keys::Keys;

/// Why no token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is only a public key.
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnly,
    /// The key does not sign.
    #[error("auth: the token could not be signed")]
    Failed,
}

/// What a token says, under etcd's names.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    username: String,
    revision: serde_json::Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
}

/// Keys that follow their files.
pub struct Jwts {
    options: Jwt,
    loose: bool,
    live: ArcSwap<Keys>,
    seen: Mutex<Seen>,
    reloads: IntCounterVec,
    clock: Clock,
}

struct Seen {
    stamp: Stamp,
    /// The last fault, so that it is logged once.
    fault: Option<String>,
}

impl std::fmt::Debug for Jwts {
    /// Tells the files; what is in them is secret.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Jwts").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Jwts {
    /// Reads the keys for the first time; `loose` uses private keys that every user of the machine can
    /// read.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(options: Jwt, loose: bool, registry: &Registry) -> Result<Arc<Self>, KeyError> {
        // The stamp first: a file replaced while we read is then seen as changed, not missed.
        let stamp = Stamp::take(Self::files(&options));
        let keys = Keys::load(&options, loose)?;
        let reloads = registry.counter_vec(
            "etcd_rs_auth_key_reloads_total",
            "How often the keys of signed tokens were read again, by what came of it.",
            &["result"],
        );
        for result in ["success", "failure"] {
            reloads.with_label_values(&[result]).inc_by(0);
        }
        let seen = Mutex::new(Seen { stamp, fault: None });
        let live = ArcSwap::from_pointee(keys);
        Ok(Arc::new(Self { options, loose, live, seen, reloads, clock: Clock }))
    }

    /// Signs a token for a user that has shown its password.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn sign(&self, user: &str, revision: u64) -> Result<String, SignError> {
        let keys = self.live.load();
        let signer = keys.signer.as_ref().ok_or(SignError::VerifyOnly)?;
        let exp = self.clock.unix().saturating_add(self.options.ttl).as_secs();
        let claims =
            Claims { username: user.to_owned(), revision: revision.into(), exp: Some(exp) };
        encode(&Header::new(keys.algorithm), &claims, signer).map_err(|_| SignError::Failed)
    }

    /// Whose token it is, and at which auth revision it was signed.
    pub fn verify(&self, token: &str) -> Option<(Arc<str>, u64)> {
        let claims = self.live.load().claims(token)?;
        // A token without an end has none, as in etcd.
        if claims.exp.is_some_and(|exp| exp <= self.clock.unix().as_secs()) {
            return None;
        }
        let revision = claims.revision.as_u64().or_else(|| {
            // Some writers have only numbers with a point.
            claims.revision.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64)
        });
        Some((claims.username.into(), revision?))
    }

    /// Reads the files again, changed or not.
    ///
    /// # Errors
    /// They cannot be used; what is in use is kept.
    pub fn reload(&self) -> Result<(), KeyError> {
        let mut seen = self.seen.lock();
        self.replace(&mut seen)
    }

    /// Reads the files again if they changed since they were last looked at, or were not good then.
    /// Faults are logged and counted.
    pub fn refresh(&self) {
        let mut seen = self.seen.lock();
        if seen.fault.is_some() || Stamp::take(Self::files(&self.options)) != seen.stamp {
            let _ = self.replace(&mut seen);
        }
    }

    /// Why the files as they are now are not used; none when they are.
    pub fn fault(&self) -> Option<String> {
        self.seen.lock().fault.clone()
    }

    /// The files there are.
    fn files(options: &Jwt) -> impl Iterator<Item = &PathBuf> {
        [&options.public_key, &options.private_key].into_iter().flatten()
    }

    fn replace(&self, seen: &mut Seen) -> Result<(), KeyError> {
        seen.stamp = Stamp::take(Self::files(&self.options));
        match Keys::load(&self.options, self.loose) {
            Ok(keys) => {
                self.live.store(Arc::new(keys));
                seen.fault = None;
                self.reloads.with_label_values(&["success"]).inc();
                tracing::info!(method = self.options.method, "keys of signed tokens reloaded");
                Ok(())
            }
            Err(error) => {
                self.reloads.with_label_values(&["failure"]).inc();
                let text = error.to_string();
                if seen.fault.as_ref() != Some(&text) {
                    tracing::error!(
                        error = %text,
                        "keys of signed tokens refused; those in use are kept"
                    );
                    seen.fault = Some(text);
                }
                Err(error)
            }
        }
    }
}

/// Bytes as a token and as a private key in its envelope.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str, bytes: &[u8]) {
    let _ = (Keys::secret(b"a secret").claims(text), der::inner_key(bytes));
}

/// A token of the secret above.
#[cfg(any(test, fuzzing))]
pub(super) fn signed() -> String {
    let claims = Claims { username: "alice".to_owned(), revision: 7.into(), exp: None };
    let keys = Keys::secret(b"a secret");
    let signed = keys.signer.map(|signer| encode(&Header::new(keys.algorithm), &claims, &signer));
    signed.and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests;
