//! A described set of certificates, for trying things out: `etcd cert init --set FILE`.

use std::time::Duration;

use super::args::{self, Words};
use super::context;
use super::issue;
use super::report::Refusal;
use crate::certs::{CertError, INSECURE, Leaf, Pki, Purpose, Step, check_name};
use crate::config::yaml::{self, Content, Node};

/// What a file describes; nothing when there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// Whether every file name ends in `.insecure`.
    pub(super) insecure: bool,
    /// Life of the authorities.
    pub(super) authority_life: Option<Duration>,
    /// Life of everything they sign.
    pub(super) leaf_life: Option<Duration>,
    /// Names of members, each with more host names and addresses.
    members: Vec<(String, Vec<String>)>,
    clients: Vec<String>,
    /// Clients of an authority nobody knows.
    strangers: Vec<String>,
}

impl Set {
    /// The one `--set` names.
    ///
    /// # Errors
    /// If the file cannot be read or says what is not known, with its line.
    pub(super) fn of(words: &Words) -> Result<Self, Refusal> {
        let Some(path) = words.get("set") else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(context::absolute(path)?)
            .map_err(|error| Refusal::Failed(format!("cannot read {path}: {error}")))?;
        Self::parse(&text).map_err(|(line, why)| Refusal::Failed(format!("{path}:{line}: {why}")))
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let document = yaml::parse(text).map_err(|error| (error.line, error.text))?;
        let mut set = Self::default();
        for (key, line, node) in entries(&document)? {
            let life = || {
                let life = args::life(word(node)?);
                life.map(Some).map_err(|why| (*line, why))
            };
            match key.as_str() {
                "suffix" => set.insecure = suffix(node)?,
                "ca-ttl" => set.authority_life = life()?,
                "ttl" => set.leaf_life = life()?,
                "members" => {
                    for (name, line, hosts) in entries(node)? {
                        set.members.push((named(name, *line)?, words(hosts)?));
                    }
                }
                "clients" => set.clients = names(node)?,
                "strangers" => set.strangers = names(node)?,
                other => {
                    let known = "suffix, ca-ttl, ttl, members, clients, strangers";
                    return Err((*line, format!("{other:?} is not known; there are {known}")));
                }
            }
        }
        Ok(set)
    }

    /// Makes what it describes beyond what every directory has.
    ///
    /// # Errors
    /// If a file cannot be written, or what is there does not fit.
    pub(super) fn make(
        &self,
        pki: &Pki,
        life: Duration,
        force: bool,
    ) -> Result<Vec<Step>, CertError> {
        let mut steps = Vec::new();
        let leaf = |name: &str, purpose, hosts| Leaf {
            common_name: name.to_owned(),
            hosts,
            purpose,
            validity: pki.validity(life),
        };
        if !self.members.is_empty() {
            pki.make_dir(&pki.layout().nodes_dir())?;
        }
        for (name, more) in &self.members {
            let node = pki.layout().in_dir(&pki.layout().nodes_dir().join(name));
            for purpose in [Purpose::Server, Purpose::Peer] {
                let leaf = leaf(name, purpose, issue::hosts(purpose, name, more.clone()));
                steps.extend(pki.ensure_leaf(&node.pair(purpose, name), &leaf, force)?);
            }
            steps.extend(pki.copy_trust(&node, Purpose::Server, force)?);
        }
        for name in &self.clients {
            let leaf = leaf(name, Purpose::Client, Vec::new());
            let files = pki.layout().pair(Purpose::Client, name);
            steps.extend(pki.ensure_leaf(&files, &leaf, force)?);
        }
        for name in &self.strangers {
            let leaf = leaf(name, Purpose::Client, Vec::new());
            let files = pki.layout().files(&format!("strangers/{name}"));
            steps.extend(pki.ensure_foreign(&files, &leaf, force)?);
        }
        Ok(steps)
    }
}

type Entry = (String, usize, Node);

fn entries(node: &Node) -> Result<&[Entry], (usize, String)> {
    match &node.content {
        Content::Map(entries) => Ok(entries),
        _ => Err((node.line, "names with values are expected here".to_owned())),
    }
}

fn word(node: &Node) -> Result<&str, (usize, String)> {
    match &node.content {
        Content::Scalar { text, .. } => Ok(text),
        _ => Err((node.line, "one word is expected here".to_owned())),
    }
}

fn words(node: &Node) -> Result<Vec<String>, (usize, String)> {
    match &node.content {
        Content::List(items) => items.iter().map(|item| word(item).map(str::to_owned)).collect(),
        _ if node.is_null() => Ok(Vec::new()),
        _ => Err((node.line, "a list is expected here: [one, two]".to_owned())),
    }
}

fn names(node: &Node) -> Result<Vec<String>, (usize, String)> {
    words(node)?.iter().map(|name| named(name, node.line)).collect()
}

fn named(name: &str, line: usize) -> Result<String, (usize, String)> {
    check_name(name).map_err(|error| (line, error.to_string()))?;
    Ok(name.to_owned())
}

fn suffix(node: &Node) -> Result<bool, (usize, String)> {
    match word(node)? {
        INSECURE => Ok(true),
        "" => Ok(false),
        other => Err((node.line, format!("the only suffix is {INSECURE}, not {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_in_the_repository_is_read() {
        let set = Set::parse(include_str!("../../../certs-dev/set.yml")).unwrap();
        assert!(set.insecure);
        assert_eq!(set.authority_life, Some(Duration::from_secs(30 * 86_400)));
        assert_eq!((set.members.len(), set.clients.len(), set.strangers.len()), (3, 1, 1));
    }

    #[test]
    fn faults_are_told_with_their_line() {
        for (text, line, why) in [
            ("ttl: 5d\nmember: {}\n", 2, "\"member\" is not known"),
            ("ttl: soon\n", 1, "\"soon\""),
            ("clients: app\n", 1, "a list is expected"),
            ("members: {\"../x\": []}\n", 1, "must not begin with a dot"),
            ("suffix: insecure\n", 1, "the only suffix is .insecure"),
        ] {
            let (at, said) = Set::parse(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(said.contains(why), "{said}");
        }
    }
}
