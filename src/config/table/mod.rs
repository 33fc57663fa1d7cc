//! The one table of settings. Flags, environment names, YAML keys, help, `config show` and the
//! suggestions for misspelt names all come from it.

mod cluster;
mod logging;
mod member;
mod security;
mod tuning;

/// What kind of text a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A switch; as a flag it takes no next argument.
    Bool,
    /// A whole number of at most so many bits.
    Uint(u32),
    /// A whole number with sign.
    Int,
    /// A Go duration.
    Duration,
    /// Any text.
    Text,
    /// Any text that is never shown.
    Secret,
    /// Comma-separated words.
    List,
    /// Comma-separated URLs.
    Urls,
    /// Comma-separated URLs, or `*`.
    Origins,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `Name=true,Other=false`; every name is a row of kind [`Kind::Gate`].
    Gates,
    /// One feature gate: a switch that has no flag of its own.
    Gate(Stage),
    /// A flag of the distant past that takes no next argument and means nothing.
    Relic,
}

/// How mature a feature gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Off unless asked for.
    Alpha,
    /// On unless refused.
    Beta,
}

/// What this server does with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It takes effect.
    Live,
    /// It is accepted, and a warning says why it changes nothing.
    Idle(&'static str),
    /// It is refused unless it has its default; names what must come first.
    Later(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Name of the flag; the environment variable follows from it.
    pub(super) name: &'static str,
    /// Kind of text.
    pub(super) kind: Kind,
    /// Default as a flag would spell it.
    pub(super) default: &'static str,
    /// One sentence for people.
    pub(super) help: &'static str,
    /// What this server does with it.
    pub(super) status: Status,
    /// Older names of flag, variable and key.
    pub(super) old: &'static [&'static str],
    /// Paths in the YAML file; `None` is the name itself.
    pub(super) keys: Option<&'static [&'static str]>,
}

impl Setting {
    const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, kind, default, help, status: Status::Live, old: &[], keys: None }
    }

    const fn old(self, old: &'static [&'static str]) -> Self {
        Self { old, ..self }
    }

    const fn at(self, keys: &'static [&'static str]) -> Self {
        Self { keys: Some(keys), ..self }
    }

    const fn idle(self, why: &'static str) -> Self {
        Self { status: Status::Idle(why), ..self }
    }

    const fn later(self, first: &'static str) -> Self {
        Self { status: Status::Later(first), ..self }
    }

    /// Whether the setting has a flag and a variable of its own name.
    pub(super) const fn has_flag(&self) -> bool {
        !matches!(self.kind, Kind::Gate(_))
    }

    /// Names of its flags, today's first.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.has_flag().then_some(self.name).into_iter().chain(self.old.iter().copied())
    }

    /// Paths in the YAML file, today's first.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> + use<> {
        let own = self.keys.is_none() && self.has_flag() && self.kind != Kind::Relic;
        let keys = self.keys.unwrap_or_default().iter().copied();
        own.then_some(self.name).into_iter().chain(keys).chain(self.old.iter().copied())
    }

    /// Whether its value may be shown.
    pub(super) fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }
}

/// A title of the help and the settings under it.
pub(super) type Section = (&'static str, &'static [Setting]);

/// All settings, in the order of the help.
pub(super) const SECTIONS: [Section; 6] = [
    ("Member", member::SETTINGS),
    ("Clustering", cluster::SETTINGS),
    ("Security", security::SETTINGS),
    ("Logs, metrics and profiles", logging::SETTINGS),
    ("Pace, checks and switches", tuning::SETTINGS),
    ("Of the past", tuning::RELICS),
];

/// All settings, feature gates included.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|(_, settings)| *settings).chain(tuning::GATES)
}

/// The setting of this exact name, which must be today's.
pub(super) fn named(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

/// The setting this flag sets, old names included.
pub(super) fn by_flag(flag: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.flags().any(|known| known == flag))
}

/// The environment variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("ETCD_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The setting this environment variable sets, and the flag it stands for.
pub(super) fn by_variable(name: &str) -> Option<(&'static Setting, &'static str)> {
    all().find_map(|setting| {
        setting.flags().find(|flag| variable(flag) == name).map(|flag| (setting, flag))
    })
}

/// The setting at this path of the file, ignoring case as etcd does, and the path as it is
/// usually written.
pub(super) fn by_path(path: &str) -> Option<(&'static Setting, &'static str)> {
    all().find_map(|setting| {
        setting.paths().find(|known| known.eq_ignore_ascii_case(path)).map(|path| (setting, path))
    })
}

/// The word among `known` that is most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let mut least = (above[column] + usize::from(letter != other))
                .min(above[column + 1] + 1)
                .min(line[column] + 1);
            let swapped =
                row > 0 && column > 0 && from[row - 1] == *other && *letter == to[column - 1];
            if swapped && letter != other {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_settings_share_a_name_or_a_path() {
        let (mut flags, mut paths) = (HashSet::new(), HashSet::new());
        for setting in all() {
            for flag in setting.flags() {
                assert!(flags.insert(flag), "flag {flag}");
            }
            for path in setting.paths() {
                assert!(paths.insert(path.to_ascii_lowercase()), "path {path}");
            }
        }
    }

    #[test]
    fn misspelt_names_find_their_neighbour() {
        let flags = || all().flat_map(Setting::flags);
        assert_eq!(nearest("client-cert-auht", flags()), Some("client-cert-auth"));
        assert_eq!(nearest("lisen-client-url", flags()), Some("listen-client-urls"));
        assert_eq!(nearest("nmae", flags()), Some("name"));
        assert_eq!(nearest("zzzzzzzzzzzz", flags()), None);
    }
}
