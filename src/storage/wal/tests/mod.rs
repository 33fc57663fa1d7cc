//! What the tests of the log share.

mod damage;
mod disk;
mod faults;
mod model;
mod power;
mod use_cases;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;

use super::{Frame, LogPos, Recovered, Wal, WalError, WalOptions};
use disk::{Plan, TestDisk};

/// The smallest segments, and no marker that would appear at a time of its own.
pub(super) fn small() -> WalOptions {
    WalOptions { segment_bytes: 8 << 10, confirm_after: None, ..WalOptions::default() }
}

pub(super) fn open(dir: &Path) -> (Wal, Recovered) {
    open_with(dir, small()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn open_with(dir: &Path, options: WalOptions) -> Result<(Wal, Recovered), WalError> {
    Wal::open_on(Arc::new(TestDisk(Plan::smooth())), dir, options)
}

/// An entry whose contents follow from its index and a version.
pub(super) fn entry(index: u64, version: u64, len: usize) -> Frame {
    let mut random = Random(index.wrapping_mul(0x9E37_79B9).wrapping_add(version) | 1);
    let payload = (0..len).map(|_| random.next().to_le_bytes()[3]).collect::<Vec<u8>>();
    Frame { index, id: id(index, version), payload: payload.into() }
}

pub(super) fn id(index: u64, version: u64) -> Bytes {
    Bytes::from(format!("{version}-{index}"))
}

pub(super) fn pos(index: u64, version: u64) -> LogPos {
    LogPos { index, id: id(index, version) }
}

/// A callback and where its outcome arrives.
pub(super) fn done() -> (impl FnOnce(io::Result<()>) + Send + 'static, Receiver<io::Result<()>>) {
    let (sender, receiver) = channel();
    (move |outcome| sender.send(outcome).unwrap_or_default(), receiver)
}

pub(super) fn append(wal: &Wal, frames: Vec<Frame>) -> io::Result<()> {
    let (done, outcome) = done();
    wal.append(frames, done);
    outcome.recv().unwrap()
}

pub(super) fn vote(wal: &Wal, vote: &str) -> io::Result<()> {
    let (done, outcome) = done();
    wal.save_vote(Bytes::copy_from_slice(vote.as_bytes()), done);
    outcome.recv().unwrap()
}

pub(super) fn truncate(wal: &Wal, from: u64) -> io::Result<()> {
    let (done, outcome) = done();
    wal.truncate_from(from, done);
    outcome.recv().unwrap()
}

pub(super) fn purge(wal: &Wal, to: LogPos) -> io::Result<()> {
    let (done, outcome) = done();
    wal.purge_to(to, done);
    outcome.recv().unwrap()
}

/// The segment files of a log, by name.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

/// The log as a crash at this moment would leave it, also while it is in use. Listing a folder and
/// reading its files is not atomic, so that it is done again until nothing came or went meanwhile.
pub(super) fn take(dir: &Path) -> Image {
    let names = || -> BTreeSet<String> {
        let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name());
        let names = files.map(|name| name.into_string().unwrap());
        names.filter(|name| name.ends_with(".wal")).collect()
    };
    loop {
        let before = names();
        let read = |name: &String| Some((name.clone(), std::fs::read(dir.join(name)).ok()?));
        let image: Image = before.iter().filter_map(read).collect();
        if before == names() && image.len() == before.len() {
            return image;
        }
    }
}

/// Repeatable numbers.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}
