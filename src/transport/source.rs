//! Whether a certificate is shown from where it says. etcd asks that of its peers: a stolen key is of
//! little use on another machine.

use std::net::{IpAddr, SocketAddr};

use super::identity::PeerCertificate;

/// Whether `certificate` may be shown by a peer at `remote`: it names the address, or a host that has
/// the address, or nobody at all. Names with a wildcard would take a reverse look-up, which the standard
/// library does not have; they admit nobody.
///
/// # Errors
/// The words of etcd, and what to do.
pub(super) async fn check(certificate: &PeerCertificate, remote: &str) -> Result<(), String> {
    let PeerCertificate { ip_addresses, dns_names, .. } = certificate;
    if ip_addresses.is_empty() && dns_names.is_empty() {
        return Ok(());
    }
    // A Unix socket has no address to be named.
    let Ok(address) = remote.parse::<SocketAddr>() else { return Ok(()) };
    let address = address.ip().to_canonical();
    if ip_addresses.iter().any(|named| named.to_canonical() == address) {
        return Ok(());
    }
    for name in dns_names.iter().filter(|name| !name.contains('*')) {
        if has(name, address).await {
            return Ok(());
        }
    }
    Err(format!(
        "tls: {:?} does not match any of DNSNames {dns_names:?}, nor of the addresses \
         {ip_addresses:?}; name the address or its host in the certificate, or set \
         --peer-skip-client-san-verification",
        address.to_string()
    ))
}

async fn has(name: &str, address: IpAddr) -> bool {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(mut found) => found.any(|found| found.ip().to_canonical() == address),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str], addresses: &[&str]) -> PeerCertificate {
        PeerCertificate {
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ip_addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..PeerCertificate::default()
        }
    }

    #[tokio::test]
    async fn a_certificate_is_shown_from_where_it_says() {
        let from = "127.0.0.1:5";
        for (names, addresses, admitted) in [
            (&[][..], &[][..], true),
            (&[], &["127.0.0.1"], true),
            (&[], &["::ffff:127.0.0.1"], true),
            (&["localhost"], &["10.0.0.1"], true),
            (&[], &["10.0.0.1"], false),
            (&["*.example.org"], &[], false),
        ] {
            let checked = check(&certificate(names, addresses), from).await;
            assert_eq!(checked.is_ok(), admitted, "{names:?} {addresses:?} {checked:?}");
        }
        assert_eq!(check(&certificate(&["a"], &[]), "@").await, Ok(()));
    }
}
