//! The envelope around private keys (PKCS#8): older tools write keys without it, and the library wants RSA
//! keys without it.

/// What stands in an envelope before the key: of which kind it is.
pub(super) const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// An ECDSA key of the curve P-256.
pub(super) const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// An ECDSA key of the curve P-384.
pub(super) const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
/// The version, zero.
const VERSION: &[u8] = &[0x02, 0x01, 0x00];

/// Puts a key into its envelope.
pub(super) fn envelope(kind: &[u8], key: &[u8]) -> Vec<u8> {
    let mut inner = Vec::with_capacity(key.len() + 64);
    inner.extend_from_slice(VERSION);
    inner.extend_from_slice(kind);
    write(&mut inner, OCTETS, key);
    let mut whole = Vec::with_capacity(inner.len() + 8);
    write(&mut whole, SEQUENCE, &inner);
    zeroize::Zeroize::zeroize(&mut inner);
    whole
}

/// The key inside of an envelope.
pub(super) fn inner_key(envelope: &[u8]) -> Option<&[u8]> {
    let (_, content, _) = read(envelope)?;
    let (_, _version, rest) = read(content)?;
    let (_, _kind, rest) = read(rest)?;
    let (tag, key, _) = read(rest)?;
    (tag == OCTETS).then_some(key)
}

fn write(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        let bytes = bytes.get(significant..).unwrap_or_default();
        out.push(0x80 | bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(content);
}

/// Tag, content and what follows.
fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long & 0x7f)?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256).map(|length| length + usize::from(*digit))
            })?;
            (length, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_an_envelope_comes_out_again() {
        for length in [0, 1, 100, 127, 128, 255, 256, 70_000] {
            let key = vec![7; length];
            assert_eq!(inner_key(&envelope(RSA, &key)), Some(&key[..]), "{length}");
        }
        for cut in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert_eq!(inner_key(cut), None, "{cut:?}");
        }
    }
}
