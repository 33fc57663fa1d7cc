//! How Go spells and reads numbers, durations and quoted text: scripts know these forms.

use std::fmt::Write as _;
use std::time::Duration;

/// A text in double quotes as Go's `%q` writes it; bytes that are not UTF-8 become `\x..`.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_quoted(&mut out, character);
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail, here and below.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn push_quoted(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        shown if is_printable(shown) => out.push(shown),
        hidden => {
            let code = u32::from(hidden);
            let _ = match code {
                0..=0x7f => write!(out, "\\x{code:02x}"),
                0x80..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// Reads a quoted text at the beginning as Go's `%q` scans it: in double quotes with escapes, or in
/// backquotes without. Hands back the text and what stands behind it; `None` if there is none. Bytes
/// that are not UTF-8 stay as they are, where Go would replace them.
pub(crate) fn scan_quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (quote, mut rest) = text.split_first()?;
    if *quote == b'`' {
        let end = rest.iter().position(|byte| *byte == b'`')?;
        let (raw, after) = rest.split_at(end);
        return Some((raw.to_vec(), after.get(1..)?));
    }
    if *quote != b'"' {
        return None;
    }
    let mut out = Vec::new();
    loop {
        let (first, after) = rest.split_first()?;
        rest = match first {
            b'"' => return Some((out, after)),
            b'\\' => unescape(after, &mut out)?,
            other => {
                out.push(*other);
                after
            }
        };
    }
}

/// Adds what an escape stands for; `text` begins behind its backslash. Hands back the rest.
fn unescape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (letter, rest) = text.split_first()?;
    let (digits, radix) = match letter {
        b'x' => (2, 16),
        b'u' => (4, 16),
        b'U' => (8, 16),
        b'0'..=b'7' => (3, 8),
        plain => {
            out.push(match plain {
                b'a' => 0x07,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                b'\\' | b'"' => *plain,
                _ => return None,
            });
            return Some(rest);
        }
    };
    // Octal digits have no letter in front of them.
    let (code, rest) = if radix == 8 { text } else { rest }.split_at_checked(digits)?;
    let code = std::str::from_utf8(code).ok().filter(|code| !code.starts_with('+'))?;
    let code = u32::from_str_radix(code, radix).ok()?;
    if digits < 4 {
        out.push(u8::try_from(code).ok()?);
    } else {
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(rest)
}

/// A lease as etcdctl prints it: sixteen hex digits.
pub(crate) fn hex_id(id: i64) -> String {
    let sign = if id < 0 { "-" } else { "" };
    // Go counts the sign among the sixteen.
    format!("{sign}{:0width$x}", id.unsigned_abs(), width = 16 - sign.len())
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space, by Unicode's categories.
fn is_printable(character: char) -> bool {
    // The standard library knows the categories only through its own quoting. It also quotes a mark
    // that has nothing to sit on, hence the letter in front, and these three, which Go leaves alone.
    let mut with_base = String::from("x");
    with_base.push(character);
    matches!(character, '\'' | '"' | '\\') || with_base.escape_debug().eq(with_base.chars())
}

/// A duration as Go prints it: `3.348641ms`, `1m0.5s`, `0s`.
pub(crate) fn duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos, 1_000_000)),
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` with as many decimals as it takes and no trailing zeros; `unit` is a power of ten.
fn fraction(value: u128, unit: u128) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let text = format!("{whole}.{rest:0digits$}");
    text.trim_end_matches('0').to_owned()
}

/// Reads a duration as Go does: `300ms`, `1.5h`, `2h45m`.
///
/// # Errors
/// Go's own words.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", quote(text.as_bytes()));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() || rest.starts_with('-') {
        return Err(invalid());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => {
                let text = quote(text.as_bytes());
                return Err(format!("time: missing unit in duration {text}"));
            }
            other => {
                let (unit, text) = (quote(other.as_bytes()), quote(text.as_bytes()));
                return Err(format!("time: unknown unit {unit} in duration {text}"));
            }
        };
        total += number * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

/// Reads a 64-bit integer; base 0 means that a prefix such as `0x` decides.
///
/// # Errors
/// Go's own words.
pub(crate) fn parse_int(text: &str, base: u32) -> Result<i64, String> {
    let fault = |why| format!("strconv.ParseInt: parsing {}: {why}", quote(text.as_bytes()));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, base) = if base == 0 { prefixed(digits) } else { (digits, base) };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err(fault("invalid syntax"));
    }
    let value = i128::from_str_radix(digits, base).map_err(|_| fault("value out of range"))?;
    let value = if negative { -value } else { value };
    i64::try_from(value).map_err(|_| fault("value out of range"))
}

/// Reads an unsigned 64-bit integer.
///
/// # Errors
/// Go's own words.
pub(crate) fn parse_uint(text: &str, base: u32) -> Result<u64, String> {
    let fault = |why| format!("strconv.ParseUint: parsing {}: {why}", quote(text.as_bytes()));
    if text.is_empty() || !text.chars().all(|digit| digit.is_digit(base)) {
        return Err(fault("invalid syntax"));
    }
    u64::from_str_radix(text, base).map_err(|_| fault("value out of range"))
}

fn prefixed(digits: &str) -> (&str, u32) {
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    match lower.as_deref() {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        _ if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    }
}

/// Reads a truth value.
///
/// # Errors
/// Go's own words.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        let bytes = b"k\x01\xff\xc3\xa9\n\"\\\t\xe2\x80\x8b\xe6\x97\xa5\xc2\xa0\xcc\x81'\x7f";
        assert_eq!(quote(bytes), "\"k\\x01\\xffé\\n\\\"\\\\\\t\\u200b日\\u00a0\u{301}'\\x7f\"");
    }

    #[test]
    fn quoted_texts_are_scanned_as_go_scans_them() {
        let scan = |text: &str| {
            let (out, rest) = scan_quoted(text.as_bytes())?;
            Some((out, String::from_utf8_lossy(rest).into_owned()))
        };
        let all = r#""a\tb\"\x00\377\u00e9\U0001F600\\" rest"#;
        assert_eq!(
            scan(all),
            Some((
                "a\tb\"\0".bytes().chain([0xff]).chain("é😀\\".bytes()).collect(),
                " rest".into()
            ))
        );
        assert_eq!(scan("`a\\n`)"), Some((b"a\\n".to_vec(), ")".into())));
        for bad in [
            "",
            "a",
            "'a'",
            "\"open",
            "`open",
            r#""\q""#,
            r#""\x+1""#,
            r#""\400""#,
            r#""\ud800""#,
            r#""\'""#,
        ] {
            assert_eq!(scan(bad), None, "{bad}");
        }
        let text = b"k\x01\xff\xc3\xa9\n\"\\\t";
        assert_eq!(scan_quoted(quote(text).as_bytes()), Some((text.to_vec(), &b""[..])));
        assert_eq!(
            (hex_id(0x1234), hex_id(-5)),
            ("0000000000001234".into(), "-000000000000005".into())
        );
    }

    #[test]
    fn durations_print_and_parse_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (3_348_641, "3.348641ms"),
            (1_000_511_072, "1.000511072s"),
            (60_500_000_000, "1m0.5s"),
            (7_200_000_000_000, "2h0m0s"),
        ] {
            let value = Duration::from_nanos(nanos);
            assert_eq!(duration(value), text);
            assert_eq!(parse_duration(text), Ok(value));
        }
        assert_eq!(parse_duration("x"), Err("time: invalid duration \"x\"".into()));
        assert_eq!(parse_duration("5"), Err("time: missing unit in duration \"5\"".into()));
        assert_eq!(parse_duration("5y"), Err("time: unknown unit \"y\" in duration \"5y\"".into()));
    }

    #[test]
    fn integers_parse_as_in_go() {
        assert_eq!(parse_int("-0x10", 0), Ok(-16));
        assert_eq!(parse_int("ff", 16), Ok(255));
        assert_eq!(parse_int("-8000000000000000", 16), Ok(i64::MIN));
        let range = "strconv.ParseInt: parsing \"99999999999999999999\": value out of range";
        assert_eq!(parse_int("99999999999999999999", 0), Err(range.into()));
        let syntax = "strconv.ParseInt: parsing \"\": invalid syntax";
        assert_eq!(parse_int("", 16), Err(syntax.into()));
        assert_eq!(parse_bool("T"), Ok(true));
        assert!(parse_bool("maybe").is_err());
    }
}
