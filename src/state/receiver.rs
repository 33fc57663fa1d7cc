//! Receiving the state of another member into an engine beside the running one.

use bytes::Bytes;

use super::error::StateError;
use super::load::Loaded;
use super::meta;
use super::piece::{self, Body, Piece, PieceFault, Totals};
use crate::storage::StorageError;
use crate::storage::engine::{self, Engine};
use crate::storage::generations::{Fresh, Generations};
use crate::storage::space::{Room, Space as DiskSpace};

/// Where states are received, and how the engines for them are opened. Clones share the place.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Gives out folders, and makes one the valid one.
    pub generations: Generations,
    /// As those of the running engine: the new one takes its place.
    pub engine: engine::Options,
}

/// Why a state is not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// A piece is not as it was sent, or makes no sense. It was not taken; it may be sent again.
    #[error("piece {wanted} of the state was expected, what came is damaged: {fault}")]
    Damaged {
        /// The number of the piece that was expected.
        wanted: u64,
        /// What is wrong with what came.
        fault: PieceFault,
    },
    /// A piece of another image came; it was not taken.
    #[error("a piece of image {got:016x} came while image {expected:016x} is received")]
    OtherImage {
        /// The image that is being received.
        expected: u64,
        /// The image the piece belongs to.
        got: u64,
    },
    /// A piece came too early; it was not taken.
    #[error("piece {got} of the state came where piece {wanted} should follow")]
    Gap {
        /// The number of the piece that should have come.
        wanted: u64,
        /// The number of the piece that came.
        got: u64,
    },
    /// Keys came out of order: what is sent is no image.
    #[error("piece {number} of the state holds keys that are not in order")]
    Disorder {
        /// The number of the piece.
        number: u64,
    },
    /// A piece came after the last one.
    #[error("piece {got} of the state came, although the state has {pieces} pieces")]
    PastEnd {
        /// How many there are.
        pieces: u64,
        /// The number of the piece that came.
        got: u64,
    },
    /// The last piece has not come yet.
    #[error("the state is not complete: piece {wanted} has not come")]
    Unfinished {
        /// The number of the piece that should come next.
        wanted: u64,
    },
    /// Every piece was right and the whole is not what was sent.
    #[error("the state has {got} {what}, expected {expected}")]
    Totals {
        /// What was counted.
        what: &'static str,
        /// What the last piece says.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The disk has no room for a second state beside the running one.
    #[error("no space to receive a state: {free} bytes are free")]
    NoSpace {
        /// Bytes that are free.
        free: u64,
    },
    /// The disk or the engine failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What was received is no state that could be opened.
    #[error("the state that was received cannot be used: {0}")]
    State(#[from] StateError),
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was stored; more must follow.
    Stored,
    /// It had come before and was ignored.
    Known,
    /// It was the last one: [`Receiver::finish`] may be called.
    Last,
}

/// Takes the pieces of one image. Dropped, or failed at the end, it leaves nothing behind. Everything
/// here may wait for the disk.
pub struct Receiver {
    // In this order: the engine is closed before its folder is removed.
    engine: Engine,
    fresh: Fresh,
    image: Option<u64>,
    wanted: u64,
    pairs: u64,
    sum: u64,
    newest: Option<(usize, Bytes)>,
    end: Option<Totals>,
    space: DiskSpace,
}

impl Receiver {
    /// Begins in an empty folder.
    ///
    /// # Errors
    /// The disk or the engine failed.
    pub fn create(intake: &Intake) -> Result<Self, ReceiveError> {
        let fresh = intake.generations.begin()?;
        let engine = Engine::open(&fresh.path(), &intake.engine)?;
        Ok(Self {
            engine,
            fresh,
            image: None,
            wanted: 0,
            pairs: 0,
            sum: 0,
            newest: None,
            end: None,
            space: intake.engine.space.clone(),
        })
    }

    /// The number of the next piece, from zero: where a transfer that broke off goes on.
    pub fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Takes the next piece; one that came before is ignored.
    ///
    /// # Errors
    /// The piece is not the next one, not of this image or not as it was sent, or the engine failed.
    /// Nothing of it was taken then; after anything but a damaged piece or a gap, begin anew.
    pub fn take(&mut self, piece: Bytes) -> Result<Taken, ReceiveError> {
        let wanted = self.wanted;
        let piece =
            Piece::decode(piece).map_err(|fault| ReceiveError::Damaged { wanted, fault })?;
        let (image, number) = (piece.image, piece.number);
        if let Some(expected) = self.image.filter(|expected| *expected != image) {
            return Err(ReceiveError::OtherImage { expected, got: image });
        }
        if number < wanted {
            return Ok(Taken::Known);
        }
        if let Some(Totals { pieces, .. }) = self.end {
            return Err(ReceiveError::PastEnd { pieces, got: number });
        }
        if number > wanted {
            return Err(ReceiveError::Gap { wanted, got: number });
        }
        let taken = match piece.body {
            Body::Pairs(body) => {
                self.store(number, body)?;
                Taken::Stored
            }
            Body::End(totals) => {
                self.end = Some(totals);
                Taken::Last
            }
        };
        self.image = Some(image);
        self.wanted += 1;
        Ok(taken)
    }

    /// Writes the pairs of a piece in one batch.
    fn store(&mut self, number: u64, body: Bytes) -> Result<(), ReceiveError> {
        // The running engine must not have to wait for space that is taken here.
        if self.space.look() < Room::Ample {
            return Err(ReceiveError::NoSpace { free: self.space.free() });
        }
        let sum = piece::chain(self.sum, &body);
        let (mut batch, mut newest) = (self.engine.batch(), self.newest.clone());
        for pair in piece::pairs(body) {
            let (space, key, value) =
                pair.map_err(|fault| ReceiveError::Damaged { wanted: number, fault })?;
            let place = (space.slot(), key);
            if newest.is_some_and(|newest| newest >= place) {
                return Err(ReceiveError::Disorder { number });
            }
            batch.put_bytes(space, &place.1, value);
            newest = Some(place);
        }
        let pairs = batch.len() as u64;
        batch.commit()?;
        (self.pairs, self.sum) = (self.pairs + pairs, sum);
        // A copy of its own: the key is a slice of the whole piece.
        self.newest = newest.map(|(space, key)| (space, Bytes::copy_from_slice(&key)));
        Ok(())
    }

    /// Checks the whole against its totals, makes it durable and opens it.
    ///
    /// # Errors
    /// The last piece has not come, the whole is not what was sent, or the disk or the engine failed.
    /// What was received is gone then.
    pub fn finish(self) -> Result<Received, ReceiveError> {
        let wanted = self.wanted;
        let totals = self.end.ok_or(ReceiveError::Unfinished { wanted })?;
        for (what, expected, got) in [
            ("pieces", totals.pieces, self.wanted),
            ("pairs", totals.pairs, self.pairs),
            ("as its checksum", totals.sum, self.sum),
        ] {
            if expected != got {
                return Err(ReceiveError::Totals { what, expected, got });
            }
        }
        let mut loaded = Loaded::load(&self.engine, None)?;
        let log_id = loaded.facts.progress.log_id.clone();
        let mut batch = self.engine.batch();
        meta::store_received(&log_id, &mut batch);
        batch.commit()?;
        loaded.facts.received = Some(log_id);
        self.engine.persist()?;
        Ok(Received { loaded, engine: self.engine, fresh: self.fresh })
    }
}

/// A whole state, durable and open, that [`Machine::adopt`](super::Machine::adopt) makes the current
/// one. Dropped before that it leaves nothing behind.
pub struct Received {
    pub(super) loaded: Loaded,
    // In this order, as in the receiver.
    pub(super) engine: Engine,
    pub(super) fresh: Fresh,
}

impl Received {
    /// The id of the newest entry in it, as its sender gave it; `None` if nothing was ever applied.
    pub fn applied(&self) -> Option<Bytes> {
        let facts = &self.loaded.facts;
        facts.started.then(|| facts.progress.log_id.clone())
    }

    /// The newest membership in it.
    pub fn membership(&self) -> Option<Bytes> {
        self.loaded.facts.membership.clone()
    }

    /// Its revision.
    pub fn revision(&self) -> i64 {
        self.loaded.facts.progress.revision
    }
}
