//! What a watch was asked for: on the command line, in the environment, or typed.

use std::ffi::OsString;

use bytes::Bytes;

use super::commands::WATCH;
use super::failure::Failure;
use super::flags::{self, Flag, Parsed, Values};
use super::kv::{bytes, open_range};
use super::session::Environment;
use crate::proto::etcdserverpb::WatchCreateRequest;

/// One watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) request: WatchCreateRequest,
    /// The command to run for each event; nothing when there is none.
    pub(super) command: Vec<OsString>,
}

/// The key and its end from the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Preset {
    key: String,
    end: String,
}

const NUMBER: &str = "bad number of arguments";

impl Preset {
    /// Where they are read from.
    pub(super) const VARIABLES: [&'static str; 2] =
        ["ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"];

    pub(super) fn read(environment: &Environment) -> Result<Self, Failure> {
        let get = |name: &str| environment.get(name).cloned().unwrap_or_default();
        let preset = Self { key: get("ETCDCTL_WATCH_KEY"), end: get("ETCDCTL_WATCH_RANGE_END") };
        if preset.key.is_empty() && !preset.end.is_empty() {
            let end = crate::cli::go::quote(preset.end.as_bytes());
            let text = format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end}");
            return Err(Failure::bad_args(text));
        }
        Ok(preset)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.key.is_empty()
    }
}

/// What the arguments of the command line, or of a typed line, ask for.
pub(super) fn wanted(parsed: &Parsed, preset: &Preset) -> Result<Wanted, Failure> {
    let all = &parsed.arguments;
    let (keys, command) = match parsed.before_dashes {
        Some(place) if place == all.len() => {
            let text = format!("{NUMBER} (found separator --, but no commands)");
            return Err(Failure::bad_args(text));
        }
        Some(place) => all.split_at(place),
        None => (all.as_slice(), &[][..]),
    };
    let (key, end) = match (keys, preset.is_empty()) {
        ([], true) => return Err(Failure::bad_args(NUMBER)),
        ([], false) => {
            let end = Some(&preset.end).filter(|end| !end.is_empty());
            (Bytes::from(preset.key.clone()), end.map(|end| Bytes::from(end.clone())))
        }
        (_, false) => {
            let text = format!("{NUMBER} (found conflicting environment key)");
            return Err(Failure::bad_args(text));
        }
        ([key, end], true) => (bytes(key), Some(bytes(end))),
        ([key, ..], true) => (bytes(key), None),
    };
    let request = request(&parsed.values, key, end)?;
    Ok(Wanted { request, command: command.to_vec() })
}

fn request(values: &Values, key: Bytes, end: Option<Bytes>) -> Result<WatchCreateRequest, Failure> {
    let prefix = values.on("prefix");
    let (key, range_end) = match end {
        Some(_) if prefix => {
            let text = "`range_end` and `--prefix` are mutually exclusive";
            return Err(Failure::bad_args(text));
        }
        Some(end) => (key, end),
        None => open_range(key, prefix, false),
    };
    Ok(WatchCreateRequest {
        key,
        range_end,
        start_revision: values.number("rev"),
        progress_notify: values.on("progress-notify"),
        prev_kv: values.on("prev-kv"),
        ..WatchCreateRequest::default()
    })
}

/// The flags and arguments of a typed line, whose first word is `watch`.
pub(super) fn parse_line(words: &[OsString]) -> Result<Parsed, Failure> {
    let flags: Vec<&'static Flag> = WATCH.iter().collect();
    flags::parse(words.get(1..).unwrap_or_default(), &flags).map_err(Failure::bad_args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ctl::typed;

    fn want(line: &str, preset: &Preset) -> Result<Wanted, String> {
        let parsed =
            typed::words(format!("watch {line}").as_bytes()).and_then(|words| parse_line(&words));
        let wanted = parsed.and_then(|parsed| wanted(&parsed, preset));
        wanted.map_err(|failure| failure.message.unwrap_or_default())
    }

    #[test]
    fn keys_options_and_commands_are_told_apart() {
        let none = Preset::default();
        let plain = want("a --prefix --rev 3 --prev-kv", &none).unwrap().request;
        assert_eq!((&plain.key[..], &plain.range_end[..]), (&b"a"[..], &b"b"[..]));
        assert!(plain.prev_kv && plain.start_revision == 3);
        let run = want("a c -- echo --rev 7", &none).unwrap();
        assert_eq!(run.command, ["echo", "--rev", "7"]);
        assert_eq!(&run.request.range_end[..], b"c");
        let preset = Preset { key: "k".into(), end: "l".into() };
        assert_eq!(&want("-- echo", &preset).unwrap().request.range_end[..], b"l");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let none = Preset::default();
        let preset = Preset { key: "k".into(), end: String::new() };
        for (line, preset, fault) in [
            ("", &none, "bad number of arguments"),
            ("-- echo", &none, "bad number of arguments"),
            ("a --", &none, "bad number of arguments (found separator --, but no commands)"),
            ("a", &preset, "bad number of arguments (found conflicting environment key)"),
            ("a b --prefix", &none, "`range_end` and `--prefix` are mutually exclusive"),
            ("--bogus", &none, "unknown flag: --bogus"),
        ] {
            assert_eq!(want(line, preset).unwrap_err(), fault, "{line}");
        }
    }
}
