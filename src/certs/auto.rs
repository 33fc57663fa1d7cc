//! The self-signed pair behind `--auto-tls`: encryption without knowing whom one talks to.
//!
//! Lies where etcd puts it (`<data-dir>/fixtures/client`), is used again at the next start, and is
//! made anew once it expired or no longer fits the addresses listened on. etcd keeps an expired one
//! for ever, and every client then fails with it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
};
use x509_parser::extensions::GeneralName;

use super::CertError;
use super::issue::{Validity, serial, set_validity};
use super::key::{Key, Secret};
use super::store::{write_certificate, write_key};

/// Renewed at a start when less than this is left: a certificate that ends between two starts
/// cannot be renewed without one.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Subject of etcd's own self-signed certificates.
const ORGANISATION: &str = "etcd";

/// The two files of a self-signed certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// `cert.pem`.
    pub certificate: PathBuf,
    /// `key.pem`.
    pub key: PathBuf,
    /// Why it was made now; none when the one on disk was still good.
    pub made_because: Option<&'static str>,
}

/// Makes sure that `dir` holds a self-signed certificate valid for `hosts` (names or addresses,
/// without ports), and makes one for `years` years if not.
///
/// # Errors
/// If the directory or the files cannot be written, or a host name cannot be encoded.
pub fn ensure_self_signed(
    dir: &Path,
    hosts: &[String],
    years: u32,
    now: Duration,
) -> Result<Pair, CertError> {
    let certificate = dir.join("cert.pem");
    let key = dir.join("key.pem");
    let hosts = reachable_names(hosts);
    let made_because = why_not(&certificate, &key, &hosts, now);
    if made_because.is_some() {
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| CertError::Write { path: dir.to_owned(), source })?;
        let (text, secret) = make(&hosts, years.max(1), now)?;
        // The certificate goes first: a key without its certificate would look like a mismatch.
        write_certificate(&certificate, &text)?;
        write_key(&key, &secret)?;
    }
    Ok(Pair { certificate, key, made_because })
}

/// What clients may call us: listening on every address means any of the machine's, of which the
/// local ones are known.
fn reachable_names(hosts: &[String]) -> Vec<String> {
    let mut names: Vec<String> = hosts.iter().filter(|host| !host.is_empty()).cloned().collect();
    let everywhere = |host: &String| {
        host.is_empty() || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    };
    if hosts.is_empty() || hosts.iter().any(everywhere) {
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn make(hosts: &[String], years: u32, now: Duration) -> Result<(String, Secret), CertError> {
    let subject = hosts.join(",");
    let fault = |source| CertError::Generate { subject: subject.clone(), source };
    let key = Key::generate()?;
    let mut params = CertificateParams::new(hosts.to_vec()).map_err(fault)?;
    let validity = Validity::starting(now, YEAR * years);
    set_validity(&mut params, validity, &subject)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, ORGANISATION);
    params.serial_number = Some(serial(&key, validity));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key).map_err(fault)?;
    Ok((certificate.pem(), key.secret()))
}

/// Why the pair on disk cannot be used; `None` when it can.
fn why_not(
    certificate: &Path,
    key: &Path,
    hosts: &[String],
    now: Duration,
) -> Option<&'static str> {
    let (Ok(certificate), Ok(mode)) = (fs::read(certificate), fs::metadata(key)) else {
        return Some("there is none yet");
    };
    if mode.permissions().mode() & 0o077 != 0 {
        return Some("others could read the key");
    }
    let Ok(Some(key)) = Key::read(key) else {
        return Some("the key on disk is not of a supported kind");
    };
    let Ok((_, block)) = x509_parser::pem::parse_x509_pem(&certificate) else {
        return Some("the certificate on disk is damaged");
    };
    let Ok(parsed) = block.parse_x509() else {
        return Some("the certificate on disk is damaged");
    };
    if parsed.public_key().subject_public_key.data.as_ref() != key.public() {
        return Some("certificate and key on disk do not belong together");
    }
    let end = parsed.validity().not_after.timestamp();
    if end < now.saturating_add(RENEW_BEFORE).as_secs().cast_signed() {
        return Some("the one on disk expires soon or has expired");
    }
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|found| found.value.general_names.clone()).unwrap_or_default();
    let named = |host: &String| names.iter().any(|name| is_host(name, host));
    (!hosts.iter().all(named)).then_some("the listening addresses changed")
}

fn is_host(name: &GeneralName<'_>, host: &str) -> bool {
    match (name, host.parse::<IpAddr>()) {
        (GeneralName::DNSName(name), Err(_)) => name.eq_ignore_ascii_case(host),
        (GeneralName::IPAddress(bytes), Ok(IpAddr::V4(address))) => **bytes == address.octets(),
        (GeneralName::IPAddress(bytes), Ok(IpAddr::V6(address))) => **bytes == address.octets(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn ensure(dir: &Path, hosts: &[&str], now: Duration) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        ensure_self_signed(dir, &hosts, 1, now).unwrap()
    }

    #[test]
    fn a_good_pair_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("fixtures").join("client");
        let first = ensure(&dir, &["localhost", "10.1.2.3"], NOW);
        assert_eq!(first.made_because, Some("there is none yet"));
        let bytes = fs::read(&first.certificate).unwrap();
        let again = ensure(&dir, &["10.1.2.3"], NOW + YEAR / 2);
        assert_eq!(again.made_because, None);
        assert_eq!(fs::read(&again.certificate).unwrap(), bytes);
        assert_eq!(fs::metadata(&again.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_unfit_pair_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        ensure(dir, &["localhost"], NOW);
        let expired = ensure(dir, &["localhost"], NOW + YEAR);
        assert_eq!(expired.made_because, Some("the one on disk expires soon or has expired"));
        let moved = ensure(dir, &["::1"], NOW + YEAR);
        assert_eq!(moved.made_because, Some("the listening addresses changed"));
        fs::write(dir.join("key.pem"), "gone").unwrap();
        let broken = ensure(dir, &["::1"], NOW + YEAR);
        assert_eq!(broken.made_because, Some("the key on disk is not of a supported kind"));
        fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(ensure(dir, &["::1"], NOW).made_because, Some("others could read the key"));
    }

    #[test]
    fn listening_everywhere_includes_the_local_names() {
        let names = reachable_names(&["0.0.0.0".to_owned()]);
        assert_eq!(names, ["0.0.0.0", "127.0.0.1", "::1", "localhost"]);
        assert_eq!(reachable_names(&["db1".to_owned()]), ["db1"]);
    }
}
