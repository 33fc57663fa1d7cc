//! Settings in layers: what each of them says, what holds in the end, and who said so.
//!
//! From the top: flags, variables `ETCDCTL_*`, the user's file (`etcdctl/config.yml` in
//! `$XDG_CONFIG_HOME`, which is `~/.config` if nothing else is set), the machine's file
//! (`/etc/etcd/etcdctl.yml`), this machine's own certificates ([`identity`]), defaults. Kinder than
//! etcd's tool, which refuses to work when a flag and a variable set the same thing.

mod file;
mod identity;

use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::commands::GLOBAL;
use super::failure::Failure;
use super::flags::{Flag, Values, check};
use super::session::{Environment, log};

/// Settings that the machine's own certificates must not be mixed with.
const CONNECTION: [&str; 8] = [
    "cacert",
    "cert",
    "discovery-srv",
    "discovery-srv-name",
    "endpoints",
    "insecure-skip-tls-verify",
    "insecure-transport",
    "key",
];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// Certificates that `etcd cert init` made.
    Identity(PathBuf),
    /// A line of a file.
    File {
        path: PathBuf,
        /// From one.
        line: usize,
    },
    Variable(String),
    Flag,
}

/// One value somebody gave, checked and spelt as its flag spells it.
#[derive(Clone, Debug)]
struct Given {
    flag: &'static Flag,
    text: String,
    origin: Origin,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(match &self.origin {
            Origin::Identity(dir) => format!("follows from {}", dir.display()),
            Origin::File { path, line } => format!("file {}:{line}", path.display()),
            Origin::Variable(name) => format!("environment {name}"),
            Origin::Flag => format!("flag --{}", self.flag.name),
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        // As a text whatever it is: the flag's own reader makes a number of it later.
        let dict = Dict::from([(self.flag.name.to_owned(), Value::from(self.text.clone()))]);
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// All layers.
#[derive(Default)]
pub(super) struct Settings {
    figment: Figment,
}

impl Settings {
    /// Lays the layers on top of each other and tells `values` what holds. Files are those below
    /// `root`, which is `/`.
    ///
    /// # Errors
    /// Every fault of the files, each with its place.
    pub(super) fn settle(
        values: &mut Values,
        environment: &Environment,
        root: &Path,
    ) -> Result<Self, Failure> {
        let below = file::read_all(environment, root)?;
        let flags = GLOBAL.iter().filter_map(|flag| {
            let text = values.given(flag.name)?.to_owned();
            Some(Given { flag, text, origin: Origin::Flag })
        });
        let flags: Vec<Given> = flags.collect();
        let above: Vec<Given> = variables(environment).into_iter().chain(flags).collect();
        let connects = |given: &Given| CONNECTION.contains(&given.flag.name);
        let below = if below.iter().chain(&above).any(connects) {
            below
        } else {
            identity::find(root).into_iter().chain(below).collect()
        };
        let mut figment = Figment::new();
        for given in below {
            figment = figment.merge(&given);
            values.set_default(given.flag, given.text);
        }
        for given in above {
            figment = figment.merge(&given);
            values.put(given.flag, given.text);
        }
        Ok(Self { figment })
    }

    /// Who gave the value that holds.
    fn origin(&self, name: &str) -> String {
        let source = self.figment.find_metadata(name);
        source.map_or_else(|| "default".to_owned(), |metadata| metadata.name.to_string())
    }

    /// Every setting as an assignment, with its origin in a comment behind it.
    pub(super) fn show(&self, values: &Values) -> Vec<String> {
        let line = |flag: &Flag| {
            let value = match flag.name {
                "endpoints" => format!("[{}]", values.list("endpoints").join(",")),
                // The one place where the original prints secrets; we do not.
                "auth-jwt-token" | "password" if !values.text(flag.name).is_empty() => {
                    "***".to_owned()
                }
                "user" => values.text("user").split(':').next().unwrap_or_default().to_owned(),
                other => values.text(other).to_owned(),
            };
            format!("{}={value} # {}", variable(flag.name), self.origin(flag.name))
        };
        GLOBAL.iter().map(line).collect()
    }
}

fn variable(flag: &str) -> String {
    format!("ETCDCTL_{}", flag.to_uppercase().replace('-', "_"))
}

/// What variables say. What they cannot say is told and passed over: the original goes on as well.
fn variables(environment: &Environment) -> Vec<Given> {
    let mut given = Vec::new();
    for (name, text) in environment {
        if !name.starts_with("ETCDCTL_") || name == "ETCDCTL_API" {
            continue;
        }
        let Some(flag) = GLOBAL.iter().find(|flag| variable(flag.name) == *name) else {
            let variable = format!("{name}={text}");
            let message = ("msg", "unrecognized environment variable");
            log("warn", &[message, ("environment-variable", &variable)]);
            continue;
        };
        if text.is_empty() {
            continue;
        }
        match check(flag, text) {
            Ok(text) => given.push(Given { flag, text, origin: Origin::Variable(name.clone()) }),
            Err(why) => {
                let message = ("msg", "environment variable passed over");
                log("warn", &[message, ("environment-variable", name), ("error", &why)]);
            }
        }
    }
    given
}

/// Reads a file for the sake of what could go wrong.
#[cfg(any(test, fuzzing))]
pub(super) fn parse_file(path: &Path, text: &str) {
    file::parse(path, text, &mut Vec::new(), &mut Vec::new());
}

#[cfg(test)]
mod tests;
