//! The decoders of the data directory and of the state database's own files for hostile bytes.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::format::{self, Phase};
use super::{generations, journal, verify};
use crate::types::fuzz::{Seed, in_folder};

/// The small files: what reads as a header is written the same; the others hold a number and a checksum.
pub(crate) fn format(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(phase) = format::decode(Path::new("header"), &text) {
        assert_eq!(format::decode(Path::new("header"), &format::encode(&phase)).ok(), Some(phase));
    }
    if let Some(number) = generations::read_current(&text) {
        assert_eq!(generations::current_text(number), text);
    }
    // The manifest it names is not there.
    assert!(verify::manifest(Path::new("/nowhere"), "current".into(), bytes).is_err());
}

/// A journal as the newest one, which is whole once it was mended, and as an older one, which is whole
/// or damaged.
pub(crate) fn journal(bytes: &[u8]) {
    in_folder(|folder| {
        let older = folder.join("1.jnl");
        if std::fs::write(&older, bytes).is_err() {
            return;
        }
        let mended = journal::mend(folder).is_ok();
        if mended {
            assert!(matches!(journal::mend(folder), Ok(None)), "mended twice");
        }
        let newest = std::fs::write(folder.join("2.jnl"), []);
        assert!(newest.is_err() || journal::mend(folder).is_ok_and(|cut| cut.is_none()) == mended);
    });
}

pub(crate) fn seeds() -> Vec<Seed> {
    let header = |phase| format::encode(&phase).into_bytes();
    let pointer = [&7_u64.to_le_bytes()[..], &[1; 16], &[0]].concat();
    let mut torn = [batch(3, &[item()]), batch(4, &[item(), clear()])].concat();
    let whole = [torn.clone(), vec![0; 64]].concat();
    torn.truncate(torn.len() - 30);
    vec![
        Seed::new("data_dir", "starting", header(Phase::Starting)),
        Seed::new("data_dir", "started", header(Phase::Started(b"member=1 cluster=2".to_vec()))),
        Seed::new("data_dir", "current", generations::current_text(12).into_bytes()),
        Seed::new("data_dir", "pointer", pointer),
        Seed::new("journal", "two_batches", whole),
        Seed::new("journal", "torn", torn),
    ]
}

/// A batch as the state database writes it.
fn batch(number: u64, items: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(items.len()).unwrap_or_default();
    let items = items.concat();
    let sum = xxh3_64(&items).to_le_bytes();
    let start = [&[1][..], &count.to_le_bytes(), &number.to_le_bytes()].concat();
    [&start[..], &items, &[3], &sum, b"FJL\x03"].concat()
}

fn item() -> Vec<u8> {
    let head = [&[2, 0, 0][..], &1_u64.to_le_bytes(), &3_u16.to_le_bytes()].concat();
    [&head[..], &5_u32.to_le_bytes(), &5_u32.to_le_bytes(), b"keyvalue"].concat()
}

fn clear() -> Vec<u8> {
    [&[4][..], &1_u64.to_le_bytes()].concat()
}
