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
    /// Whether this member can found the cluster it describes. Only a node without data asks: one
    /// with data knows its cluster already and reads none of this.
    ///
    /// # Errors
    /// The sentence etcd says.
    pub fn check_founding(&self) -> Result<(), String> {
        let members = &self.cluster.initial_members;
        let name = &self.member.name;
        let own = members
            .iter()
            .find(|(member, _)| member == name && !name.is_empty())
            .ok_or_else(|| {
                format!("couldn't find local name {name:?} in the initial cluster configuration")
            })?;
        let mut seen = HashSet::new();
        if members.iter().flat_map(|(_, urls)| urls).any(|url| !seen.insert(url)) {
            return Err(format!(
                "initial cluster {} has duplicate url",
                self.cluster.initial_cluster
            ));
        }
        let advertised = &self.member.initial_advertise_peer_urls;
        let join = |urls: &[Url], prefix: &str| {
            urls.iter().map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
        };
        let missing = |from: &[Url], other: &[Url]| -> Vec<Url> {
            from.iter().filter(|url| !other.contains(url)).cloned().collect()
        };
        let unadvertised = missing(&own.1, advertised);
        if !unadvertised.is_empty() {
            return Err(format!(
                "--initial-cluster has {} but missing from --initial-advertise-peer-urls={}",
                join(&unadvertised, &format!("{name}=")),
                join(advertised, ""),
            ));
        }
        let unnamed = missing(advertised, &own.1);
        if !unnamed.is_empty() {
            return Err(format!(
                "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}",
                join(&unnamed, ""),
                join(&own.1, &format!("{name}=")),
            ));
        }
        Ok(())
    }
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
        assert_eq!(Config::default().check_founding(), Ok(()));
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
            assert_eq!(config(name, cluster, advertise).check_founding(), Err(fault.to_owned()));
        }
    }
}
