//! Where HTTP/2 frames begin and end in bytes that come in pieces.

/// Bytes a client begins with that are no frame.
const PREFACE: usize = 24;

/// What comes before each frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// Finds frames in bytes that come in pieces.
#[derive(Default)]
pub(super) struct Frames {
    /// Bytes of the payload still to come.
    skip: usize,
    /// A header of which only the beginning came.
    head: [u8; 9],
    have: usize,
}

impl Frames {
    /// Those of a client, which begins with some bytes that are no frame.
    pub(super) fn after_preface() -> Self {
        Self { skip: PREFACE, ..Self::default() }
    }

    /// Reads on; tells of every frame whose header is complete.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut see: impl FnMut(Head)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let wanted = self.head.len() - self.have;
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            for byte in part {
                self.head[self.have] = *byte;
                self.have += 1;
            }
            if self.have == self.head.len() {
                let [a, b, c, kind, flags, s @ ..] = self.head;
                let stream = u32::from_be_bytes(s) & (u32::MAX >> 1);
                (self.skip, self.have) = (u32::from_be_bytes([0, a, b, c]) as usize, 0);
                see(Head { kind, flags, stream });
            }
        }
    }

    /// Whether a frame is under way.
    pub(super) fn is_inside(&self) -> bool {
        self.at_most() > 0
    }

    /// How many bytes may follow without beginning another frame.
    pub(super) fn at_most(&self) -> usize {
        if self.have > 0 { self.head.len() - self.have } else { self.skip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u8, flags: u8, stream: u32) -> Head {
        Head { kind, flags, stream }
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let bytes = [
            &[0; PREFACE][..],
            b"\0\0\x05\x01\x04\0\0\0\x01\x06\x06\x06\x06\x06",
            b"\0\0\0\0\x01\0\0\0\x01",
            b"\0\0\x08\x06\0\0\0\0\0pingping",
            b"\0\0\x01\x09\0\x80\0\0\x03x",
        ]
        .concat();
        for piece in 1..=bytes.len() {
            let (mut frames, mut seen) = (Frames::after_preface(), Vec::new());
            for part in bytes.chunks(piece) {
                frames.read(part, |frame| seen.push(frame));
            }
            let expected = [head(1, 4, 1), head(0, 1, 1), head(6, 0, 0), head(9, 0, 3)];
            assert_eq!(seen, expected, "in pieces of {piece}");
            assert!(!frames.is_inside());
        }
    }

    #[test]
    fn the_rest_of_a_frame_is_known_once_its_header_is() {
        let mut frames = Frames::default();
        for (byte, rest) in b"\0\0\x02\0\0\0\0\0\x01ab".iter().zip((0..11).rev()) {
            frames.read(&[*byte], |_| ());
            let left = if rest > 2 { rest - 2 } else { rest };
            assert_eq!((frames.at_most(), frames.is_inside()), (left, left > 0));
        }
    }
}
