//! Simple tokens: random letters, a dot, and the position in the log of the entry that issued them.
//!
//! Every member learns of each as it applies that entry, and forgets it when nobody has shown it there
//! for a while. They are in memory alone: after a restart clients show their password again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::types::clock::Clock;

/// Tokens one user may have; beyond, the one that was not shown for longest ends.
const MOST_OF_USER: usize = 4_096;
/// Tokens of all users together, each a few hundred bytes at most beside its user's name.
const MOST: usize = 65_536;
/// Letters before the dot.
const LETTERS: usize = 16;

/// The tokens that hold on this member.
#[derive(Debug)]
pub struct SimpleTokens {
    ttl: Duration,
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tokens: HashMap<String, Token>,
    users: HashMap<Arc<str>, usize>,
    /// When those that ended were last removed.
    tidied: Option<Instant>,
}

struct Token {
    user: Arc<str>,
    until: Instant,
}

impl std::fmt::Debug for Inner {
    /// Tells how many there are: each is as good as a password.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Inner").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl SimpleTokens {
    /// None yet; each holds for `ttl` after it was last shown.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, clock: Clock, inner: Mutex::default() }
    }

    /// Lets a token stand for a user.
    pub fn issue(&self, user: &str, token: String) {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if inner.tidied.is_none_or(|then| now - then >= Duration::from_secs(1)) {
            inner.tidied = Some(now);
            inner.retain(|token| token.until > now);
        }
        let user: Arc<str> = match inner.users.get_key_value(user) {
            Some((known, _)) => Arc::clone(known),
            None => user.into(),
        };
        if inner.users.get(&user).is_some_and(|count| *count >= MOST_OF_USER) {
            inner.end_oldest(Some(&user));
        } else if inner.tokens.len() >= MOST {
            inner.end_oldest(None);
        }
        *inner.users.entry(Arc::clone(&user)).or_default() += 1;
        let until = now + self.ttl;
        if let Some(before) = inner.tokens.insert(token, Token { user, until }) {
            inner.discount(&before.user);
        }
    }

    /// Whose token it is; it holds as long again from now on.
    pub fn user_of(&self, token: &str) -> Option<Arc<str>> {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let found = inner.tokens.get_mut(token).filter(|found| found.until > now)?;
        found.until = now + self.ttl;
        Some(Arc::clone(&found.user))
    }

    /// Ends the tokens of a user.
    pub fn end_of(&self, user: &str) {
        let mut inner = self.inner.lock();
        if inner.users.contains_key(user) {
            inner.retain(|token| token.user.as_ref() != user);
        }
    }

    /// Ends all tokens.
    pub fn end_all(&self) {
        *self.inner.lock() = Inner::default();
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.inner.lock().tokens.len()
    }
}

impl Inner {
    fn retain(&mut self, keep: impl Fn(&Token) -> bool) {
        let users = &mut self.users;
        self.tokens.retain(|_, token| {
            let kept = keep(token);
            if !kept {
                discount(users, &token.user);
            }
            kept
        });
    }

    /// Ends the one that was not shown for longest, of a user or of all.
    fn end_oldest(&mut self, user: Option<&Arc<str>>) {
        let of =
            self.tokens.iter().filter(|(_, token)| user.is_none_or(|user| token.user == *user));
        let Some(oldest) = of.min_by_key(|(_, token)| token.until) else { return };
        let oldest = oldest.0.clone();
        if let Some(ended) = self.tokens.remove(&oldest) {
            self.discount(&ended.user);
        }
    }

    fn discount(&mut self, user: &Arc<str>) {
        discount(&mut self.users, user);
    }
}

fn discount(users: &mut HashMap<Arc<str>, usize>, user: &Arc<str>) {
    if let Some(count) = users.get_mut(user) {
        *count -= 1;
        if *count == 0 {
            users.remove(user);
        }
    }
}

/// The random letters a token begins with; none when the system has no randomness.
pub fn prefix() -> Option<String> {
    const ALPHABET: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = [0; 2 * LETTERS];
    getrandom::fill(&mut random).ok()?;
    let (pairs, _) = random.as_chunks::<2>();
    // Of 65,536 values some letters get one more in a thousand: nothing anybody could use.
    let letter = |pair: &[u8; 2]| {
        ALPHABET.get(usize::from(u16::from_le_bytes(*pair)) % ALPHABET.len()).copied()
    };
    pairs.iter().map(letter).map(|letter| letter.map(char::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(tokens: &SimpleTokens, token: &str) -> Instant {
        tokens.inner.lock().tokens[token].until
    }

    #[test]
    fn a_token_holds_until_it_was_not_shown_for_long_or_is_ended() {
        let tokens = SimpleTokens::new(Duration::from_secs(300));
        tokens.issue("alice", "a.1".to_owned());
        tokens.issue("alice", "b.2".to_owned());
        tokens.issue("bob", "c.3".to_owned());
        assert_eq!(tokens.user_of("a.1").as_deref(), Some("alice"));
        assert_eq!(tokens.user_of("a.2"), None);
        let before = until(&tokens, "b.2");
        assert!(tokens.user_of("b.2").is_some() && until(&tokens, "b.2") > before);
        tokens.end_of("alice");
        assert_eq!((tokens.user_of("a.1"), tokens.len()), (None, 1));
        assert_eq!(tokens.user_of("c.3").as_deref(), Some("bob"));
        tokens.end_all();
        assert_eq!((tokens.user_of("c.3"), tokens.len()), (None, 0));
        let short = SimpleTokens::new(Duration::ZERO);
        short.issue("alice", "a.1".to_owned());
        assert_eq!(short.user_of("a.1"), None, "its time is over at once");
    }

    #[test]
    fn a_user_with_many_tokens_loses_its_own_oldest() {
        let tokens = SimpleTokens::new(Duration::from_secs(300));
        tokens.issue("bob", "b.0".to_owned());
        for number in 0..MOST_OF_USER {
            tokens.issue("alice", format!("a.{number}"));
        }
        assert!(tokens.user_of("a.0").is_some());
        tokens.issue("alice", "a.new".to_owned());
        assert_eq!(tokens.len(), MOST_OF_USER + 1);
        // The first was shown a moment ago, so that the second is the oldest.
        assert!(tokens.user_of("a.0").is_some() && tokens.user_of("a.1").is_none());
        assert!(tokens.user_of("b.0").is_some() && tokens.user_of("a.new").is_some());
    }

    #[test]
    fn a_token_begins_with_letters_that_never_come_again() {
        let (one, other) = (prefix().unwrap(), prefix().unwrap());
        assert!(one.len() == LETTERS && one.bytes().all(|byte| byte.is_ascii_alphabetic()));
        assert_ne!(one, other);
    }
}
