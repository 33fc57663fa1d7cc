//! Named places at which a process under test dies or a thread of it gets stuck, and a smaller scale on
//! which it gets there soon.
//!
//! Only debug builds look at the environment; in a release build everything here compiles to
//! nothing, so that tests run the very binary they have built anyway, without a second set of
//! features.
//!
//! | variable | meaning |
//! |---|---|
//! | `FAIL_POINT=wal-written:7` | die, as by `kill -9`, on coming to that place for the seventh time |
//! | `FAIL_STALL=log-asked:20` | the thread that comes to that place for the twentieth time stays there |
//! | `FAIL_ALTER=word` | store this value with its bytes reversed, as a member would that applies wrongly |
//! | `STORAGE_SCALE=64` | segments, memory buffers and what is kept of the log are 64 times smaller |
//! | `CHECKPOINT_SCALE=300` | what is left of leases is stored 300 times as often |

use std::time::Duration;

use bytes::Bytes;

macro_rules! points {
    ($($point:ident $name:literal $what:literal)*) => {
        /// Where a process can be made to die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $(#[doc = $what] $point,)*
        }

        impl Point {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// The name in `FAIL_POINT`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    StartClaimed "start-claimed" "First start: the header says that one has begun."
    StartFolders "start-folders" "First start: the folders are there."
    StartLog "start-log" "First start: the log is there, and empty."
    StartState "start-state" "First start: the state database is there, and empty."
    StartUnmarked "start-unmarked" "First start: the cluster is founded, the header does not say so."
    StartMarked "start-marked" "First start: the header says that the member exists."
    HeaderWritten "header-written" "A small file is written and synced under its temporary name."
    HeaderRenamed "header-renamed" "A small file has its name, which is not durable yet."
    LogAsked "log-asked" "The consensus loop is about to give entries to the log."
    WalUnwritten "wal-unwritten" "Frames are about to be written to the log."
    WalWritten "wal-written" "Frames are written to the log and not synced."
    WalSynced "wal-synced" "Frames are synced and nobody knows it yet."
    SegmentFull "segment-full" "A segment is complete, the next is not begun."
    SegmentBegun "segment-begun" "The next segment is there, its first block is not written."
    SegmentUnnamed "segment-unnamed" "A segment made in a hurry has no name yet."
    SegmentNamed "segment-named" "A segment made in a hurry has a name that is not durable yet."
    SpareUnnamed "spare-unnamed" "A segment made ahead has no name yet."
    SpareNamed "spare-named" "A segment made ahead has a name that is not durable yet."
    PurgeUnremoved "purge-unremoved" "A purged segment is about to be removed."
    PurgeRemoved "purge-removed" "A purged segment is removed, which is not durable yet."
    RecoveryRewritten "recovery-rewritten" "Opening the log: doubtful frames are written again."
    RecoveryErased "recovery-erased" "Opening the log: an unfinished write is erased."
    ApplyUncommitted "apply-uncommitted" "A batch is about to be given to the state database."
    ApplyCommitted "apply-committed" "A batch is in the state database and not visible yet."
    ApplyUnanswered "apply-unanswered" "A batch is applied, its clients are not answered."
    CompactionUncommitted "compaction-uncommitted" "A step of a compaction is about to be committed."
    CompactionCommitted "compaction-committed" "A step of a compaction is committed."
    CompactionDone "compaction-done" "The last step of a compaction is committed."
    PersistBefore "persist-before" "The state is about to be made durable."
    PersistAfter "persist-after" "The state is durable, the log is not cut yet."
    MembersJoint "members-joint" "Two configurations are valid together, the older one is about to go."
    AdoptBefore "adopt-before" "A received state is durable and about to become the valid one."
    AdoptSwitched "adopt-switched" "A received state is the valid one, the old one is still worked with."
    CheckpointBegun "checkpoint-begun" "An index checkpoint is due."
    CheckpointPersisted "checkpoint-persisted" "The state an index checkpoint stands for is durable."
    CheckpointWritten "checkpoint-written" "An index checkpoint is written under its temporary name."
    CheckpointRenamed "checkpoint-renamed" "An index checkpoint has its name, which is not durable yet."
}

impl Point {
    /// Whether only members with others come here.
    pub const fn needs_others(self) -> bool {
        matches!(self, Self::MembersJoint | Self::AdoptBefore | Self::AdoptSwitched)
    }

    /// Whether only the first start of a member comes here.
    pub const fn is_first_start(self) -> bool {
        matches!(
            self,
            Self::StartClaimed
                | Self::StartFolders
                | Self::StartLog
                | Self::StartState
                | Self::StartUnmarked
                | Self::StartMarked
                | Self::HeaderWritten
                | Self::HeaderRenamed
        )
    }
}

/// Dies or stands still here if the environment says so.
#[inline]
pub fn hit(point: Point) {
    #[cfg(debug_assertions)]
    armed::hit(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

/// A value as it is to be stored: as it is, unless the environment wants a member that errs.
#[inline]
pub fn altered(value: Bytes) -> Bytes {
    #[cfg(debug_assertions)]
    if armed::alters(&value) {
        return value.iter().rev().copied().collect();
    }
    value
}

/// A size of the storage, on the scale the environment asks for.
#[inline]
pub fn scaled(size: u64) -> u64 {
    #[cfg(debug_assertions)]
    return (size / armed::scale("STORAGE_SCALE", &armed::STORAGE)).max(1);
    #[cfg(not(debug_assertions))]
    size
}

/// The time between checkpoints of a lease, on the scale the environment asks for.
#[inline]
pub fn hurried(every: Duration) -> Duration {
    #[cfg(debug_assertions)]
    return every.div_f64(armed::scale("CHECKPOINT_SCALE", &armed::CHECKPOINTS) as f64);
    #[cfg(not(debug_assertions))]
    every
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    /// What is left of the visits to the point; `None` when there is none.
    type Armed = Option<(Point, AtomicU64)>;

    pub(super) fn hit(point: Point) {
        static DEATH: OnceLock<Armed> = OnceLock::new();
        static STALL: OnceLock<Armed> = OnceLock::new();
        if reached(&DEATH, "FAIL_POINT", point) {
            die(&format!("fail point {} reached", point.name()));
        }
        if reached(&STALL, "FAIL_STALL", point) {
            eprintln!("fail point {} reached, and nothing goes on here", point.name());
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether this is the visit that the variable names.
    fn reached(armed: &OnceLock<Armed>, variable: &str, point: Point) -> bool {
        let armed = armed.get_or_init(|| {
            let text = std::env::var(variable).ok()?;
            let armed = parse(&text);
            if armed.is_none() {
                die(&format!("{variable}={text} is not NAME:COUNT with a name of failpoint.rs"));
            }
            armed
        });
        let Some((chosen, left)) = armed else { return false };
        *chosen == point && left.fetch_sub(1, Ordering::Relaxed) == 1
    }

    pub(super) fn alters(value: &[u8]) -> bool {
        static WORD: OnceLock<Option<String>> = OnceLock::new();
        let word = WORD.get_or_init(|| std::env::var("FAIL_ALTER").ok());
        word.as_ref().is_some_and(|word| word.as_bytes() == value)
    }

    fn parse(text: &str) -> Armed {
        let (name, count) = text.split_once(':')?;
        let point = Point::ALL.iter().find(|point| point.name() == name)?;
        let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
        Some((*point, AtomicU64::new(count)))
    }

    /// Nothing is flushed, closed or dropped: the next look at the disk sees what a crash leaves.
    fn die(why: &str) {
        eprintln!("{why}");
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort();
    }

    pub(super) static STORAGE: OnceLock<u64> = OnceLock::new();
    pub(super) static CHECKPOINTS: OnceLock<u64> = OnceLock::new();

    pub(super) fn scale(variable: &str, scale: &OnceLock<u64>) -> u64 {
        *scale.get_or_init(|| {
            let text = std::env::var(variable).ok();
            text.and_then(|text| text.parse().ok()).map_or(1, |scale: u64| scale.max(1))
        })
    }
}
