//! Command lines in the manner of Go's pflag: `--flag=value`, `--flag value`, `-wvalue`, flags
//! anywhere between the arguments, `--` ends them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::cli::go;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Any text.
    Text,
    /// Texts separated by commas; every use adds to the list.
    List,
    /// A 64-bit integer.
    Number,
    /// A duration with its unit.
    Span,
}

/// A flag as it is declared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// One-letter form.
    pub(super) short: Option<char>,
    pub(super) kind: Kind,
    /// Its value when it is not given, in the form it is read.
    pub(super) default: &'static str,
    /// What the help says.
    pub(super) help: &'static str,
}

/// Values by flag, as texts that have been found to be of the flag's kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    given: BTreeMap<&'static str, String>,
    /// Other defaults than the declared ones.
    defaults: BTreeMap<&'static str, String>,
    declared: Vec<&'static Flag>,
}

/// A command line taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    pub(super) values: Values,
    /// What is not a flag, byte for byte: keys need not be text.
    pub(super) arguments: Vec<OsString>,
    /// How many of them stand before `--`; `None` without one.
    pub(super) before_dashes: Option<usize>,
}

/// Takes `words` apart.
///
/// # Errors
/// pflag's own words.
pub(super) fn parse(words: &[OsString], flags: &[&'static Flag]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    parsed.values.declared = flags.to_vec();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.before_dashes = Some(parsed.arguments.len());
            parsed.arguments.extend(words.by_ref().cloned());
        } else if is_flag(word) {
            let text = word.to_string_lossy();
            match text.strip_prefix("--") {
                Some(long) => parse_long(long, &mut words, flags, &mut parsed.values)?,
                None => parse_short(&text, &mut words, flags, &mut parsed.values)?,
            }
        } else {
            parsed.arguments.push(word.clone());
        }
    }
    Ok(parsed)
}

/// Whether a word is a flag; a single dash is an argument.
pub(super) fn is_flag(word: &OsString) -> bool {
    word.len() > 1 && word.as_bytes().starts_with(b"-")
}

fn parse_long<'a>(
    long: &str,
    words: &mut impl Iterator<Item = &'a OsString>,
    flags: &[&'static Flag],
    values: &mut Values,
) -> Result<(), String> {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(format!("bad flag syntax: --{long}"));
    }
    let flag = flags.iter().find(|flag| flag.name == name);
    let flag = flag.ok_or_else(|| format!("unknown flag: --{name}"))?;
    let value = match value {
        Some(value) => value,
        None if flag.kind == Kind::Switch => "true".to_owned(),
        None => {
            let next = words.next().ok_or(format!("flag needs an argument: --{name}"))?;
            next.to_string_lossy().into_owned()
        }
    };
    values.set(flag, &value)
}

fn parse_short<'a>(
    word: &str,
    words: &mut impl Iterator<Item = &'a OsString>,
    flags: &[&'static Flag],
    values: &mut Values,
) -> Result<(), String> {
    let mut rest = word.get(1..).unwrap_or_default();
    while let Some(letter) = rest.chars().next() {
        let flag = flags.iter().find(|flag| flag.short == Some(letter));
        let flag = flag.ok_or_else(|| format!("unknown shorthand flag: '{letter}' in -{rest}"))?;
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        if let Some(value) = after.strip_prefix('=') {
            return values.set(flag, value);
        }
        if flag.kind == Kind::Switch {
            values.set(flag, "true")?;
            rest = after;
            continue;
        }
        if !after.is_empty() {
            return values.set(flag, after);
        }
        let missing = || format!("flag needs an argument: '{letter}' in -{rest}");
        let value = words.next().ok_or_else(missing)?;
        return values.set(flag, &value.to_string_lossy());
    }
    Ok(())
}

/// A value of a flag's kind, spelt as this kind is always spelt.
///
/// # Errors
/// The reason Go gives.
pub(super) fn check(flag: &Flag, value: &str) -> Result<String, String> {
    match flag.kind {
        Kind::Switch => go::parse_bool(value).map(|value| value.to_string()),
        Kind::Number => go::parse_int(value, 0).map(|value| value.to_string()),
        Kind::Span => go::parse_duration(value).map(go::duration),
        Kind::Text | Kind::List => Ok(value.to_owned()),
    }
}

impl Values {
    /// Takes a value for a flag.
    ///
    /// # Errors
    /// If the value is not of the flag's kind, in pflag's words.
    pub(super) fn set(&mut self, flag: &'static Flag, value: &str) -> Result<(), String> {
        let short = flag.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
        let checked = check(flag, value).map_err(|why| {
            let (value, name) = (go::quote(value.as_bytes()), flag.name);
            format!("invalid argument {value} for \"{short}--{name}\" flag: {why}")
        })?;
        let before = self.given.get(flag.name).filter(|_| flag.kind == Kind::List);
        let text = match before {
            Some(before) => format!("{before},{checked}"),
            None => checked,
        };
        self.put(flag, text);
        Ok(())
    }

    /// Puts a checked value in the place of what was given before.
    pub(super) fn put(&mut self, flag: &'static Flag, checked: String) {
        self.given.insert(flag.name, checked);
    }

    /// Puts a checked value in the place of the default. The flag still counts as not given.
    pub(super) fn set_default(&mut self, flag: &'static Flag, checked: String) {
        self.defaults.insert(flag.name, checked);
    }

    /// What was given for a flag.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// Whether the flag was given.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The text of a flag, its default if it was not given.
    pub(super) fn text(&self, name: &str) -> &str {
        let declared = || self.declared.iter().find(|flag| flag.name == name);
        let known = self.given.get(name).or_else(|| self.defaults.get(name));
        known.map_or_else(|| declared().map_or("", |flag| flag.default), String::as_str)
    }

    /// Whether a switch is on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// A number; zero for a flag that is none.
    pub(super) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// A duration; zero for a flag that is none.
    pub(super) fn span(&self, name: &str) -> Duration {
        go::parse_duration(self.text(name)).unwrap_or_default()
    }

    /// The items of a list, without blanks around them and without empty ones.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items = self.text(name).split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(name: &'static str, short: Option<char>, kind: Kind) -> Flag {
        Flag { name, short, kind, default: "", help: "" }
    }
    static PREFIX: Flag = flag("prefix", Some('p'), Kind::Switch);
    static LIMIT: Flag = flag("limit", None, Kind::Number);
    static FORMAT: Flag = flag("format", Some('w'), Kind::Text);
    static ENDPOINTS: Flag = flag("endpoints", None, Kind::List);

    fn read(line: &str) -> Result<Parsed, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&words, &[&PREFIX, &LIMIT, &FORMAT, &ENDPOINTS])
    }

    #[test]
    fn flags_stand_anywhere_in_every_form() {
        let line = "a --limit 3 b --prefix -wjson --endpoints=x,y --endpoints z -- --limit c";
        let parsed = read(line).unwrap();
        assert_eq!(parsed.arguments, ["a", "b", "--limit", "c"]);
        assert_eq!(parsed.before_dashes, Some(2));
        assert_eq!(parsed.values.number("limit"), 3);
        assert!(parsed.values.on("prefix") && !parsed.values.is_given("unknown"));
        assert_eq!(parsed.values.text("format"), "json");
        assert_eq!(parsed.values.list("endpoints"), ["x", "y", "z"]);
        assert_eq!(read("-pw=fields -").unwrap().values.text("format"), "fields");
        assert!(!read("--prefix=false").unwrap().values.on("prefix"));
    }

    #[test]
    fn faults_are_told_in_the_words_of_pflag() {
        for (line, fault) in [
            ("--bogus", "unknown flag: --bogus"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("-px", "unknown shorthand flag: 'x' in -x"),
            ("--limit", "flag needs an argument: --limit"),
            ("-w", "flag needs an argument: 'w' in -w"),
            ("--=x", "bad flag syntax: --=x"),
            (
                "--prefix=maybe",
                "invalid argument \"maybe\" for \"-p, --prefix\" flag: strconv.ParseBool: parsing \
                 \"maybe\": invalid syntax",
            ),
        ] {
            assert_eq!(read(line).unwrap_err(), fault, "{line}");
        }
    }
}
