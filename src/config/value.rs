//! From the text of a setting to its value and back.

use figment::value::Value;

use super::golang::{self, NumberError};
use super::table::{self, Kind, Setting, Stage};
use crate::types::url::{Url, UrlError};

/// Reads a text by its kind; the error is the reason etcd gives.
pub(super) fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Bool | Kind::Gate(_) => {
            golang::boolean(text).map(Value::from).ok_or_else(|| "parse error".into())
        }
        Kind::Uint(bits) => unsigned(bits, text).map(Value::from),
        Kind::Int => golang::integer(text)
            .and_then(|number| i64::try_from(number).map_err(|_| NumberError::Range))
            .map(Value::from)
            .map_err(|error| number_reason(error).to_owned()),
        Kind::Duration => golang::duration(text).map(Value::from).map_err(|_| "parse error".into()),
        Kind::Text | Kind::Secret => Ok(Value::from(text)),
        Kind::List => Ok(Value::from(words(text))),
        Kind::Urls => urls(text).map(Value::from),
        Kind::Origins if text.trim() == "*" => Ok(Value::from(words(text))),
        Kind::Origins if text.is_empty() => Err(UrlError::Scheme(String::new()).to_string()),
        Kind::Origins => urls(text).map(Value::from),
        Kind::Choice(known) if known.contains(&text) => Ok(Value::from(text)),
        // The one enumeration whose reason repeats the word.
        Kind::Choice(known) if known.contains(&"gone") => Err(format!("invalid value {text:?}")),
        Kind::Choice(_) => Err("invalid value".into()),
        Kind::Gates => gates(text).map(|_| Value::from(text)),
        Kind::Relic => Ok(Value::from("given")),
    }
}

const fn number_reason(error: NumberError) -> &'static str {
    match error {
        NumberError::Syntax => "parse error",
        NumberError::Range => "value out of range",
    }
}

fn unsigned(bits: u32, text: &str) -> Result<u64, String> {
    let limit = u64::MAX >> 64_u32.saturating_sub(bits);
    let number = golang::unsigned(text)
        .and_then(|number| u64::try_from(number).map_err(|_| NumberError::Range))
        .and_then(|number| if number > limit { Err(NumberError::Range) } else { Ok(number) });
    number.map_err(|error| match (bits, error) {
        (64, error) => number_reason(error).into(),
        (_, NumberError::Syntax) => format!("strconv.ParseUint: parsing {text:?}: invalid syntax"),
        (_, NumberError::Range) => {
            format!("strconv.ParseUint: parsing {text:?}: value out of range")
        }
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// URLs in canonical form, sorted and without doubles; no text is no URL.
fn urls(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let urls = Url::parse_list(text).map_err(|error| error.to_string())?;
    let mut texts: Vec<String> = urls.iter().map(ToString::to_string).collect();
    texts.dedup();
    Ok(texts)
}

/// The gates a `Name=true,…` text sets. `AllAlpha` and `AllBeta` stand for every gate of their
/// stage that the text does not name.
pub(super) fn gates(text: &str) -> Result<Vec<(&'static Setting, bool)>, String> {
    let mut named: Vec<(&'static Setting, bool)> = Vec::new();
    let mut stages: Vec<(Stage, bool)> = Vec::new();
    for word in words(text) {
        let (name, value) =
            word.split_once('=').ok_or_else(|| format!("missing bool value for {word}"))?;
        let (name, value) = (name.trim(), value.trim());
        let stage = match name {
            "AllAlpha" => Some(Stage::Alpha),
            "AllBeta" => Some(Stage::Beta),
            _ => None,
        };
        let gate = table::named(name).filter(|setting| !setting.has_flag());
        if stage.is_none() && gate.is_none() {
            return Err(format!("unrecognized feature gate: {name}"));
        }
        let on = golang::boolean(value).ok_or_else(|| {
            format!(
                "invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: \
                 invalid syntax"
            )
        })?;
        stages.extend(stage.map(|stage| (stage, on)));
        named.extend(gate.map(|gate| (gate, on)));
    }
    let mut all: Vec<(&'static Setting, bool)> = Vec::new();
    for (stage, on) in stages {
        let members = table::all().filter(|setting| setting.kind == Kind::Gate(stage));
        all.extend(members.map(|gate| (gate, on)));
    }
    all.extend(named);
    Ok(all)
}

/// Prints a value the way a flag would take it.
pub(super) fn show(setting: &Setting, value: &Value) -> String {
    match (setting.kind, value) {
        (Kind::Secret, Value::String(_, text)) if !text.is_empty() => "(hidden)".into(),
        (Kind::Duration, Value::Num(..)) => {
            let nanoseconds = value.to_i128().and_then(|number| i64::try_from(number).ok());
            golang::show_duration(nanoseconds.unwrap_or_default())
        }
        (_, Value::String(_, text)) => text.clone(),
        (_, Value::Bool(_, on)) => on.to_string(),
        (_, Value::Num(..)) => value.to_u128().map_or_else(
            || value.to_i128().unwrap_or_default().to_string(),
            |number| number.to_string(),
        ),
        (_, Value::Array(_, items)) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_can_be_read_and_prints_as_it_is_spelt() {
        for setting in table::all().filter(|setting| setting.kind != Kind::Relic) {
            let value = parse(setting.kind, setting.default);
            assert!(value.is_ok(), "{}: {value:?}", setting.name);
            if let Ok(value) = value {
                assert_eq!(show(setting, &value), setting.default, "{}", setting.name);
            }
        }
    }

    #[test]
    fn reasons_are_those_of_etcd() {
        let gone = Kind::Choice(&["not-yet", "gone"]);
        for (kind, text, reason) in [
            (Kind::Bool, "maybe", "parse error"),
            (Kind::Uint(64), "abc", "parse error"),
            (Kind::Uint(64), "-1", "parse error"),
            (Kind::Uint(64), "99999999999999999999999", "value out of range"),
            (Kind::Uint(32), "x", "strconv.ParseUint: parsing \"x\": invalid syntax"),
            (
                Kind::Uint(32),
                "99999999999",
                "strconv.ParseUint: parsing \"99999999999\": value out of range",
            ),
            (Kind::Int, "1.5", "parse error"),
            (Kind::Duration, "5", "parse error"),
            (Kind::Duration, "5y", "parse error"),
            (Kind::Choice(&["new"]), "foo", "invalid value"),
            (gone, "x", "invalid value \"x\""),
            (Kind::Urls, "foo", "URL scheme must be http, https, unix, or unixs: foo"),
            (
                Kind::Origins,
                "http://foo",
                "URL address does not have the form \"host:port\": http://foo",
            ),
            (Kind::Gates, "LeaseCheckpoint", "missing bool value for LeaseCheckpoint"),
            (Kind::Gates, "Nope=true", "unrecognized feature gate: Nope"),
            (Kind::Gates, "name=true", "unrecognized feature gate: name"),
            (
                Kind::Gates,
                "LeaseCheckpoint=x",
                "invalid value of LeaseCheckpoint=x, err: strconv.ParseBool: parsing \"x\": \
                 invalid syntax",
            ),
        ] {
            assert_eq!(parse(kind, text).map(|_| ()), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn url_lists_are_sorted_without_doubles_and_may_be_empty() {
        assert_eq!(
            urls("http://b:1, http://a:1,http://b:1"),
            Ok(vec!["http://a:1".into(), "http://b:1".into()])
        );
        assert_eq!(urls(""), Ok(Vec::new()));
        assert!(urls("http://a:1,").is_err());
    }

    #[test]
    fn a_named_gate_wins_over_its_stage() {
        let set = gates("LeaseCheckpoint=false,AllAlpha=true").unwrap_or_default();
        let last =
            |name: &str| set.iter().rev().find(|(gate, _)| gate.name == name).map(|(_, on)| *on);
        assert_eq!(last("LeaseCheckpoint"), Some(false));
        assert_eq!(last("CompactHashCheck"), Some(true));
        assert_eq!(last("FastLeaseKeepAlive"), None);
    }
}
