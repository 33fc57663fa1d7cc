//! The files: YAML whose keys are the names of the flags all commands have.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Given, Origin};
use crate::cli::ctl::commands::GLOBAL;
use crate::cli::ctl::failure::{Exit, Failure};
use crate::cli::ctl::flags::{Kind, check};
use crate::cli::ctl::session::{Environment, go_error};
use crate::config::nearest;
use crate::config::yaml::{self, Content, Node};

/// Below the root of the file system.
const MACHINE: &str = "etc/etcd/etcdctl.yml";
/// Below the user's directory of configurations.
const USER: &str = "etcdctl/config.yml";
/// A file larger than this is none of ours.
const LARGEST: u64 = 1 << 20;
/// Paths among the settings: in a file they begin at the file, which is used from everywhere.
const PATHS: [&str; 3] = ["cacert", "cert", "key"];

/// What the files say, from the bottom up; a file that is not there says nothing.
///
/// # Errors
/// Every fault, each with its place.
pub(super) fn read_all(environment: &Environment, root: &Path) -> Result<Vec<Given>, Failure> {
    let mut given = Vec::new();
    let mut faults = Vec::new();
    let paths = [Some(root.join(MACHINE)), user_file(environment)];
    for path in paths.into_iter().flatten() {
        match read(&path) {
            Ok(text) => parse(&path, &text, &mut given, &mut faults),
            // What this user may not read is for others, and everybody may use the tool.
            Err(ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied) => {}
            Err(kind) => {
                faults.push(format!("open {}: {}", path.display(), go_error(&kind.into())));
            }
        }
    }
    if faults.is_empty() { Ok(given) } else { Err(Failure::new(Exit::BadArgs, faults.join("\n"))) }
}

fn user_file(environment: &Environment) -> Option<PathBuf> {
    let named = |name| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = named("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let directory = directory.or_else(|| named("HOME").map(|home| home.join(".config")));
    directory.map(|directory| directory.join(USER))
}

fn read(path: &Path) -> Result<String, ErrorKind> {
    let size = std::fs::metadata(path).map_err(|error| error.kind())?.len();
    if size > LARGEST {
        return Err(ErrorKind::FileTooLarge);
    }
    std::fs::read_to_string(path).map_err(|error| error.kind())
}

pub(super) fn parse(path: &Path, text: &str, given: &mut Vec<Given>, faults: &mut Vec<String>) {
    let mut fault = |line: usize, text: &str| {
        faults.push(format!("{}:{line}: {text}", path.display()));
    };
    let entries = match yaml::parse(text) {
        Ok(Node { content: Content::Map(entries), .. }) => entries,
        Ok(node) if node.is_null() => return,
        Ok(node) => return fault(node.line, "the file must consist of keys and values"),
        Err(error) => return fault(error.line, &format!("this is not YAML: {}", error.text)),
    };
    for (place, (key, line, node)) in entries.iter().enumerate() {
        let before = entries.iter().take(place).find(|(other, ..)| other == key);
        let Some(flag) = GLOBAL.iter().find(|flag| flag.name == key) else {
            let known = nearest(key, GLOBAL.iter().map(|flag| flag.name));
            let hint = known.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            fault(*line, &format!("unknown key {key}{hint}"));
            continue;
        };
        if let Some((_, first, _)) = before {
            fault(*line, &format!("{key} is given twice, first in line {first}"));
            continue;
        }
        if node.is_null() {
            continue;
        }
        let text = text_of(flag.kind, node).and_then(|text| check(flag, &text));
        match text {
            Ok(text) => {
                let text = if PATHS.contains(&flag.name) { beside(path, &text) } else { text };
                let origin = Origin::File { path: path.to_owned(), line: *line };
                given.push(Given { flag, text, origin });
            }
            Err(why) => fault(node.line, &format!("{key}: {why}")),
        }
    }
}

fn text_of(kind: Kind, node: &Node) -> Result<String, String> {
    match (&node.content, kind) {
        (Content::Scalar { text, .. }, _) => Ok(text.clone()),
        (Content::List(nodes), Kind::List) => {
            let texts = nodes.iter().map(|node| text_of(Kind::Text, node));
            texts.collect::<Result<Vec<_>, _>>().map(|texts| texts.join(","))
        }
        (Content::List(_), _) => Err("must be one value, not a list".to_owned()),
        (Content::Map(_), _) => Err("must be a value, not a section".to_owned()),
    }
}

fn beside(file: &Path, text: &str) -> String {
    match file.parent() {
        Some(folder) if !text.is_empty() => folder.join(text).display().to_string(),
        _ => text.to_owned(),
    }
}
