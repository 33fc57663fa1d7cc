//! What the log does about files that are not as it left them: it refuses, or everything that was
//! acknowledged is there.

use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;

use super::super::frame::{self, Head};
use super::super::header::{BLOCK, Header};
use super::super::recover::{Opened, recover};
use super::super::{Frame, LogPos, WalError, WalOptions, read};
use super::disk::{Plan, TestDisk};
use super::{
    Image, Random, append, entry, open, open_with, pos, purge, small, take, truncate, vote,
};

fn put(image: &Image, dir: &Path) {
    let present = take(dir);
    for name in present.keys().filter(|name| !image.contains_key(*name)) {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    for (name, bytes) in image.iter().filter(|(name, bytes)| present.get(*name) != Some(*bytes)) {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    vote: Option<Bytes>,
    purged: Option<LogPos>,
    entries: Vec<Frame>,
}

fn contents(opened: &Opened) -> Contents {
    let marks = &opened.marks;
    let mut entries = Vec::new();
    for run in read::plan(&opened.map, marks.extent.live()) {
        run.read(&mut entries).unwrap();
    }
    Contents { vote: marks.vote.clone(), purged: marks.extent.purged.clone(), entries }
}

/// Opens an image in `dir` without the threads of a whole log.
fn read_back(image: &Image, dir: &Path) -> Result<Contents, WalError> {
    put(image, dir);
    let options = WalOptions { fsync: false, ..small() };
    Ok(recover(&TestDisk(Plan::smooth()), dir, &options)?
        .map(|opened| contents(&opened))
        .unwrap_or_default())
}

/// A log with every kind of frame, as a crash leaves it: nothing confirms the last batch.
fn busy_log(rounds: u64) -> Image {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    for round in 0..rounds {
        let start = round * 5;
        append(&wal, (start..start + 6).map(|index| entry(index, round, 100)).collect()).unwrap();
        vote(&wal, &format!("vote {round}")).unwrap();
        truncate(&wal, start + 5 - u64::from(round + 1 == rounds)).unwrap();
        if round == 1 {
            purge(&wal, pos(1, 0)).unwrap();
        }
    }
    // Zeros of its own, which are not to be taken for an unfinished write.
    let mut last = entry(rounds * 5, 9, 0);
    last.payload = Bytes::from(vec![0; 1400]);
    append(&wal, vec![entry(rounds * 5 - 1, 9, 200), last]).unwrap();
    take(dir.path())
}

/// Files with a header, oldest first; the others are prepared for later.
fn used_files(image: &Image) -> Vec<String> {
    let used = image.iter().filter(|(_, bytes)| Header::decode(&bytes[..BLOCK]).is_ok());
    used.map(|(name, _)| name.clone()).collect()
}

fn segment_of(error: &WalError) -> Option<PathBuf> {
    match error {
        WalError::Damaged { segment, .. } => Some(segment.clone()),
        _ => None,
    }
}

/// A log whose newest segment holds nothing but one batch, with nothing after it to confirm it.
fn just_moved_log() -> Image {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let mut image = take(dir.path());
    for index in 0.. {
        let before = used_files(&image).len();
        append(&wal, vec![entry(index, 1, 600)]).unwrap();
        image = take(dir.path());
        if used_files(&image).len() > before.max(2) {
            break;
        }
    }
    image
}

fn flip_everywhere_in_the_newest(image: &Image) {
    let dir = tempfile::tempdir().unwrap();
    let original = read_back(image, dir.path()).unwrap();
    let name = used_files(image).pop().unwrap();
    let used = image[&name].iter().rposition(|byte| *byte != 0).unwrap();
    for at in 0..image[&name].len().min(used + 600) {
        let mut damaged = image.clone();
        damaged.get_mut(&name).unwrap()[at] ^= 1 << (at % 8);
        match read_back(&damaged, dir.path()) {
            Ok(contents) => {
                assert_eq!(contents, original, "byte {at}");
                assert!(at > used, "byte {at} went unnoticed");
            }
            Err(error) => {
                assert_eq!(segment_of(&error), Some(dir.path().join(&name)), "{error}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_newest_segment_is_refused() {
    flip_everywhere_in_the_newest(&busy_log(2));
    flip_everywhere_in_the_newest(&just_moved_log());
}

#[test]
fn a_flipped_bit_in_older_segments_is_refused_or_does_no_harm() {
    let image = busy_log(20);
    let dir = tempfile::tempdir().unwrap();
    let original = read_back(&image, dir.path()).unwrap();
    assert!(used_files(&image).len() > 3, "{:?}", used_files(&image));
    let mut refused = 0;
    for name in image.keys() {
        for at in (0..image[name].len()).step_by(29) {
            let mut damaged = image.clone();
            damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            match read_back(&damaged, dir.path()) {
                Ok(contents) => assert_eq!(contents, original, "{name}, byte {at}"),
                Err(error) => {
                    refused += 1;
                    assert_eq!(segment_of(&error), Some(dir.path().join(name)), "{error}");
                }
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn a_segment_of_another_size_is_refused() {
    let image = busy_log(20);
    let dir = tempfile::tempdir().unwrap();
    for name in used_files(&image) {
        for size in [0, 5, 511, 4096, 5000, 8187, 8191, 8193] {
            let mut damaged = image.clone();
            damaged.get_mut(&name).unwrap().resize(size, 0);
            let error = read_back(&damaged, dir.path()).unwrap_err();
            assert_eq!(segment_of(&error), Some(dir.path().join(&name)), "{error}");
            assert!(error.to_string().contains("bytes long"), "{error}");
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    for index in 0..100 {
        append(&wal, vec![entry(index, 1, 400)]).unwrap();
    }
    while !wal.inner.spares.is_ready() {
        thread::yield_now();
    }
    let image = take(dir.path());
    let names = used_files(&image);
    assert!(image.len() > names.len() && names.len() > 4, "{names:?} of {}", image.len());
    let other = tempfile::tempdir().unwrap();
    for name in &names {
        let mut damaged = image.clone();
        damaged.remove(name);
        let error = read_back(&damaged, other.path()).unwrap_err();
        assert!(matches!(error, WalError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(name.as_str()), "{error} without {name}");
    }
}

#[test]
fn leftovers_of_an_interrupted_removal_are_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let append_some = |range: std::ops::Range<u64>| {
        for index in range {
            append(&wal, vec![entry(index, 1, 400)]).unwrap();
        }
    };
    append_some(0..60);
    let before = take(dir.path());
    append_some(60..70);
    purge(&wal, pos(55, 1)).unwrap();
    wal.close().unwrap();
    let mut image = take(dir.path());
    let expected = read_back(&image, dir.path()).unwrap();
    let (name, bytes) = before.first_key_value().unwrap();
    assert!(image.insert(name.clone(), bytes.clone()).is_none(), "the oldest is gone by now");
    assert_eq!(read_back(&image, dir.path()).unwrap(), expected);
    assert!(!dir.path().join(name).exists());
}

/// The image that a power failure leaves if only some sectors of the last write got to the disk.
fn half_written(before: &Image, after: &Image, lost: impl Fn(usize) -> bool) -> Image {
    let mut image = after.clone();
    let Some(newest) = used_files(after).pop() else { return image };
    let zeros = vec![0; after[&newest].len()];
    let old = before.get(&newest).unwrap_or(&zeros);
    let sectors = image.get_mut(&newest).unwrap().chunks_mut(512);
    let changed = sectors.zip(old.chunks(512)).filter(|(new, old)| new != old);
    for (number, (new, old)) in changed.enumerate() {
        if lost(number) {
            new.copy_from_slice(old);
        }
    }
    image
}

/// A log before and after one more synced call, and how many entries it had before.
fn one_more_batch(random: &mut Random) -> (Image, Image, usize) {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let held = random.below(60);
    let long = |random: &mut Random| usize::try_from(random.below(900)).unwrap();
    for index in 0..held {
        append(&wal, vec![entry(index, 1, long(random))]).unwrap();
    }
    let before = take(dir.path());
    let more = 1 + random.below(6);
    let frames = (held..held + more).map(|index| {
        let mut frame = entry(index, 1, long(random));
        if random.below(3) == 0 {
            frame.payload = Bytes::from(vec![0; 3000]);
        }
        frame
    });
    append(&wal, frames.collect()).unwrap();
    (before, take(dir.path()), usize::try_from(held).unwrap())
}

fn check_half_written(before: &Image, after: &Image, held: usize, lost: impl Fn(usize) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    let all = read_back(after, dir.path()).unwrap().entries;
    let image = half_written(before, after, lost);
    let found = read_back(&image, dir.path()).unwrap().entries;
    assert!(found.len() >= held, "{} of {held} durable entries", found.len());
    assert_eq!(found, all[..found.len()]);

    // And the log goes on from there, without a trace of the unfinished write.
    put(&image, dir.path());
    let (wal, opened) = open(dir.path());
    let next = opened.last.map_or(0, |last| last.index + 1);
    let more = [entry(next, 5, 1500), entry(next + 1, 5, 10)];
    append(&wal, more.to_vec()).unwrap();
    let crashed = take(dir.path());
    drop(wal);
    let expected: Vec<_> = found.into_iter().chain(more).collect();
    assert_eq!(read_back(&crashed, dir.path()).unwrap().entries, expected);
}

#[test]
fn an_unfinished_last_write_is_erased_and_nothing_durable_is_lost() {
    for seed in 1..=60 {
        let mut random = Random(0x1234_5678_9ABC_DEF1_u64.wrapping_mul(seed) | 1);
        let (before, after, held) = one_more_batch(&mut random);
        let holes = random.next();
        check_half_written(&before, &after, held, |sector| holes >> (sector % 64) & 1 == 1);
    }
}

#[test]
fn a_last_write_cut_at_any_sector_is_erased() {
    for seed in 1..=6 {
        let (before, after, held) =
            one_more_batch(&mut Random(0x9876_5432_1012_3457_u64.wrapping_mul(seed) | 1));
        for cut in 0..12 {
            check_half_written(&before, &after, held, |sector| sector >= cut);
        }
    }
}

#[test]
fn zeroed_sectors_of_a_confirmed_batch_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    append(&wal, vec![entry(0, 1, 2500)]).unwrap();
    let crashed = take(dir.path());
    wal.close().unwrap();
    let closed = take(dir.path());
    let name = used_files(&closed).pop().unwrap();
    let zero = |image: &Image, sector: usize| {
        let mut image = image.clone();
        image.get_mut(&name).unwrap()[sector * 512..][..512].fill(0);
        image
    };
    // Of the 2500 bytes; the last of them shares its sector with the marker itself.
    for sector in 8..12 {
        let error = read_back(&zero(&closed, sector), dir.path()).unwrap_err();
        assert!(error.to_string().contains("once safely on disk"), "{error}");
        // Without the marker that closing leaves, this is what a power failure looks like.
        assert_eq!(read_back(&zero(&crashed, sector), dir.path()).unwrap(), Contents::default());
    }
}

#[test]
fn a_long_idle_log_confirms_its_last_batch() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { confirm_after: Some(std::time::Duration::ZERO), ..small() };
    let (wal, _) = open_with(dir.path(), options).unwrap();
    append(&wal, vec![entry(0, 1, 2500)]).unwrap();
    let confirmed = || {
        let image = take(dir.path());
        let bytes = &image[&used_files(&image)[0]];
        let first = Head::decode(&bytes[BLOCK..]).unwrap();
        let next = BLOCK + usize::try_from(first.size()).unwrap();
        Head::decode(&bytes[next..]).is_some_and(|head| head.durable == first.seq)
    };
    while !confirmed() {
        thread::yield_now();
    }
}

#[test]
fn garbage_is_never_taken_for_entries_and_never_panics() {
    let image = busy_log(4);
    let dir = tempfile::tempdir().unwrap();
    let original = read_back(&image, dir.path()).unwrap();
    let names: Vec<_> = image.keys().cloned().collect();
    let mut random = Random(0xDEAD_BEEF);
    for _ in 0..400 {
        let mut damaged = image.clone();
        for _ in 0..=random.below(4) {
            let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
            let bytes = damaged.get_mut(name).unwrap();
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            let len = usize::try_from(random.below(600)).unwrap().min(bytes.len() - at);
            let zero = random.below(3) == 0;
            bytes[at..at + len]
                .iter_mut()
                .for_each(|byte| *byte = if zero { 0 } else { random.next().to_le_bytes()[2] });
        }
        if let Ok(found) = read_back(&damaged, dir.path()) {
            assert!(
                found
                    .entries
                    .iter()
                    .all(|entry| original.entries.contains(entry) || entry.index >= 2)
            );
        }
    }
    for len in 0..200 {
        let noise: Vec<u8> = (0..len).map(|_| random.next().to_le_bytes()[1]).collect();
        assert!(Head::decode(&noise).is_none());
        assert!(Header::decode(&noise).is_err());
        assert_eq!(frame::blank_parts(&noise, random.below(4096)), 0);
    }
}
