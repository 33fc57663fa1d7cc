//! Where ours is meant to print something else than the original, one by one: lines of the tables. What
//! the tables cannot show, because the original crashes, leaves something behind or does not end, stands in
//! `traps.rs`, each with its reason and what shows it.
//!
//! Beside these, on every command: a `hint: ` line on standard error tells why a server cannot be
//! reached and what to do; help has examples and words of its own.

use super::script::Seen;

/// One of them.
pub(super) struct Difference {
    /// The command.
    pub(super) arguments: &'static str,
    /// What the original prints, and ours does not.
    pub(super) original: &'static str,
    /// What ours prints, and the original does not.
    pub(super) ours: &'static str,
    /// Why.
    pub(super) reason: &'static str,
}

/// All of them. One that no longer shows fails the test.
pub(super) const INTENDED: &[Difference] = &[];

impl Difference {
    /// The difference meant for this command, if what was seen is just that.
    pub(super) fn of(original: &Seen, ours: &Seen) -> Option<&'static Self> {
        let has = |seen: &Seen, text: &str| seen.out.contains(text) || seen.err.contains(text);
        INTENDED.iter().find(|one| {
            let only =
                |seen, other, text: &str| text.is_empty() || has(seen, text) && !has(other, text);
            one.arguments == original.line.arguments
                && only(original, ours, one.original)
                && only(ours, original, one.ours)
        })
    }
}
