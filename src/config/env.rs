//! Environment variables: `ETCD_` and the name of a flag.

use super::layers::{Given, Origin};
use super::table::{self, Kind, Setting};

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Settings in the order of the table.
    pub(super) given: Vec<Given>,
    /// Path of the configuration file, if a variable names one.
    pub(super) file: Option<String>,
    /// What could not be read.
    pub(super) faults: Vec<String>,
    /// Variables that mean nothing.
    pub(super) warnings: Vec<String>,
}

/// Reads the variables that begin with `ETCD_`; an empty one counts as not set.
pub(super) fn parse(variables: impl IntoIterator<Item = (String, String)>) -> Environment {
    let mut found = Environment::default();
    let mut variables: Vec<_> =
        variables.into_iter().filter(|(name, _)| name.starts_with("ETCD_")).collect();
    variables.sort();
    for (name, text) in variables {
        match table::by_variable(&name) {
            Some((setting, _)) if setting.name == "version" => {
                found.warnings.push(format!("cannot set special environment variable {name}"));
            }
            Some(_) if text.is_empty() => {}
            Some((setting, flag)) => {
                found.read(setting, flag, &name, &text);
                if flag == "config-file" {
                    found.file = Some(text);
                }
            }
            None => found.warnings.push(unknown(&name)),
        }
    }
    found
}

impl Environment {
    fn read(&mut self, setting: &'static Setting, flag: &str, name: &str, text: &str) {
        match Given::read(setting, flag, text, &Origin::Variable(name.into())) {
            Ok(given) => self.given.extend(given),
            Err(reason) => {
                self.faults.push(format!("invalid value {text:?} for {name}: {reason}"));
            }
        }
    }
}

/// Names the variable but not its value, which may be anybody's secret.
fn unknown(name: &str) -> String {
    let flag = name.trim_start_matches("ETCD_").to_ascii_lowercase().replace('_', "-");
    let known = table::all().filter(|setting| setting.kind != Kind::Relic).flat_map(Setting::flags);
    let hint = table::nearest(&flag, known)
        .map(|known| format!("; did you mean {}?", table::variable(known)));
    format!("unrecognized environment variable {name}{}", hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pairs: &[(&str, &str)]) -> Environment {
        parse(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    }

    #[test]
    fn variables_set_what_their_flags_set() {
        let found =
            run(&[("ETCD_NAME", "x"), ("ETCD_WAL_DIR", ""), ("HOME", "/"), ("ETCDCTL_API", "3")]);
        assert_eq!(found.given.len(), 1);
        assert_eq!(found.given[0].setting.name, "name");
        assert_eq!(found.given[0].origin, Origin::Variable("ETCD_NAME".into()));
        assert!(found.warnings.is_empty() && found.faults.is_empty());
        assert_eq!(run(&[("ETCD_CONFIG_FILE", "/f")]).file.as_deref(), Some("/f"));
    }

    #[test]
    fn faults_are_told_in_the_words_of_etcd() {
        for (name, text, message) in [
            (
                "ETCD_SNAPSHOT_COUNT",
                "x",
                "invalid value \"x\" for ETCD_SNAPSHOT_COUNT: parse error",
            ),
            (
                "ETCD_FORCE_NEW_CLUSTER",
                "maybe",
                "invalid value \"maybe\" for ETCD_FORCE_NEW_CLUSTER: parse error",
            ),
            (
                "ETCD_INITIAL_CLUSTER_STATE",
                "foo",
                "invalid value \"foo\" for ETCD_INITIAL_CLUSTER_STATE: invalid value",
            ),
        ] {
            assert_eq!(run(&[(name, text)]).faults, [message]);
        }
    }

    #[test]
    fn strange_variables_are_one_warning_each_and_keep_their_value() {
        for (name, message) in [
            ("ETCD_BOGUS", "unrecognized environment variable ETCD_BOGUS"),
            ("ETCD_NMAE", "unrecognized environment variable ETCD_NMAE; did you mean ETCD_NAME?"),
            ("ETCD_VERSION", "cannot set special environment variable ETCD_VERSION"),
        ] {
            assert_eq!(run(&[(name, "secret")]).warnings, [message]);
        }
    }
}
