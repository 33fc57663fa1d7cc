//! The words behind a command: flags with values, switches, and what is left.

use std::time::Duration;

use super::commands::{Command, Flag};
use super::report::Refusal;
use crate::cli::go;

/// What the command line says.
#[derive(Debug, Default)]
pub(super) struct Words {
    given: Vec<(&'static str, String)>,
    /// What is no flag of the command, in its order.
    pub(super) rest: Vec<String>,
}

impl Words {
    /// Reads the words of a command. A command that also takes the server's flags leaves what it
    /// does not know in [`Self::rest`].
    ///
    /// # Errors
    /// One sentence about the first word that makes no sense.
    pub(super) fn read(command: &Command, words: &[String]) -> Result<Self, String> {
        let mut read = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                read.rest.extend(words.cloned());
                break;
            }
            let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            let Some(body) = body.filter(|body| !body.is_empty()) else {
                read.rest.push(word.clone());
                continue;
            };
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            match (command.flag(name), value) {
                (None, _) if command.takes_server_flags => read.rest.push(word.clone()),
                (None, _) => {
                    return Err(format!(
                        "unknown flag {word}; `etcd cert {command} --help` has all"
                    ));
                }
                (Some(Flag { name, value: None, .. }), None) => {
                    read.given.push((name, "true".to_owned()));
                }
                (Some(Flag { name, value: None, .. }), Some(value)) => {
                    if value != "true" && value != "false" {
                        return Err(format!(
                            "--{name} is a switch; it is true or false, not {value:?}"
                        ));
                    }
                    read.given.push((name, value));
                }
                (Some(Flag { name, value: Some(kind), .. }), value) => {
                    let value = value.or_else(|| words.next().cloned());
                    let value = value.ok_or_else(|| format!("--{name} needs a value: {kind}"))?;
                    read.given.push((name, value));
                }
            }
        }
        Ok(read)
    }

    /// The value of a flag; the last one holds.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().rev().find(|(given, _)| *given == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a switch is on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// Every value of a flag that takes a list, commas and repetitions alike.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let given = self.given.iter().filter(|(given, _)| *given == name);
        let values = given.flat_map(|(_, values)| values.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// A time to live.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn life(&self, name: &str) -> Result<Option<Duration>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let life = life(text).map_err(|fault| format!("--{name}: {fault}"))?;
        Ok(Some(life))
    }

    /// A pause in Go's spelling, or this one.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn pause(&self, name: &str, usual: Duration) -> Result<Duration, Refusal> {
        let Some(text) = self.get(name) else { return Ok(usual) };
        go::parse_duration(text).map_err(|fault| Refusal::Misuse(format!("--{name}: {fault}")))
    }
}

/// `90d`, `12h`, `10y`: days and years of 365 days, or a duration as Go writes it; at least a
/// minute.
pub(super) fn life(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 86_400;
    let days = |count: &str, each: u64| {
        let count = count.parse::<u64>().ok().and_then(|count| count.checked_mul(each * DAY));
        count.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is no time to live"))
    };
    let life = match text.char_indices().last() {
        Some((end, 'd')) => days(text.get(..end).unwrap_or_default(), 1),
        Some((end, 'y')) => days(text.get(..end).unwrap_or_default(), 365),
        _ => go::parse_duration(text),
    }?;
    if life < Duration::from_secs(60) || life > Duration::from_secs(100 * 365 * DAY) {
        return Err(format!("{text:?} is not between one minute and a hundred years"));
    }
    Ok(life)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cert::commands;

    fn read(command: &str, words: &[&str]) -> Result<Words, String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Words::read(commands::find(command).unwrap(), &words)
    }

    #[test]
    fn values_come_joined_or_next_and_lists_in_any_form() {
        let words =
            read("issue", &["client", "--san=a,b", "--force", "--san", "c", "x", "--ttl=2d"]);
        let words = words.unwrap();
        assert_eq!(words.rest, ["client", "x"]);
        assert_eq!(words.list("san"), ["a", "b", "c"]);
        assert!(words.on("force") && !words.on("help"));
        assert_eq!(words.life("ttl"), Ok(Some(Duration::from_secs(172_800))));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (words, fault) in [
            (["--bogus"].as_slice(), "unknown flag --bogus"),
            (&["--ttl"], "--ttl needs a value"),
            (&["--force=maybe"], "--force is a switch"),
        ] {
            let said = read("issue", words).unwrap_err();
            assert!(said.starts_with(fault), "{said}");
        }
        for bad in ["5", "xd", "1s", "-3d", "1000y", "99999999999999999999d"] {
            assert!(life(bad).is_err(), "{bad}");
        }
        assert_eq!(life("12h"), Ok(Duration::from_secs(43_200)));
    }

    #[test]
    fn init_leaves_the_flags_of_the_server_alone() {
        let words = read("init", &["--name", "x", "--force", "--listen-client-urls=y"]).unwrap();
        assert_eq!(words.rest, ["--name", "x", "--listen-client-urls=y"]);
    }
}
