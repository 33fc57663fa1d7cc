//! What this machine is called.

use std::fs;

/// The names and addresses every server of this machine answers to: the local ones, the host name
/// and the full name.
pub fn own_names() -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    names.extend(host_name());
    names.extend(full_name());
    names
}

/// The host name as the kernel has it.
pub fn host_name() -> Option<String> {
    // A service may not see the kernel's part of /proc.
    let name = rustix::system::uname().nodename().to_str().ok()?.trim().to_owned();
    (!name.is_empty() && name != "(none)").then_some(name)
}

/// The host name with its domain, when the machine knows it without asking others: from the host
/// name itself, `/etc/hosts`, or the domain in `/etc/resolv.conf`.
pub fn full_name() -> Option<String> {
    let name = host_name()?;
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    qualify(&name, &hosts, &resolver)
}

fn qualify(name: &str, hosts: &str, resolver: &str) -> Option<String> {
    if name.contains('.') {
        return Some(name.to_owned());
    }
    let words = |line: &str| -> Vec<String> {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let prefix = format!("{name}.");
    let listed = hosts.lines().map(words).find_map(|words| {
        let names = words.get(1..)?;
        let here = names.iter().any(|known| known == name);
        names.iter().find(|full| here && full.starts_with(&prefix)).cloned()
    });
    listed.or_else(|| {
        let domain = resolver.lines().map(words).find_map(|words| match words.as_slice() {
            [key, domain, ..] if key == "domain" || key == "search" => Some(domain.clone()),
            _ => None,
        })?;
        let domain = domain.trim_matches('.');
        (!domain.is_empty()).then(|| format!("{name}.{domain}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_comes_from_the_nearest_place_that_knows_it() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 db1.corp.example db1 # x\n";
        let resolver = "nameserver 10.0.0.1\nsearch other.example more.example\n";
        assert_eq!(qualify("a.b", hosts, resolver).as_deref(), Some("a.b"));
        assert_eq!(qualify("db1", hosts, resolver).as_deref(), Some("db1.corp.example"));
        assert_eq!(qualify("db2", hosts, resolver).as_deref(), Some("db2.other.example"));
        assert_eq!(qualify("db2", "", "search .\n"), None);
        assert_eq!(qualify("db2", "10.0.0.1 db2 db2x.example", ""), None);
    }

    #[test]
    fn this_machine_has_its_local_names() {
        assert!(own_names().starts_with(&["localhost", "127.0.0.1", "::1"].map(str::to_owned)));
    }
}
