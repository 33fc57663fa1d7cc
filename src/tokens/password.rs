//! Passwords: hashed and compared on threads of their own kind, few at a time.
//!
//! A hash is slow by design, and who asks for one need not have shown who it is. So there are fewer
//! turns than processors, a bounded queue for them, and whoever finds the queue full is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// What the cost of a hash may be: each step doubles the work.
pub const MIN_COST: u32 = 4;
/// The highest cost.
pub const MAX_COST: u32 = 31;
/// What a hash is made from; Go's library refuses longer passwords too.
const MOST_BYTES: usize = 72;
/// Requests that may wait for their turn.
const QUEUE: usize = 256;

/// Why there is no answer about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many others wait.
    #[error("too many passwords are being checked")]
    Busy,
    /// There is more of it than can be hashed.
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
    /// No randomness, or the process stops.
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes and compares.
#[derive(Debug)]
pub struct Passwords {
    cost: u32,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Passwords {
    /// With hashes of this cost, which is held to what there is.
    pub fn new(cost: u32) -> Arc<Self> {
        // One processor is left to those who have shown who they are.
        let turns = available_parallelism().map_or(1, |count| count.get().saturating_sub(1)).max(1);
        let cost = cost.clamp(MIN_COST, MAX_COST);
        let turns = Arc::new(Semaphore::new(turns));
        Arc::new(Self { cost, turns, waiting: Arc::default() })
    }

    /// The hash of a password, in the text form that the log carries.
    ///
    /// # Errors
    /// As [`PasswordError`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let password = Zeroizing::new(password);
        if password.len() > MOST_BYTES {
            return Err(PasswordError::TooLong);
        }
        let cost = self.cost;
        let hashed = self.turn(move || {
            let hashed = bcrypt::hash(password.as_bytes(), cost);
            hashed.map_err(|_| PasswordError::Failed)
        });
        Ok(STANDARD.encode(hashed.await?))
    }

    /// Whether a password is the one that was hashed; `None` is a user that is not there, for whom the
    /// answer takes as long.
    ///
    /// # Errors
    /// As [`PasswordError`].
    pub async fn is(
        &self,
        password: String,
        hashed: Option<bytes::Bytes>,
    ) -> Result<bool, PasswordError> {
        let password = Zeroizing::new(password);
        let cost = self.cost;
        self.turn(move || {
            let Some(hashed) = hashed else {
                let _ = bcrypt::hash(password.as_bytes(), cost);
                return Ok(false);
            };
            let hashed = std::str::from_utf8(&hashed).unwrap_or_default();
            // What is no hash is nobody's password.
            Ok(bcrypt::verify(password.as_bytes(), hashed).unwrap_or(false))
        })
        .await
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Place::take(&self.waiting).ok_or(PasswordError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PasswordError::Failed)?;
        // Both go along: the work goes on when its client has gone away.
        let done = spawn_blocking(move || {
            let _held = (turn, place);
            work()
        });
        done.await.map_err(|_| PasswordError::Failed)?
    }
}

/// A place in the queue, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(waiting));
        (before < QUEUE).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_that_was_hashed_is_it() {
        let passwords = Passwords::new(4);
        let text = passwords.hash("hunter2".to_owned()).await.unwrap();
        let hashed = bytes::Bytes::from(STANDARD.decode(text).unwrap());
        assert!(hashed.starts_with(b"$2"));
        for (password, of, right) in [
            ("hunter2", Some(hashed.clone()), true),
            ("hunter3", Some(hashed.clone()), false),
            ("", Some(hashed), false),
            ("hunter2", None, false),
            ("", Some(bytes::Bytes::new()), false),
        ] {
            assert_eq!(passwords.is(password.to_owned(), of).await, Ok(right), "{password:?}");
        }
        let long = passwords.hash("x".repeat(73)).await;
        assert_eq!(long, Err(PasswordError::TooLong));
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_refused_at_once() {
        let passwords = Passwords::new(4);
        let places: Vec<_> = (0..QUEUE).filter_map(|_| Place::take(&passwords.waiting)).collect();
        assert_eq!(passwords.hash("a".to_owned()).await, Err(PasswordError::Busy));
        drop(places);
        assert!(passwords.hash("a".to_owned()).await.is_ok());
    }
}
