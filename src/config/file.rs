//! The configuration file: etcd's YAML names, every fault with its line.

use std::io::ErrorKind;
use std::path::Path;

use super::golang;
use super::layers::{Given, Origin};
use super::table::{self, Kind, Setting};
use super::yaml::{self, Content, Node};

/// A file larger than this is none of ours.
const LARGEST: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Settings in the order of the file.
    pub(super) given: Vec<Given>,
    /// Faults, each with file and line.
    pub(super) faults: Vec<String>,
}

/// Reads the file at `path`.
pub(super) fn read(path: &str) -> Contents {
    let size = std::fs::metadata(Path::new(path)).map(|meta| meta.len()).unwrap_or_default();
    if size > LARGEST {
        let fault = format!("{path}: {size} bytes are too many for a configuration file");
        return Contents { faults: vec![fault], ..Contents::default() };
    }
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) => {
            // The words of etcd for the commonest mistake.
            let fault = match error.kind() {
                ErrorKind::NotFound => format!("open {path}: no such file or directory"),
                ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
                ErrorKind::IsADirectory => format!("read {path}: is a directory"),
                _ => format!("read {path}: {error}"),
            };
            Contents { faults: vec![fault], ..Contents::default() }
        }
    }
}

/// Reads the text of a file; `path` is only named.
pub(super) fn parse(path: &str, text: &str) -> Contents {
    let mut walk = Walk { path, contents: Contents::default() };
    match yaml::parse(text) {
        Ok(Node { content: Content::Map(entries), .. }) => walk.map("", &entries),
        Ok(node) if node.is_null() => {}
        Ok(node) => walk.fault(node.line, "the file must consist of keys and values"),
        Err(error) => walk.fault(error.line, &format!("this is not YAML: {}", error.text)),
    }
    walk.contents
}

struct Walk<'a> {
    path: &'a str,
    contents: Contents,
}

impl Walk<'_> {
    fn fault(&mut self, line: usize, text: &str) {
        self.contents.faults.push(format!("{}:{line}: {text}", self.path));
    }

    fn map(&mut self, section: &str, entries: &[(String, usize, Node)]) {
        for (position, (key, line, node)) in entries.iter().enumerate() {
            let first =
                entries[..position].iter().find(|(other, ..)| other.eq_ignore_ascii_case(key));
            let path = join(section, key);
            if let Some((_, first, _)) = first {
                self.fault(*line, &format!("{path} is given twice, first in line {first}"));
            } else if let Some((setting, known)) = table::by_path(&path) {
                self.setting(setting, known, *line, node);
            } else if is_section(&path) {
                match &node.content {
                    Content::Map(entries) => self.map(&path, entries),
                    _ if node.is_null() => {}
                    _ => self.fault(*line, &format!("{path} must be a section of keys and values")),
                }
            } else {
                self.unknown(section, &path, *line);
            }
        }
    }

    fn setting(&mut self, setting: &'static Setting, known: &str, line: usize, node: &Node) {
        if node.is_null() {
            return;
        }
        let origin = Origin::File { path: self.path.into(), line };
        let given = text_of(setting.kind, node).and_then(|text| {
            Given::read(setting, known, &text, &origin).map_err(|reason| {
                let shown = if setting.is_secret() { String::new() } else { format!(" {text:?}") };
                format!("invalid value{shown}: {reason}")
            })
        });
        match given {
            Ok(given) => self.contents.given.extend(given),
            Err(reason) => self.fault(node.line, &format!("{known}: {reason}")),
        }
    }

    fn unknown(&mut self, section: &str, path: &str, line: usize) {
        let last = path.rsplit('.').next().unwrap_or(path);
        if section.is_empty()
            && let Some(setting) = table::by_flag(last).filter(|s| s.paths().next().is_none())
        {
            let name = setting.name;
            return self.fault(line, &format!("{name} cannot be set in the file; use --{name}"));
        }
        // First among the neighbours, then among all keys: a key may have lost its section.
        let known = || table::all().flat_map(Setting::paths);
        let inside = |path: &'static str| {
            let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
            parent.eq_ignore_ascii_case(section).then_some(key)
        };
        let neighbour = table::nearest(last, known().filter_map(inside).chain(sections(section)));
        let moved = known().find(|path| path.rsplit('.').next() == Some(last));
        let hint = match (neighbour, moved, table::nearest(path, known())) {
            (Some(key), ..) => format!("; did you mean {}?", join(section, key)),
            (None, Some(path), _) | (None, None, Some(path)) => format!("; did you mean {path}?"),
            (None, None, None) => nested_hint(last, known()),
        };
        self.fault(line, &format!("unknown key {path}{hint}"));
    }
}

/// For a key that is misspelt and in the wrong section at once.
fn nested_hint(last: &str, known: impl Iterator<Item = &'static str>) -> String {
    let known: Vec<&'static str> = known.collect();
    let key = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    table::nearest(last, known.iter().map(|path| key(path)))
        .and_then(|nearest| known.iter().find(|path| key(path) == nearest))
        .map(|path| format!("; did you mean {path}?"))
        .unwrap_or_default()
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.into() } else { format!("{section}.{key}") }
}

fn is_section(path: &str) -> bool {
    let below = |known: &str| {
        let head = known.get(..path.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(path))
            && known[path.len()..].starts_with('.')
    };
    table::all().flat_map(Setting::paths).any(below)
}

/// Sections directly inside `section`.
fn sections(section: &str) -> impl Iterator<Item = &'static str> {
    table::all().flat_map(Setting::paths).filter_map(move |path| {
        let below = if section.is_empty() {
            path
        } else {
            path.strip_prefix(section)?.strip_prefix('.')?
        };
        below.split_once('.').map(|(head, _)| head)
    })
}

/// The value as the flag would take it. Kinder than etcd: quotes do not change what a value is,
/// a duration may also be written `5s`, a list as a comma-separated text and the other way round.
fn text_of(kind: Kind, node: &Node) -> Result<String, String> {
    match (&node.content, kind) {
        (Content::Map(_), _) => Err("expected a value, found a section".into()),
        (Content::List(items), Kind::List | Kind::Urls | Kind::Origins) => {
            let words = items.iter().map(|item| match &item.content {
                Content::Scalar { text, .. } => Ok(text.as_str()),
                _ => Err("expected a list of words".to_owned()),
            });
            Ok(words.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        (Content::List(_), _) => Err("expected one value, found a list".into()),
        (Content::Scalar { text, .. }, Kind::Bool | Kind::Gate(_)) => Ok(switch(text).into()),
        // A bare number is nanoseconds, as in etcd.
        (Content::Scalar { text, .. }, Kind::Duration) if golang::integer(text).is_ok() => {
            Ok(format!("{text}ns"))
        }
        (Content::Scalar { text, .. }, _) => Ok(text.clone()),
    }
}

/// YAML's older words for a switch.
fn switch(text: &str) -> &str {
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => "true",
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => "false",
        other => other,
    }
}

#[cfg(test)]
mod tests;
