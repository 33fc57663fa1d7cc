//! Reading entries from segments, outside any lock, with their checksums verified.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::error::WalError;
use super::frame::{Head, Kind};
use super::map::{Map, Segment, Spot};
use super::types::Frame;

/// One system call reads at most this much, except for a single larger entry.
const RUN_BYTES: u64 = 1 << 20;

/// Neighbouring entries of one segment, read together.
pub(crate) struct Run {
    segment: Arc<Segment>,
    bytes: Range<u64>,
    entries: Vec<(u64, Spot)>,
}

/// Looks up where entries lie, to be read after the lock is released.
pub(crate) fn plan(map: &Map, range: Range<u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for index in range {
        let Some((segment, spot)) = map.find(index) else { continue };
        let bytes = spot.bytes();
        if let Some(run) = runs.last_mut()
            && run.segment.id == segment.id
            && bytes.end.saturating_sub(run.bytes.start) <= RUN_BYTES
        {
            run.bytes.end = bytes.end;
            run.entries.push((index, spot));
        } else {
            let segment = Arc::clone(segment);
            runs.push(Run { segment, bytes, entries: vec![(index, spot)] });
        }
    }
    runs
}

impl Run {
    /// Reads and checks the entries, and appends them to `out`.
    pub(crate) fn read(&self, out: &mut Vec<Frame>) -> Result<(), WalError> {
        let path = &self.segment.path;
        let len = usize::try_from(self.bytes.end - self.bytes.start).unwrap_or_default();
        let mut buffer = vec![0; len];
        let read = self.segment.file.read(&mut buffer, self.bytes.start);
        read.map_err(WalError::io("read", path))?;
        let buffer = Bytes::from(buffer);
        for (index, spot) in &self.entries {
            let frame = self.frame(&buffer, *index, *spot).ok_or_else(|| WalError::Damaged {
                segment: path.clone(),
                offset: spot.bytes().start,
                why: format!("entry {index} does not match its checksum"),
            })?;
            out.push(frame);
        }
        Ok(())
    }

    fn frame(&self, buffer: &Bytes, index: u64, spot: Spot) -> Option<Frame> {
        let bytes = spot.bytes();
        let from = usize::try_from(bytes.start.checked_sub(self.bytes.start)?).ok()?;
        let to = usize::try_from(bytes.end.checked_sub(self.bytes.start)?).ok()?;
        let whole = buffer.get(from..to)?;
        let head = Head::decode(whole)?;
        if head.kind != Kind::Entry || head.index != index || !head.belongs_to(self.segment.id) {
            return None;
        }
        let (id, payload) = head.body(whole)?;
        Some(Frame { index, id: buffer.slice_ref(id), payload: buffer.slice_ref(payload) })
    }
}
