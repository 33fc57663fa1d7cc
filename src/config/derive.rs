//! Values that follow from other values, as etcd lets them follow.

use std::net::IpAddr;

use figment::value::Value;

use super::layers::{Given, Origin, Settings};
use super::{pki, table};
use crate::types::url::Url;

/// Lays what follows on top of what was given; returns lines to log.
///
/// `host` is asked for the address other machines reach this one by.
pub(super) fn derive(settings: &mut Settings, host: impl Fn() -> Option<IpAddr>) -> Vec<String> {
    let mut notes = Vec::new();
    for (advertise, listen) in [
        ("initial-advertise-peer-urls", "listen-peer-urls"),
        ("advertise-client-urls", "listen-client-urls"),
    ] {
        notes.extend(advertise_host(settings, advertise, listen, &host));
    }
    // Before what follows from the URLs.
    notes.extend(pki::lay(settings));
    let name: String = settings.get("name");
    if settings.get::<String>("data-dir").is_empty() {
        let dir = format!("{name}.etcd");
        notes.push(format!("'data-dir' was empty; using default {dir}"));
        lay(settings, "data-dir", Value::from(dir), "--name");
    }
    let moved = settings
        .given_as("initial-advertise-peer-urls")
        .is_some_and(|given| matches!(given.origin, Origin::Derived(_)));
    if !settings.is_given("initial-cluster") && (name != "default" || moved) {
        let urls: Vec<String> = settings.get("initial-advertise-peer-urls");
        let members: Vec<String> = urls.iter().map(|url| format!("{name}={url}")).collect();
        let from = "--name and --initial-advertise-peer-urls";
        lay(settings, "initial-cluster", Value::from(members.join(",")), from);
    }
    notes
}

/// A server that listens everywhere and was told no address to advertise advertises the one it is
/// reached by.
fn advertise_host(
    settings: &mut Settings,
    advertise: &'static str,
    listen: &'static str,
    host: impl Fn() -> Option<IpAddr>,
) -> Option<String> {
    let listened: Vec<String> = settings.get(listen);
    let first = Url::parse(listened.first()?).ok()?;
    if settings.is_given(advertise) || first.scheme.is_unix() || first.host() != "0.0.0.0" {
        return None;
    }
    let Some(address) = host() else {
        return Some(format!("failed to detect default host for {advertise}"));
    };
    let address = std::net::SocketAddr::new(address, first.port()?).to_string();
    lay(settings, advertise, Value::from(vec![format!("http://{address}")]), listen);
    Some(format!("detected default host for advertise: {advertise} is http://{address}"))
}

/// Lays a value that follows from the setting `from`.
pub(super) fn lay(settings: &mut Settings, name: &'static str, value: Value, from: &'static str) {
    if let Some(setting) = table::named(name) {
        let origin = Origin::Derived(from);
        settings.lay([Given { setting, spelt: name.into(), value, origin }]);
    }
}

/// The address of the network card that leads to the rest of the world. Nothing is sent: naming
/// a destination makes the kernel choose the route.
pub(super) fn default_host() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address of the documentation range, which no host has.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::defaults();
        for (flag, text) in pairs {
            let given = table::by_flag(flag)
                .map(|s| Given::read(s, flag, text, &Origin::Flag((*flag).into())).unwrap());
            settings.lay(given.unwrap());
        }
        settings
    }

    const HOST: fn() -> Option<IpAddr> = || Some(IpAddr::from([10, 0, 0, 7]));

    #[test]
    fn a_name_decides_directory_and_cluster() {
        let mut named =
            settings(&[("name", "a"), ("initial-advertise-peer-urls", "http://h:2,http://h:1")]);
        let notes = derive(&mut named, HOST);
        assert_eq!(notes, ["'data-dir' was empty; using default a.etcd"]);
        assert_eq!(named.get::<String>("data-dir"), "a.etcd");
        assert_eq!(named.get::<String>("initial-cluster"), "a=http://h:1,a=http://h:2");
        assert_eq!(named.origin("data-dir"), "follows from --name");
    }

    #[test]
    fn what_was_given_stays() {
        let given = [("name", "a"), ("initial-cluster", "a=http://h:1"), ("data-dir", "/d")];
        let mut given = settings(&given);
        assert_eq!(derive(&mut given, HOST), Vec::<String>::new());
        assert_eq!(given.get::<String>("initial-cluster"), "a=http://h:1");
        // etcd leaves the cluster alone when only the advertised URL changes, and then complains.
        let mut moved = settings(&[("initial-advertise-peer-urls", "http://h:1")]);
        derive(&mut moved, HOST);
        assert_eq!(moved.get::<String>("initial-cluster"), "default=http://localhost:2380");
    }

    #[test]
    fn listening_everywhere_advertises_the_default_route() {
        let mut wide = settings(&[("listen-peer-urls", "http://0.0.0.0:7"), ("data-dir", "/d")]);
        let notes = derive(&mut wide, HOST);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert_eq!(wide.get::<Vec<String>>("initial-advertise-peer-urls"), ["http://10.0.0.7:7"]);
        assert_eq!(wide.get::<String>("initial-cluster"), "default=http://10.0.0.7:7");
        for listen in ["http://[::]:7", "http://127.0.0.1:7"] {
            let mut narrow = settings(&[("listen-peer-urls", listen), ("data-dir", "/d")]);
            assert!(derive(&mut narrow, HOST).is_empty(), "{listen}");
        }
        let mut lost = settings(&[("listen-peer-urls", "http://0.0.0.0:7"), ("data-dir", "/d")]);
        assert_eq!(derive(&mut lost, || None).len(), 1);
        assert_eq!(
            lost.get::<Vec<String>>("initial-advertise-peer-urls"),
            ["http://localhost:2380"]
        );
    }
}
