//! Random calls against a plain map, with closing, crashing and reopening in between.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::super::{Frame, LogPos, Recovered, Wal, WalOptions};
use super::{Random, append, entry, open_with, pos, purge, small, take, truncate, vote};

#[derive(Default)]
struct Model {
    entries: BTreeMap<u64, Frame>,
    purged: Option<LogPos>,
    vote: Option<Bytes>,
    version: u64,
}

impl Model {
    fn next(&self) -> u64 {
        let newest = self.entries.keys().next_back().copied();
        newest.or(self.purged.as_ref().map(|pos| pos.index)).map_or(0, |index| index + 1)
    }

    fn last(&self) -> Option<LogPos> {
        let newest = self.entries.values().next_back();
        let newest = newest.map(|frame| LogPos { index: frame.index, id: frame.id.clone() });
        newest.or_else(|| self.purged.clone())
    }

    fn check(&self, wal: &Wal, random: &mut Random) {
        let positions = wal.positions();
        assert_eq!((&positions.purged, &positions.last), (&self.purged, &self.last()));
        let all: Vec<_> = self.entries.values().cloned().collect();
        assert_eq!(wal.read(0..u64::MAX).unwrap(), all);
        let from = random.below(self.next() + 3);
        let range = from..from + random.below(20);
        let some: Vec<_> = self.entries.range(range.clone()).map(|(_, f)| f.clone()).collect();
        assert_eq!(wal.read(range).unwrap(), some);
    }

    fn check_opened(&self, wal: &Wal, found: &Recovered, random: &mut Random) {
        assert_eq!((&found.vote, &found.purged), (&self.vote, &self.purged));
        assert_eq!((&found.last, &found.torn), (&self.last(), &None));
        self.check(wal, random);
    }

    fn step(&mut self, wal: &Wal, random: &mut Random) {
        let next = self.next();
        match random.below(10) {
            0..5 => {
                let frames: Vec<_> = (next..=next + random.below(12))
                    .map(|index| {
                        let long = if random.below(40) == 0 { 20_000 } else { 700 };
                        entry(index, self.version, usize::try_from(random.below(long)).unwrap())
                    })
                    .collect();
                append(wal, frames.clone()).unwrap();
                self.entries.extend(frames.into_iter().map(|frame| (frame.index, frame)));
            }
            5 | 6 => {
                self.vote = Some(Bytes::from(random.next().to_string()));
                vote(wal, &random_text(self.vote.as_ref())).unwrap();
            }
            7 => {
                let first = self.entries.keys().next().copied().unwrap_or(next);
                let from = first + random.below(next - first + 1);
                self.version += 1;
                truncate(wal, from).unwrap();
                self.entries.split_off(&from);
            }
            _ => {
                let beyond = if random.below(8) == 0 { 5 } else { 0 };
                let to = pos(random.below(next + 1) + beyond, self.version);
                purge(wal, to.clone()).unwrap();
                if self.purged.as_ref().is_none_or(|old| old.index < to.index) {
                    self.entries = self.entries.split_off(&(to.index + 1));
                    self.purged = Some(to);
                }
            }
        }
    }
}

fn random_text(vote: Option<&Bytes>) -> String {
    String::from_utf8(vote.unwrap().to_vec()).unwrap()
}

fn run(seed: u64, steps: usize) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let root = tempfile::tempdir().unwrap();
    let open = |dir: &Path| {
        let options = WalOptions { cache_bytes: 4000, ..small() };
        open_with(dir, options).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
    };
    let mut dir = root.path().join("0");
    std::fs::create_dir(&dir).unwrap();
    let (mut wal, _) = open(&dir);
    let mut model = Model::default();
    for step in 0..steps {
        model.step(&wal, &mut random);
        if random.below(4) == 0 {
            model.check(&wal, &mut random);
        }
        match random.below(15) {
            0 => {
                wal.close().unwrap();
                let (reopened, found) = open(&dir);
                model.check_opened(&reopened, &found, &mut random);
                wal = reopened;
            }
            1 => {
                // As the files are at this moment; the process that wrote them is forgotten.
                let crashed = root.path().join((step + 1).to_string());
                std::fs::create_dir(&crashed).unwrap();
                for (name, bytes) in take(&dir) {
                    std::fs::write(crashed.join(name), bytes).unwrap();
                }
                drop(wal);
                let (reopened, found) = open(&crashed);
                model.check_opened(&reopened, &found, &mut random);
                (wal, dir) = (reopened, crashed);
            }
            _ => {}
        }
    }
}

/// Who changes the log asks for more: `WAL_MODEL_SEEDS=400 cargo test --lib the_log_agrees`.
#[test]
fn the_log_agrees_with_a_map() {
    let seeds = std::env::var("WAL_MODEL_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=seeds.unwrap_or(12) {
        run(seed, 120);
    }
}
