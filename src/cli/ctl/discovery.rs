//! `--discovery-srv`: endpoints from the SRV records of a domain.

use std::path::Path;

use super::failure::{Exit, Failure};
use super::flags::Values;
use crate::client::{Resolver, Service};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) endpoints: Vec<String>,
    /// The name servers must have a certificate for; none if it is the one in their address.
    pub(super) server_name: Option<String>,
}

/// Asks for the endpoints, if a domain is given.
///
/// # Errors
/// If neither service has records, or only such as `--insecure-discovery=false` forbids.
pub(super) async fn discover(values: &Values) -> Result<Option<Found>, Failure> {
    let domain = values.text("discovery-srv");
    if domain.is_empty() {
        return Ok(None);
    }
    let resolver = Resolver::read(Path::new("/etc/resolv.conf"));
    let suffix = values.text("discovery-srv-name");
    let [secure, plain] = names(domain, suffix);
    let answers = tokio::join!(resolver.services(&secure), resolver.services(&plain));
    let found = match answers {
        (Err(secure), Err(plain)) => {
            let text = format!("dns lookup errors: {secure} and {plain}");
            return Err(Failure::new(Exit::Error, text));
        }
        (secure, plain) => [secure.unwrap_or_default(), plain.unwrap_or_default()],
    };
    choose(domain, &found, values.on("insecure-discovery")).map(Some)
}

/// The names of the two services, that with TLS first.
fn names(domain: &str, suffix: &str) -> [String; 2] {
    let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
    ["etcd-client-ssl", "etcd-client"].map(|service| format!("_{service}{suffix}._tcp.{domain}"))
}

fn choose(domain: &str, found: &[Vec<Service>; 2], plaintext: bool) -> Result<Found, Failure> {
    let [secure, plain] = found;
    let urls = |scheme: &str, services: &[Service]| {
        let url = |one: &Service| format!("{scheme}://{}:{}", one.host, one.port);
        services.iter().map(url).collect::<Vec<_>>()
    };
    let (mut endpoints, plain) = (urls("https", secure), urls("http", plain));
    if plaintext {
        endpoints.extend(plain);
        return Ok(Found { endpoints, server_name: None });
    }
    for endpoint in plain {
        eprintln!("ignoring discovered insecure endpoint \"{endpoint}\"");
    }
    if endpoints.is_empty() {
        // The original goes on with --endpoints, which as a rule is plaintext on this machine.
        let text = format!("{domain} has no SRV records of endpoints with TLS");
        return Err(Failure::new(Exit::Error, text));
    }
    Ok(Found { endpoints, server_name: Some(domain.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(host: &str, port: u16) -> Service {
        Service { priority: 1, host: host.to_owned(), port }
    }

    #[test]
    fn services_are_named_as_etcd_names_them() {
        let of = |suffix| names("example.org", suffix);
        let usual = ["_etcd-client-ssl._tcp.example.org", "_etcd-client._tcp.example.org"];
        assert_eq!(of(""), usual);
        assert_eq!(of("x")[0], "_etcd-client-ssl-x._tcp.example.org");
    }

    #[test]
    fn plaintext_is_left_out_where_it_is_forbidden() {
        let found = [vec![service("a.org", 1)], vec![service("b.org", 2)]];
        let all = choose("d.org", &found, true).unwrap();
        assert_eq!(all.endpoints, ["https://a.org:1", "http://b.org:2"]);
        assert_eq!(all.server_name, None);
        let secure = choose("d.org", &found, false).unwrap();
        assert_eq!(secure.endpoints, ["https://a.org:1"]);
        assert_eq!(secure.server_name.as_deref(), Some("d.org"));
        let none = choose("d.org", &[Vec::new(), vec![service("b.org", 2)]], false).unwrap_err();
        assert_eq!(none.exit, Exit::Error);
    }
}
