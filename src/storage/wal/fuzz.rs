//! The log's decoders for hostile bytes.

use bytes::Bytes;

use super::extent::Extent;
use super::frame::{self, Content, Head, Kind, Stamp};
use super::header::{BLOCK, Header, Marks};
use super::types::{Frame, MIN_SEGMENT};
use super::{Wal, WalOptions, recover};
use crate::types::fuzz::{Seed, in_folder};

/// The first block of a segment, as it is and with its checksum made right: what reads as one is written
/// so that it reads the same.
pub(crate) fn header(bytes: &[u8]) {
    let block = bytes.get(..BLOCK).unwrap_or(bytes);
    let unfinished = Header::is_unfinished(block);
    if let Ok(header) = Header::decode(block) {
        assert!(!unfinished && header.encode() == block);
    }
    let mut sealed = block.to_vec();
    Header::seal(&mut sealed);
    if let Ok(header) = Header::decode(&sealed) {
        assert_eq!(Header::decode(&header.encode()).as_ref(), Ok(&header));
    }
}

/// One frame, as it is and with its checksums made right.
pub(crate) fn frame(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    frame::seal(&mut sealed);
    for bytes in [bytes, &sealed] {
        let Some(head) = Head::decode(bytes) else { continue };
        assert!(head.size() >= head.body_len as u64 && head.id_len <= head.body_len);
        let _ = (head.body(bytes), head.belongs_to(1));
    }
}

/// A log of one segment that holds these bytes, as they are and with all checksums made right.
pub(crate) fn segment(bytes: &[u8]) {
    open(bytes);
    let mut sealed = bytes.to_vec();
    let (block, mut frames) = sealed.split_at_mut(bytes.len().min(BLOCK));
    if let Some(block) = block.get_mut(..BLOCK) {
        Header::seal(block);
    }
    while let Some(size) = frame::seal(frames) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        frames = frames.split_at_mut_checked(size).map_or(&mut [], |(_, rest)| rest);
    }
    open(&sealed);
}

/// It opens or says what is damaged; what it opened with can be read and added to.
fn open(bytes: &[u8]) {
    in_folder(|folder| {
        if std::fs::write(folder.join(recover::segment_name(1)), bytes).is_err() {
            return;
        }
        let options = WalOptions {
            segment_bytes: MIN_SEGMENT,
            fsync: false,
            confirm_after: None,
            ..WalOptions::default()
        };
        if let Ok((wal, recovered)) = Wal::open(folder, options) {
            let next = recovered.last.map_or(recovered.first, |last| last.index + 1);
            let _ = wal.read(recovered.first..next);
            let frame = Frame { index: next, id: Bytes::new(), payload: Bytes::new() };
            let _ = (wal.append(vec![frame], |_| ()), wal.close());
        }
    });
}

/// A header, a frame, and a segment of both.
pub(crate) fn seeds() -> Vec<Seed> {
    let extent = Extent::default();
    let vote = Some(Bytes::from_static(&[7; 17]));
    let marks = Marks { extent, vote, committed: None };
    let size = MIN_SEGMENT;
    let header = Header { id: 1, size, unzeroed: false, first_seq: 1, marks }.encode();
    let mut frames = Vec::new();
    for (place, kind) in
        [Kind::Entry, Kind::Entry, Kind::Vote, Kind::Truncate].into_iter().enumerate()
    {
        let seq = place as u64 + 1;
        let offset = (BLOCK + frames.len()) as u64;
        let content = Content { kind, index: seq, id: &[1; 16], payload: b"payload" };
        frame::encode(&mut frames, offset, Stamp { seq, durable: seq - 1, segment: 1 }, content);
    }
    let mut segment = [header.clone(), frames.clone()].concat();
    segment.resize(size as usize, 0);
    vec![
        Seed::new("wal_header", "vote", header),
        Seed::new("wal_frame", "entry", frames),
        Seed::new("wal_segment", "four_frames", segment),
    ]
}
