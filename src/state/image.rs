//! Images: the whole state at one moment, to be sent to another member.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::StateError;
use super::machine::Machine;
use super::piece::{self, Builder, Totals};
use crate::storage::engine::{Space, View};

/// The whole replicated state between two batches of apply. Clones share it.
///
/// Nothing is copied when it is taken, and apply never waits for it. It is not free to keep: while it
/// lives, the engine gives up nothing that was there then or came since. Tables that were merged or
/// compacted away stay on disk, and every memory buffer written out meanwhile stays in memory, so that
/// it costs about as much of both as is written while it is sent. Drop it when it is sent, and give
/// up one that nobody fetches from.
#[derive(Clone)]
pub struct Image {
    inner: Arc<Inner>,
}

struct Inner {
    view: View,
    /// Tells pieces of this image from those of others.
    id: u64,
    applied: Option<Bytes>,
    membership: Option<Bytes>,
    /// Where each piece begins, as far as that has been found out.
    begins: Mutex<Vec<Cursor>>,
}

/// The beginning of a piece.
#[derive(Clone, Debug, Default)]
struct Cursor {
    /// Position of the space in [`Space::ALL`].
    space: usize,
    /// The last key of the space before it.
    after: Option<Bytes>,
    /// Pairs before it.
    pairs: u64,
    /// The chained hash of the pieces before it.
    sum: u64,
}

impl Machine {
    /// The state as it is now, in constant time.
    ///
    /// # Errors
    /// The store failed: the process must stop.
    pub fn image(&self) -> Result<Image, StateError> {
        let view = self.engine.view();
        // What is told about the whole changes with every batch, and so names the moment. Two members
        // may yet come to the same name; the sum at the end tells their pieces apart.
        let mut id = 0;
        for pair in view.scan(Space::Meta, Bound::Unbounded, Bound::Unbounded) {
            let (key, value) = pair?;
            id = xxh3_64_with_seed(&value, xxh3_64_with_seed(&key, id));
        }
        let (applied, membership) = (self.applied(), self.membership());
        let begins = Mutex::new(vec![Cursor::default()]);
        Ok(Image { inner: Arc::new(Inner { view, id, applied, membership, begins }) })
    }
}

impl Image {
    /// The id of the newest entry in it, as it was given; `None` if nothing was ever applied.
    pub fn applied(&self) -> Option<Bytes> {
        self.inner.applied.clone()
    }

    /// The newest membership in it, as it was given.
    pub fn membership(&self) -> Option<Bytes> {
        self.inner.membership.clone()
    }

    /// Its pieces from number `from` on, of about 1 MiB each; one with a larger value is as large as
    /// that. They are the same however often they are asked for. To begin where a transfer broke off
    /// costs nothing; to begin beyond what was ever asked for reads what lies before. Each step reads
    /// the disk: call it where blocking is allowed.
    pub fn pieces(&self, from: u64) -> Pieces {
        Pieces { image: self.clone(), next: Some(from) }
    }

    /// One piece; `None` after the last.
    fn piece(&self, number: u64) -> Result<Option<Bytes>, StateError> {
        let Some((mut at, mut cursor)) = self.inner.nearest(number) else { return Ok(None) };
        loop {
            let (piece, next) = self.inner.cut(at, &cursor)?;
            if let Some(next) = &next {
                self.inner.remember(at + 1, next);
            }
            if at == number {
                return Ok(Some(piece));
            }
            let Some(next) = next else { return Ok(None) };
            (at, cursor) = (at + 1, next);
        }
    }
}

impl Inner {
    /// The known beginning of the piece, or of the last before it that is known.
    fn nearest(&self, number: u64) -> Option<(u64, Cursor)> {
        let begins = self.begins.lock();
        let newest = begins.len().checked_sub(1)?;
        let at = usize::try_from(number).unwrap_or(usize::MAX).min(newest);
        Some((at as u64, begins.get(at)?.clone()))
    }

    fn remember(&self, number: u64, cursor: &Cursor) {
        let mut begins = self.begins.lock();
        if begins.len() as u64 == number {
            begins.push(cursor.clone());
        }
    }

    /// The piece that begins at a cursor, and where the next one begins; there is none after the end.
    fn cut(&self, number: u64, cursor: &Cursor) -> Result<(Bytes, Option<Cursor>), StateError> {
        let mut piece = Builder::new(self.id, number);
        let mut next = cursor.clone();
        while let Some(space) = Space::ALL.get(next.space).copied() {
            if !self.fill(&mut piece, space, &mut next)? {
                break;
            }
            next.space += 1;
            next.after = None;
        }
        if piece.is_empty() {
            let totals = Totals { pieces: number + 1, pairs: cursor.pairs, sum: cursor.sum };
            return Ok((piece::end(self.id, number, totals), None));
        }
        // A copy of its own: the engine's bytes may hold on to a whole block.
        next.after = next.after.map(|key| Bytes::copy_from_slice(&key));
        next.sum = piece.chain(cursor.sum);
        Ok((piece.finish(), Some(next)))
    }

    /// Adds the rest of a space; false when the piece was full before that. The scan ends with the
    /// call, so that nothing but the view is held while a piece is on its way.
    fn fill(
        &self,
        piece: &mut Builder,
        space: Space,
        next: &mut Cursor,
    ) -> Result<bool, StateError> {
        let after = next.after.clone();
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        for pair in self.view.scan(space, from, Bound::Unbounded) {
            let (key, value) = pair?;
            if !piece.has_room(&key, &value) {
                return Ok(false);
            }
            piece.push(space, &key, &value).ok_or_else(|| StateError::Damaged {
                what: format!("a pair stored under {key:02x?}"),
                why: format!("{} bytes are too many", key.len() + value.len()),
            })?;
            next.after = Some(key);
            next.pairs += 1;
        }
        Ok(true)
    }
}

/// The pieces of an image in order; ends after the last one, or after an error.
pub struct Pieces {
    image: Image,
    next: Option<u64>,
}

impl Iterator for Pieces {
    type Item = Result<Bytes, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next.take()?;
        let piece = self.image.piece(number).transpose()?;
        self.next = piece.is_ok().then_some(number + 1);
        Some(piece)
    }
}
