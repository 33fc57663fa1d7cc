//! The first members of a cluster, as `initial-cluster` names them.

use std::collections::{BTreeMap, HashSet};

use super::Config;
use crate::types::url::Url;

/// A name and its peer URLs, sorted.
pub type InitialMember = (String, Vec<Url>);

/// Reads `name=url,name=url`; a name given several times has several URLs.
pub(super) fn members(text: &str) -> Result<Vec<InitialMember>, String> {
    let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
        let (name, url) = entry.split_once('=').unwrap_or((entry, ""));
        let url =
            Url::parse(url).map_err(|why| format!("error setting up initial cluster: {why}"))?;
        members.entry(name.into()).or_default().push(url);
    }
    for urls in members.values_mut() {
        urls.sort_by_key(ToString::to_string);
    }
    Ok(members.into_iter().collect())
}

impl Config {
    /// Whether the first members name this one, and nobody twice. Only a node without data asks: one
    /// with data knows its cluster already and reads none of this.
    ///
    /// # Errors
    /// The sentence etcd says.
    pub fn check_initial_members(&self) -> Result<(), String> {
        self.own_initial_urls()?;
        let mut seen = HashSet::new();
        let mut all = self.cluster.initial_members.iter().flat_map(|(_, urls)| urls);
        if all.any(|url| !seen.insert(url)) {
            return Err(format!(
                "initial cluster {} has duplicate url",
                self.cluster.initial_cluster
            ));
        }
        Ok(())
    }

    /// Where the first members say that this one is reached.
    ///
    /// # Errors
    /// The sentence etcd says if they do not name it.
    pub fn own_initial_urls(&self) -> Result<&[Url], String> {
        let name = &self.member.name;
        let mut members = self.cluster.initial_members.iter();
        let own = members.find(|(member, _)| member == name && !name.is_empty());
        own.map(|(_, urls)| urls.as_slice()).ok_or_else(|| {
            format!("couldn't find local name {name:?} in the initial cluster configuration")
        })
    }

    /// Whether this member advertises what the first members say of it. `resolved` tells the two lists
    /// with names replaced by addresses if they differ as they are written; equal there is good enough.
    ///
    /// # Errors
    /// The sentence etcd says.
    pub fn check_advertised(&self, resolved: Option<(&[String], &[String])>) -> Result<(), String> {
        let name = &self.member.name;
        let own = self.own_initial_urls()?;
        let advertised = &self.member.initial_advertise_peer_urls;
        let (unadvertised, unnamed) = (missing(own, advertised), missing(advertised, own));
        let hint = match resolved {
            Some((advertised, named)) if advertised == named => return Ok(()),
            Some((advertised, named)) => {
                format!(" (resolved urls: {:?} != {:?})", advertised.join(","), named.join(","))
            }
            None => String::new(),
        };
        if !unadvertised.is_empty() {
            return Err(format!(
                "--initial-cluster has {} but missing from --initial-advertise-peer-urls={}{hint}",
                join(&unadvertised, &format!("{name}=")),
                join(advertised, ""),
            ));
        }
        if !unnamed.is_empty() {
            return Err(format!(
                "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}{hint}",
                join(&unnamed, ""),
                join(own, &format!("{name}=")),
            ));
        }
        Ok(())
    }
}

fn join(urls: &[Url], prefix: &str) -> String {
    urls.iter().map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
}

fn missing(from: &[Url], other: &[Url]) -> Vec<Url> {
    from.iter().filter(|url| !other.contains(url)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, cluster: &str, advertise: &str) -> Config {
        let mut config = Config::default();
        config.member.name = name.into();
        config.member.initial_advertise_peer_urls = Url::parse_list(advertise).unwrap();
        config.cluster.initial_members = members(cluster).unwrap();
        config.cluster.initial_cluster = cluster.into();
        config
    }

    #[test]
    fn a_name_may_have_several_urls() {
        let members = members("b=http://h:3,a=http://h:2,a=http://h:1").unwrap();
        let shown: Vec<_> =
            members.iter().map(|(name, urls)| (name.as_str(), urls.len())).collect();
        assert_eq!(shown, [("a", 2), ("b", 1)]);
        assert_eq!(members[0].1[0].to_string(), "http://h:1");
        assert_eq!(
            super::members("default").unwrap_err(),
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "
        );
    }

    #[test]
    fn a_founder_names_itself_and_advertises_what_it_names() {
        let check = |config: Config| {
            config.check_initial_members().and_then(|()| config.check_advertised(None))
        };
        assert_eq!(check(Config::default()), Ok(()));
        for (name, cluster, advertise, fault) in [
            (
                "",
                "=http://h:1",
                "http://h:1",
                "couldn't find local name \"\" in the initial cluster configuration",
            ),
            (
                "x",
                "y=http://h:1",
                "http://h:1",
                "couldn't find local name \"x\" in the initial cluster configuration",
            ),
            (
                "a",
                "a=http://h:1,b=http://h:1",
                "http://h:1",
                "initial cluster a=http://h:1,b=http://h:1 has duplicate url",
            ),
            (
                "a",
                "a=http://h:1",
                "http://h:2",
                "--initial-cluster has a=http://h:1 but missing from \
                 --initial-advertise-peer-urls=http://h:2",
            ),
            (
                "a",
                "a=http://h:1",
                "http://h:1,http://h:2",
                "--initial-advertise-peer-urls has http://h:2 but missing from \
                 --initial-cluster=a=http://h:1",
            ),
        ] {
            assert_eq!(check(config(name, cluster, advertise)), Err(fault.to_owned()));
        }
    }

    #[test]
    fn two_names_of_one_address_are_the_same() {
        let config = config("a", "a=http://localhost:1", "http://127.0.0.1:1");
        let (one, other) = (["http://127.0.0.1:1".to_owned()], ["http://127.0.0.2:1".to_owned()]);
        assert_eq!(config.check_advertised(Some((&one, &one))), Ok(()));
        assert_eq!(
            config.check_advertised(Some((&one, &other))).unwrap_err(),
            "--initial-cluster has a=http://localhost:1 but missing from \
             --initial-advertise-peer-urls=http://127.0.0.1:1 (resolved urls: \
             \"http://127.0.0.1:1\" != \"http://127.0.0.2:1\")"
        );
    }
}
