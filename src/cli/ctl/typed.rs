//! Typed lines taken apart, in the interactive modes of `txn` and `watch`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::failure::{Exit, Failure};
use crate::cli::go;

/// The words of a line, with blanks between them: bare ones, ones in double quotes with Go's
/// escapes, ones in single quotes as they stand. A quote that is never closed is passed over, as
/// the original does.
///
/// # Errors
/// If an escape is none, in Go's words.
pub(super) fn words(line: &[u8]) -> Result<Vec<OsString>, Failure> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        let quoted = match first {
            b'"' => closing(after).map(|end| rest.split_at(end + 2)),
            b'\'' => after.iter().position(|byte| *byte == b'\'').map(|end| rest.split_at(end + 2)),
            _ => None,
        };
        rest = match quoted {
            Some((word, after)) if *first == b'"' => {
                let invalid = || Failure::new(Exit::InvalidInput, "invalid syntax");
                words.push(go::scan_quoted(word).ok_or_else(invalid)?.0);
                after
            }
            Some((word, after)) => {
                words.push(word.get(1..word.len() - 1).unwrap_or_default().to_vec());
                after
            }
            None if is_blank(*first) || matches!(first, b'"' | b'\'') => after,
            None => {
                let end = rest.iter().position(|byte| is_blank(*byte)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                words.push(word.to_vec());
                after
            }
        };
    }
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

/// Where the double quote stands that ends a text; what follows a backslash ends nothing.
fn closing(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_the_original_splits_them() {
        let split = |line: &str| words(line.as_bytes()).unwrap();
        assert_eq!(split(r#" put "a \"b\n" 'c\n d'  e "#), ["put", "a \"b\n", "c\\n d", "e"]);
        assert_eq!(split("\"open word"), ["open", "word"], "a quote alone is passed over");
        assert_eq!(split("a\"b c\" \"d\"e '' \"\""), ["a\"b", "c\"", "d", "e", "", ""]);
        assert!(split("  ").is_empty());
        let bad = words(br#"put a "bad\q""#).unwrap_err();
        assert_eq!(
            (bad.exit, bad.message.unwrap().as_str()),
            (Exit::InvalidInput, "invalid syntax")
        );
        assert_eq!(words(b"\"\\xff\" \xff").unwrap().len(), 2, "bytes need not be text");
    }
}
