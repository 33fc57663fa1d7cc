//! Sequential reading of a segment with little memory.

use super::disk::DiskFile;
use super::error::WalError;
use super::map::Segment;

/// Large enough that system calls do not count, small enough for small machines.
const STEP: u64 = 1 << 20;

/// A sliding view of a segment file.
pub(crate) struct Window<'a> {
    segment: &'a Segment,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(segment: &'a Segment) -> Self {
        Self { segment, offset: 0, buffer: Vec::new() }
    }

    /// Up to `len` bytes from `offset` on, fewer only at the end of the segment.
    pub(crate) fn bytes(&mut self, offset: u64, len: u64) -> Result<&[u8], WalError> {
        let end = offset.saturating_add(len).min(self.segment.size);
        let held = self.offset..self.offset + self.buffer.len() as u64;
        if offset < held.start || end > held.end {
            let want = len.max(STEP).min(self.segment.size.saturating_sub(offset));
            self.buffer.resize(usize::try_from(want).unwrap_or(usize::MAX), 0);
            self.offset = offset;
            let file: &dyn DiskFile = self.segment.file.as_ref();
            file.read(&mut self.buffer, offset)
                .map_err(WalError::io("read", &self.segment.path))?;
        }
        let from = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
        let to = usize::try_from(end.saturating_sub(self.offset)).unwrap_or_default();
        Ok(self.buffer.get(from..to).unwrap_or_default())
    }

    /// End of the last byte that is not zero, looking no further back than `from`.
    pub(crate) fn used_end(&mut self, from: u64) -> Result<u64, WalError> {
        let (mut offset, mut used) = (from, from);
        while offset < self.segment.size {
            let chunk = self.bytes(offset, STEP)?;
            if !super::frame::is_zero(chunk) {
                let last = chunk.iter().rposition(|byte| *byte != 0).unwrap_or_default();
                used = offset + last as u64 + 1;
            }
            offset += chunk.len().max(1) as u64;
        }
        Ok(used)
    }
}
