//! The command line as Go's `flag` package reads it.

use std::ffi::OsString;

use super::layers::{Given, Origin};
use super::table::{self, Kind, Setting};

/// What the command line says.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    /// Settings in the order they were given.
    pub(super) given: Vec<Given>,
    /// What follows the flags; etcd knows no such argument.
    pub(super) rest: Vec<String>,
    /// Help was asked for.
    pub(super) help: bool,
}

/// Reads flags until the first argument that is none.
///
/// # Errors
/// The first fault in Go's words.
pub(super) fn parse(args: &[OsString]) -> Result<CommandLine, String> {
    let mut line = CommandLine::default();
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let Some(body) = arg.strip_prefix('-').filter(|body| !body.is_empty()) else {
            line.rest.push(arg);
            break;
        };
        if body == "-" {
            break;
        }
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {arg}"));
        }
        let (flag, value) = match body.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (body, None),
        };
        match table::by_flag(flag) {
            Some(setting) => {
                let value = match value {
                    None if takes_no_argument(setting) => Some("true".to_owned()),
                    None => args.next(),
                    given => given,
                };
                let value = value.ok_or_else(|| format!("flag needs an argument: -{flag}"))?;
                line.given.extend(read(setting, flag, &value)?);
            }
            None if flag == "help" || flag == "h" => {
                line.help = true;
                return Ok(line);
            }
            None => return Err(undefined(flag)),
        }
    }
    line.rest.extend(args);
    Ok(line)
}

fn takes_no_argument(setting: &Setting) -> bool {
    matches!(setting.kind, Kind::Bool | Kind::Gate(_) | Kind::Relic)
}

fn read(setting: &'static Setting, flag: &str, text: &str) -> Result<Vec<Given>, String> {
    Given::read(setting, flag, text, &Origin::Flag(flag.into())).map_err(|reason| {
        if takes_no_argument(setting) {
            format!("invalid boolean value {text:?} for -{flag}: {reason}")
        } else {
            format!("invalid value {text:?} for flag -{flag}: {reason}")
        }
    })
}

fn undefined(flag: &str) -> String {
    let known = table::all().flat_map(Setting::flags);
    let hint = table::nearest(flag, known).map(|flag| format!("\ndid you mean --{flag}?"));
    format!("flag provided but not defined: -{flag}{}", hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<CommandLine, String> {
        parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn names(args: &[&str]) -> Vec<String> {
        let line = run(args).unwrap_or_default();
        line.given
            .iter()
            .map(|given| format!("{}={:?}", given.spelt, given.value.as_str()))
            .collect()
    }

    #[test]
    fn one_dash_is_two_and_values_come_joined_or_next() {
        for args in [["-name", "x"].as_slice(), &["--name", "x"], &["-name=x"], &["--name=x"]] {
            assert_eq!(names(args), ["name=Some(\"x\")"], "{args:?}");
        }
        assert_eq!(names(&["--name="]), ["name=Some(\"\")"]);
        assert_eq!(names(&["--name", "--data-dir"]), ["name=Some(\"--data-dir\")"]);
        assert_eq!(names(&["--name=a=b"]), ["name=Some(\"a=b\")"]);
    }

    #[test]
    fn a_switch_takes_no_next_argument() {
        let line = run(&["--pre-vote", "true", "--name", "x"]).unwrap_or_default();
        assert_eq!(
            (line.given.len(), line.rest),
            (1, vec!["true".into(), "--name".into(), "x".into()])
        );
        let line = run(&["--snapshot", "5"]).unwrap_or_default();
        assert_eq!((line.given.len(), line.rest), (1, vec!["5".to_owned()]));
        assert_eq!(run(&["--snapshot=5"]).map(|line| line.rest), Ok(Vec::new()));
    }

    #[test]
    fn reading_stops_where_go_stops() {
        for (args, rest) in [
            (["--", "x"].as_slice(), ["x"].as_slice()),
            (&["-"], &["-"]),
            (&[""], &[""]),
            (&["bogus", "--bogus"], &["bogus", "--bogus"]),
            (&["--"], &[]),
        ] {
            assert_eq!(
                run(args).map(|line| line.rest),
                Ok(rest.iter().map(|r| (*r).to_owned()).collect())
            );
        }
    }

    #[test]
    fn faults_are_told_in_the_words_of_go() {
        for (args, message) in [
            (["---x"].as_slice(), "bad flag syntax: ---x"),
            (&["-=x"], "bad flag syntax: -=x"),
            (&["--zzzzzzzzz"], "flag provided but not defined: -zzzzzzzzz"),
            (&["--nmae=x"], "flag provided but not defined: -nmae\ndid you mean --name?"),
            (&["--name"], "flag needs an argument: -name"),
            (
                &["--force-new-cluster="],
                "invalid boolean value \"\" for -force-new-cluster: parse error",
            ),
            (&["--pre-vote=maybe"], "invalid boolean value \"maybe\" for -pre-vote: parse error"),
            (
                &["--snapshot-count=-1"],
                "invalid value \"-1\" for flag -snapshot-count: parse error",
            ),
            (&["--proxy", "bogus"], "invalid value \"bogus\" for flag -proxy: invalid value"),
            (
                &["--v2-deprecation=x"],
                "invalid value \"x\" for flag -v2-deprecation: invalid value \"x\"",
            ),
            (
                &["--listen-client-urls", "foo"],
                "invalid value \"foo\" for flag -listen-client-urls: \
                 URL scheme must be http, https, unix, or unixs: foo",
            ),
            (&["--LeaseCheckpoint"], "flag provided but not defined: -LeaseCheckpoint"),
        ] {
            assert_eq!(run(args).map(|_| ()), Err(message.to_owned()), "{args:?}");
        }
    }

    #[test]
    fn help_ends_the_reading_and_faults_before_it_count() {
        assert_eq!(run(&["-h", "--bogus"]).map(|line| line.help), Ok(true));
        assert!(run(&["--zzzzzz", "--help"]).is_err());
    }
}
