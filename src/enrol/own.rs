//! What the issuer itself shows: to those who ask it, and to the cluster it registers members with.
//! Short-lived, made by itself, and never outside the authorities' directory.

use std::time::Duration;

use super::ISSUER_NAME;
use crate::certs::{CertError, Facts, Files, Leaf, Pki, Purpose, own_names, read};
use crate::types::clock::Clock;

/// How long its own certificates live; they are made anew at two thirds.
const LIFE: Duration = Duration::from_secs(86_400);
/// Whom the cluster takes it for.
const CLIENT: &str = "etcd-issuer";

/// The two pairs.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Shown to whoever asks.
    pub(super) server: Files,
    /// Shown to the cluster.
    pub(super) client: Files,
}

/// Makes sure that there is something to show to the cluster, for commands beside the issuer.
///
/// # Errors
/// If an authority is not here or a file cannot be written.
pub fn ensure_own(pki: &Pki) -> Result<(), CertError> {
    // The issuer adds the names it is reached by when it starts.
    ensure(pki, &[], Clock.unix()).map(|_| ())
}

/// Makes sure that both are there and good, and makes anew what is not. `hosts` are names it is
/// reached by; those that join do not look at them, but people's tools do.
///
/// # Errors
/// If an authority is not here or a file cannot be written.
pub(super) fn ensure(pki: &Pki, hosts: &[String], now: Duration) -> Result<Own, CertError> {
    let pair = |purpose| pki.layout().issuer_pair(purpose);
    let own = Own { server: pair(Purpose::Server), client: pair(Purpose::Client) };
    let mut names = vec![ISSUER_NAME.to_owned()];
    names.extend(own_names());
    names.extend(hosts.iter().cloned());
    names.sort_unstable();
    names.dedup();
    let leaf = |name: &str, hosts: Vec<String>, purpose| {
        let validity = pki.validity(LIFE);
        Leaf { common_name: name.to_owned(), hosts, purpose, validity }
    };
    for (files, leaf) in [
        (&own.server, leaf(ISSUER_NAME, names, Purpose::Server)),
        (&own.client, leaf(CLIENT, Vec::new(), Purpose::Client)),
    ] {
        if !is_good(pki, files, &leaf, now)? {
            pki.make_own(files, &leaf)?;
            tracing::info!(name = leaf.common_name, "made the issuer a certificate of its own");
        }
    }
    Ok(own)
}

fn is_good(pki: &Pki, files: &Files, leaf: &Leaf, now: Duration) -> Result<bool, CertError> {
    let (Some(certificate), true) = (read(&files.certificate)?, files.key.is_file()) else {
        return Ok(false);
    };
    // What cannot be read is made anew.
    let Ok(found) = Facts::from_pem("", &certificate) else { return Ok(false) };
    let Some(facts) = found.first() else { return Ok(false) };
    let side = leaf.purpose.side();
    Ok(facts.due_at() > now.as_secs().cast_signed()
        && certificate.ends_with(&pki.own_tail(side)?)
        && leaf.hosts.iter().all(|host| facts.is_for(host))
        && !pki.is_revoked(facts)?)
}
