//! Settings on top of each other: what each layer said, what holds in the end, who said so.

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::table::{self, Kind, Setting};
use super::value;

/// Where a value comes from; later ones lie on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The table.
    Default,
    /// A line of the file.
    File {
        /// Path of the file as it was given.
        path: String,
        /// Line of the key, from one.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
    /// Another setting.
    Derived(&'static str),
}

impl Origin {
    /// Whether both are of one layer, so that neither lies on top.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line } => write!(out, "file {path}:{line}"),
            Self::Variable(name) => write!(out, "environment {name}"),
            Self::Flag(name) => write!(out, "flag --{name}"),
            Self::Derived(from) => write!(out, "follows from {from}"),
        }
    }
}

/// One value somebody gave.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The setting it is for.
    pub(super) setting: &'static Setting,
    /// Name of flag, variable or key that was used.
    pub(super) spelt: String,
    /// The value.
    pub(super) value: Value,
    /// Who gave it.
    pub(super) origin: Origin,
}

impl Given {
    /// Reads `text` for `setting`. A list of feature gates becomes one value for each of them.
    ///
    /// # Errors
    /// The reason etcd gives.
    pub(super) fn read(
        setting: &'static Setting,
        spelt: &str,
        text: &str,
        origin: &Origin,
    ) -> Result<Vec<Self>, String> {
        let one =
            |setting, value| Self { setting, spelt: spelt.into(), value, origin: origin.clone() };
        let own = one(setting, value::parse(setting.kind, text)?);
        let gates = if setting.kind == Kind::Gates { value::gates(text)? } else { Vec::new() };
        let gates = gates.into_iter().map(|(gate, on)| one(gate, Value::from(on)));
        Ok(std::iter::once(own).chain(gates).collect())
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let dict = Dict::from([(self.setting.name.to_owned(), self.value.clone())]);
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// All layers merged.
#[derive(Clone)]
pub(super) struct Settings {
    figment: Figment,
    given: Vec<Given>,
}

impl Settings {
    /// The defaults of the table.
    pub(super) fn defaults() -> Self {
        let mut dict = Dict::new();
        for setting in table::all() {
            if let Ok(value) = value::parse(setting.kind, setting.default)
                && setting.kind != Kind::Relic
            {
                dict.insert(setting.name.into(), value);
            }
        }
        Self { figment: Figment::from(Serialized::defaults(dict)), given: Vec::new() }
    }

    /// Lays more values on top.
    pub(super) fn lay(&mut self, given: impl IntoIterator<Item = Given>) {
        for one in given {
            self.figment = std::mem::take(&mut self.figment).merge(&one);
            self.given.push(one);
        }
    }

    /// The value that holds, if the setting has one.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.figment.find_value(name).ok()
    }

    /// The value that holds as a type of the tree.
    pub(super) fn get<'a, T: serde::Deserialize<'a> + Default>(&self, name: &str) -> T {
        let value = self.figment.extract_inner(name);
        debug_assert!(value.is_ok(), "{name} is no setting of this type");
        value.unwrap_or_default()
    }

    /// Who gave the value that holds, as a text for people.
    pub(super) fn origin(&self, name: &str) -> String {
        let layered = self.given.iter().any(|given| given.setting.name == name);
        let source = self.figment.find_metadata(name).filter(|_| layered);
        source.map_or_else(|| Origin::Default.to_string(), |metadata| metadata.name.to_string())
    }

    /// Whether anybody gave a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given_as(name).is_some()
    }

    /// The value on top as it was given, if one was.
    pub(super) fn given_as(&self, name: &str) -> Option<&Given> {
        self.given.iter().rev().find(|given| given.setting.name == name)
    }

    /// All that was given, from the bottom up.
    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    /// Settings somebody gave, each once, as they hold.
    pub(super) fn tops(&self) -> impl Iterator<Item = &Given> {
        table::all().filter_map(|setting| self.given_as(setting.name))
    }

    /// For every setting given in several layers: its name, who holds, and who is covered.
    pub(super) fn shadowed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for top in self.tops().filter(|top| !matches!(top.origin, Origin::Derived(_))) {
            let below: Vec<String> = self
                .given
                .iter()
                .filter(|given| given.setting.name == top.setting.name)
                .filter(|given| !given.origin.is_beside(&top.origin))
                .map(|given| given.origin.to_string())
                .collect();
            if !below.is_empty() {
                let name = top.setting.name;
                lines.push(format!("{name}: {} holds and covers {}", top.origin, below.join(", ")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(flag: &str, text: &str, origin: &Origin) -> Vec<Given> {
        let setting = table::by_flag(flag);
        setting.map(|s| Given::read(s, flag, text, origin).unwrap_or_default()).unwrap_or_default()
    }

    #[test]
    fn the_last_layer_holds_and_names_its_source() {
        let file = Origin::File { path: "e.yml".into(), line: 3 };
        let variable = Origin::Variable("ETCD_NAME".into());
        let mut settings = Settings::defaults();
        assert_eq!(settings.get::<String>("name"), "default");
        assert_eq!(settings.origin("name"), "default");
        settings.lay(given("name", "f", &file));
        assert_eq!(settings.origin("name"), "file e.yml:3");
        settings.lay(given("name", "v", &variable));
        settings.lay(given("name", "a", &Origin::Flag("name".into())));
        settings.lay(given("name", "b", &Origin::Flag("name".into())));
        assert_eq!(settings.get::<String>("name"), "b");
        assert_eq!(settings.origin("name"), "flag --name");
        assert_eq!(
            settings.shadowed(),
            ["name: flag --name holds and covers file e.yml:3, environment ETCD_NAME"]
        );
        assert_eq!(settings.origin("data-dir"), "default");
    }

    #[test]
    fn lists_replace_lists() {
        let mut settings = Settings::defaults();
        settings.lay(given("cors", "http://a:1", &Origin::Variable("ETCD_CORS".into())));
        assert_eq!(settings.get::<Vec<String>>("cors"), ["http://a:1"]);
    }

    #[test]
    fn a_gate_is_set_by_the_list_and_by_its_old_flag() {
        let mut settings = Settings::defaults();
        let flag = Origin::Flag("feature-gates".into());
        settings.lay(given("feature-gates", "LeaseCheckpoint=true", &flag));
        assert!(settings.get::<bool>("LeaseCheckpoint"));
        settings.lay(given("experimental-enable-lease-checkpoint", "false", &flag));
        assert!(!settings.get::<bool>("LeaseCheckpoint"));
    }
}
