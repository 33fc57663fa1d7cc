//! Bytes as text, two digits each.

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes behind a text of hex digits, upper or lower case; none if it is anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(hex(&bytes[..3]), "000102");
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex("aF"), Some(vec![0xaf]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for bad in ["0", "0g", "+1", "\u{e9}"] {
            assert_eq!(unhex(bad), None, "{bad:?}");
        }
    }
}
