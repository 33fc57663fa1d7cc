//! One log line: what it carries, and its text in etcd's two layouts.

use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::Value;
use time::{OffsetDateTime, UtcOffset};
use tracing::field::{Field, Visit};

use super::Format;
use super::severity::Severity;

/// A duration spelt as Go spells it (`1.5s`, `2m3.5s`, `310.2µs`), for the field `took` and the like.
#[derive(Clone, Copy, Debug)]
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            // Below a minute Rust and Go agree, except that Go has no unit for nothing.
            return if self.0.is_zero() { f.write_str("0s") } else { write!(f, "{:?}", self.0) };
        }
        let rest = Duration::new(seconds % 60, self.0.subsec_nanos());
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        // Go writes all units down to the second, and that one as a fraction only.
        let fraction = format!("{:09}", rest.subsec_nanos());
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        write!(f, "{minutes}m{}{dot}{fraction}s", rest.as_secs())
    }
}

/// What a line says, apart from when and how badly.
#[derive(Default)]
pub(super) struct Content {
    pub(super) message: String,
    pub(super) logger: Option<String>,
    pub(super) severity: Option<Severity>,
    /// The fields as JSON members, each preceded by a comma.
    pub(super) fields: String,
    pub(super) stacktrace: Option<String>,
}

impl Content {
    fn field(&mut self, name: &str, json: impl fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.fields, ",{}:{json}", quoted(name));
    }

    fn text(&mut self, name: &str, value: &str) {
        match name {
            "message" => self.message.push_str(value),
            "logger" => self.logger = Some(String::from(value)),
            "severity" => self.severity = Severity::parse(value),
            "stacktrace" => self.stacktrace = Some(String::from(value)),
            _ => self.field(name, quoted(value)),
        }
    }
}

impl Visit for Content {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.field(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.field(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // Infinities and NaN have no JSON number.
        self.field(field.name(), Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let list = text.starts_with('[').then(|| serde_json::from_str::<Vec<Value>>(&text));
        match list {
            // Written from what was parsed, so that nothing but valid JSON gets into the line.
            Some(Ok(list)) => self.field(field.name(), Value::Array(list)),
            _ => self.text(field.name(), &text),
        }
    }
}

/// Where a line comes from: the last two elements of the path, and the line number.
pub(super) fn caller(file: Option<&str>, line: Option<u32>) -> String {
    let file = file.unwrap_or("unknown");
    let start = file.rmatch_indices('/').nth(1).map_or(0, |(slash, _)| slash + 1);
    format!("{}:{}", file.get(start..).unwrap_or(file), line.unwrap_or(0))
}

/// The text of a line, with the line break.
pub(super) fn render(
    format: Format,
    severity: Severity,
    now: Duration,
    caller: &str,
    content: &Content,
) -> String {
    let (ts, level) = (timestamp(now), severity.name());
    let Content { message, logger, fields, stacktrace, .. } = content;
    let mut out = String::with_capacity(128 + message.len() + fields.len());
    let _ = match format {
        Format::Json => {
            let _ = write!(out, "{{\"level\":\"{level}\",\"ts\":\"{ts}\"");
            if let Some(logger) = logger {
                let _ = write!(out, ",\"logger\":{}", quoted(logger));
            }
            let _ =
                write!(out, ",\"caller\":{},\"msg\":{}{fields}", quoted(caller), quoted(message));
            if let Some(trace) = stacktrace {
                let _ = write!(out, ",\"stacktrace\":{}", quoted(trace));
            }
            writeln!(out, "}}")
        }
        Format::Console => {
            let _ = write!(out, "{ts}\t{level}\t");
            if let Some(logger) = logger {
                let _ = write!(out, "{logger}\t");
            }
            // A line break in a message would look like a line of its own.
            let _ = write!(out, "{caller}\t{}", message.replace(['\n', '\r'], " "));
            if let Some(fields) = fields.strip_prefix(',') {
                let _ = write!(out, "\t{{{}}}", spaced(fields));
            }
            if let Some(trace) = stacktrace {
                let _ = write!(out, "\n{trace}");
            }
            writeln!(out)
        }
    };
    out
}

/// JSON with a blank after each comma and colon, as etcd writes it for people.
fn spaced(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let (mut in_text, mut escaped) = (false, false);
    for c in json.chars() {
        out.push(c);
        match c {
            '"' if !escaped => in_text = !in_text,
            ',' | ':' if !in_text => out.push(' '),
            _ => {}
        }
        escaped = in_text && c == '\\' && !escaped;
    }
    out
}

/// Microseconds and the offset of the local time zone, `Z` when there is none.
fn timestamp(now: Duration) -> String {
    let t = local(now);
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    let (hour, minute, second, micro) = (t.hour(), t.minute(), t.second(), t.microsecond());
    let mut text =
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}");
    let offset = t.offset();
    if offset.is_utc() {
        text.push('Z');
    } else {
        let (hours, minutes, _) = offset.as_hms();
        let sign = if offset.is_negative() { '-' } else { '+' };
        let _ = write!(text, "{sign}{:02}{:02}", hours.unsigned_abs(), minutes.unsigned_abs());
    }
    text
}

/// The time since the epoch as a date in UTC.
pub(super) fn utc(now: Duration) -> OffsetDateTime {
    let nanos = i128::try_from(now.as_nanos()).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The same in the time zone of the process, or in UTC if that is not known.
pub(super) fn local(now: Duration) -> OffsetDateTime {
    let utc = utc(now);
    utc.to_offset(UtcOffset::local_offset_at(utc).unwrap_or(UtcOffset::UTC))
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelt_as_go_spells_them() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(310_200), "310.2µs"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_secs(60), "1m0s"),
            (Duration::from_millis(123_500), "2m3.5s"),
            (Duration::from_secs(7_205), "2h0m5s"),
        ];
        for (duration, text) in cases {
            assert_eq!(Took(duration).to_string(), text);
        }
    }

    #[test]
    fn json_for_people_has_blanks_between_its_parts_only() {
        let compact = r#""a,b":"c:\"d,e\\","list":["x","y"],"n":{"m":1}"#;
        let expected = r#""a,b": "c:\"d,e\\", "list": ["x", "y"], "n": {"m": 1}"#;
        assert_eq!(spaced(compact), expected);
    }

    #[test]
    fn a_caller_is_two_path_elements_long() {
        assert_eq!(caller(Some("src/server/start.rs"), Some(12)), "server/start.rs:12");
        assert_eq!(caller(Some("main.rs"), Some(1)), "main.rs:1");
        assert_eq!(caller(None, None), "unknown:0");
    }
}
