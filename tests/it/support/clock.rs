//! A wall clock of its own for a program, which a test sets while the program runs.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::preload;

/// How far a clock is ahead; programs that were started with it see every change.
pub(crate) struct Ahead {
    folder: TempDir,
}

impl Ahead {
    /// One that shows the time of this machine.
    pub(crate) fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().unwrap() };
        clock.set(Duration::ZERO);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Sets it so far ahead of this machine's.
    pub(crate) fn set(&self, ahead: Duration) {
        // Renamed, so that nobody reads half a number.
        let beside = self.folder.path().join("next");
        std::fs::write(&beside, ahead.as_secs().to_string()).unwrap();
        std::fs::rename(beside, self.file()).unwrap();
    }

    /// The variables a program goes by this clock with.
    pub(crate) fn environment(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD".to_owned(), text(library())),
            ("CLOCK_OFFSET".to_owned(), text(&self.file())),
        ]
    }
}

/// The library to preload; `clock.c` says what it does.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| preload::build("clock", "support/clock.c"))
}
