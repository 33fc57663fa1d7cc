//! Numbers, booleans and durations as Go's standard library reads and prints them, because every
//! etcd configuration in the world is written in them.

use std::fmt::Write as _;

/// Why a text is not a number; the texts are those Go programs print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Not a number at all.
    Syntax,
    /// A number that does not fit.
    Range,
}

/// `1 t T TRUE true True` and their opposites.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// An integer with an optional sign in Go's base-0 syntax: `0x`, `0o`, `0b`, a leading zero for
/// octal, underscores between digits.
pub(super) fn integer(text: &str) -> Result<i128, NumberError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = unsigned(digits)?;
    let value = i128::try_from(magnitude).map_err(|_| NumberError::Range)?;
    Ok(if negative { -value } else { value })
}

/// An integer without sign in the same syntax.
pub(super) fn unsigned(text: &str) -> Result<u128, NumberError> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits, prefixed) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest, true)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest, true)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..], true)
    } else {
        (10, lower.as_str(), false)
    };
    let mut previous_is_digit = prefixed;
    let mut seen = false;
    let mut value: u128 = 0;
    let mut overflow = false;
    for byte in digits.chars() {
        if byte == '_' {
            if !previous_is_digit {
                return Err(NumberError::Syntax);
            }
            previous_is_digit = false;
            continue;
        }
        let digit = byte.to_digit(radix).ok_or(NumberError::Syntax)?;
        (previous_is_digit, seen) = (true, true);
        match value.checked_mul(radix.into()).and_then(|value| value.checked_add(digit.into())) {
            Some(next) => value = next,
            None => overflow = true,
        }
    }
    match (seen && previous_is_digit, overflow) {
        (false, _) => Err(NumberError::Syntax),
        (true, true) => Err(NumberError::Range),
        (true, false) => Ok(value),
    }
}

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration such as `1h30m`, `-1.5s` or `0`, in nanoseconds; the error is the sentence Go says.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| !c.is_ascii_digit() && c != '.');
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let scale = UNITS
            .iter()
            .find_map(|(name, scale)| (*name == unit).then_some(*scale))
            .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        let part = scaled(whole, fraction, scale).ok_or_else(invalid)?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// `whole.fraction` units in nanoseconds; digits finer than a nanosecond are dropped.
fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    total = total.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.chars() {
        unit /= 10;
        total = total.checked_add(unit.checked_mul(digit.to_digit(10)?.into())?)?;
    }
    Some(total)
}

/// Prints nanoseconds the way Go does: `2h0m0s`, `1.5s`, `100ms`, `0s`.
pub(super) fn show_duration(nanoseconds: i64) -> String {
    let magnitude = nanoseconds.unsigned_abs();
    let mut out = String::new();
    if nanoseconds < 0 {
        out.push('-');
    }
    let decimal = |out: &mut String, unit: u64, name: &str| {
        let _ = write!(out, "{}", magnitude_in(magnitude, unit));
        out.push_str(name);
    };
    match magnitude {
        0 => out.push_str("0s"),
        1..=999 => decimal(&mut out, 1, "ns"),
        1_000..=999_999 => decimal(&mut out, 1_000, "µs"),
        1_000_000..=999_999_999 => decimal(&mut out, 1_000_000, "ms"),
        _ => {
            let minutes = magnitude / 60_000_000_000;
            if minutes >= 60 {
                let _ = write!(out, "{}h", minutes / 60);
            }
            if minutes > 0 {
                let _ = write!(out, "{}m", minutes % 60);
            }
            let _ = write!(out, "{}s", magnitude_in(magnitude % 60_000_000_000, 1_000_000_000));
        }
    }
    out
}

fn magnitude_in(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    let fraction = if width == 0 { "" } else { fraction.trim_end_matches('0') };
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}", value / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_follow_base_zero() {
        for (text, value) in [
            ("0", 0),
            ("10", 10),
            ("-10", -10),
            ("+3", 3),
            ("0x10", 16),
            ("0X1f", 31),
            ("010", 8),
            ("0o17", 15),
            ("0b101", 5),
            ("1_000", 1_000),
            ("0x_ff", 255),
        ] {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
        for text in ["", "-", "08", "0x", "1__0", "_1", "1_", "1.5", "1e3", " 1", "--1"] {
            assert_eq!(integer(text), Err(NumberError::Syntax), "{text}");
        }
        assert_eq!(integer(&"9".repeat(60)), Err(NumberError::Range));
        assert_eq!(unsigned("+1"), Err(NumberError::Syntax));
    }

    #[test]
    fn durations_are_read_and_printed_like_go() {
        for (text, nanoseconds, shown) in [
            ("0", 0, "0s"),
            ("100ms", 100_000_000, "100ms"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("2h", 7_200_000_000_000, "2h0m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5s", 500_000_000, "500ms"),
            ("1.5us", 1_500, "1.5µs"),
            ("-5s", -5_000_000_000, "-5s"),
            ("7ns", 7, "7ns"),
        ] {
            assert_eq!(duration(text), Ok(nanoseconds), "{text}");
            assert_eq!(show_duration(nanoseconds), shown, "{text}");
        }
    }

    #[test]
    fn bad_durations_are_named_like_go_names_them() {
        for (text, message) in [
            ("", "time: invalid duration \"\""),
            ("x", "time: invalid duration \"x\""),
            (".s", "time: invalid duration \".s\""),
            ("5", "time: missing unit in duration \"5\""),
            ("-1", "time: missing unit in duration \"-1\""),
            ("5y", "time: unknown unit \"y\" in duration \"5y\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
        ] {
            assert_eq!(duration(text), Err(message.to_owned()), "{text}");
        }
    }
}
