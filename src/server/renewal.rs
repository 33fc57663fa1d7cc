//! Certificates renew themselves: at two thirds of their life this server asks the issuer that
//! `issuer.json` beside them names. Without that file nothing is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::certs::{CertError, Facts, Files, Key, Layout, read};
use crate::config::{Config, Tls};
use crate::enrol::{AskError, Known, is_of_other, renew_pair};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::{IntCounterVec, Registry};
use crate::transport::Credentials;
use crate::types::clock::Clock;

/// How often a certificate is looked at: somebody else may have replaced it, or its authority.
const LOOK: Duration = Duration::from_secs(5);
/// Longest and shortest pause after a failure: an issuer that is away is not to be asked all the time.
const LONGEST: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(1);

/// A pair of files and the issuer that renews it.
struct Renewed {
    files: Files,
    known: Known,
}

/// Starts looking after every pair of the configuration that lies beside an `issuer.json`.
pub(super) fn start(
    config: &Config,
    credentials: &[Credentials],
    registry: &Registry,
    supervisor: &Supervisor,
) {
    let count = registry.counter_vec(
        "etcd_rs_tls_certificate_renewals_total",
        "The total number of times an issuer was asked to renew a certificate, by result.",
        &["result"],
    );
    for files in pairs(config) {
        let Some(known) = known(&files) else { continue };
        let (credentials, count) = (credentials.to_vec(), count.clone());
        let stop = supervisor.stop_token(Stage::Upkeep);
        let renewed = Renewed { files, known };
        supervisor.spawn("renewal", Stage::Upkeep, async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = renewed.keep(&credentials, &count) => {}
            }
        });
    }
}

/// Puts certificates in their places that were left beside them by a process that ended between key
/// and certificate: before the files are read for the first time.
pub(super) fn complete(config: &Config) {
    for files in pairs(config) {
        if known(&files).is_some()
            && let Err(error) = complete_pair(&files)
        {
            let file = files.certificate.display();
            tracing::warn!(%error, certificate = %file, "cannot complete an interrupted renewal");
        }
    }
}

/// Does so for one pair, if what is beside it belongs to the key that is in its place, and tells
/// whether it does.
fn complete_pair(files: &Files) -> Result<bool, CertError> {
    let mut left = files.certificate.clone().into_os_string();
    left.push(".tmp");
    let left = PathBuf::from(left);
    let fits = |path: &Path, key: &Key| {
        let text = read(path).ok().flatten().unwrap_or_default();
        let facts = Facts::from_pem("", &text).ok();
        facts.and_then(|facts| Some(facts.first()?.public_key == key.public())).unwrap_or_default()
    };
    let Some(key) = Key::read(&files.key)? else { return Ok(false) };
    if fits(&files.certificate, &key) || !fits(&left, &key) {
        return Ok(false);
    }
    let path = files.certificate.clone();
    let renamed = std::fs::rename(&left, &path);
    renamed.map(|()| true).map_err(|source| CertError::Write { path, source })
}

/// The pairs of files the configuration names.
pub(super) fn pairs(config: &Config) -> Vec<Files> {
    let pair = |certificate: &Option<PathBuf>, key: &Option<PathBuf>| {
        let (certificate, key) = (certificate.clone()?, key.clone()?);
        Some(Files { certificate, key })
    };
    let both = |tls: &Tls| {
        [pair(&tls.cert_file, &tls.key_file), pair(&tls.client_cert_file, &tls.client_key_file)]
    };
    let all = [both(&config.client_tls), both(&config.peer_tls)].into_iter().flatten().flatten();
    let mut found: Vec<Files> = Vec::new();
    for files in all {
        if !found.contains(&files) {
            found.push(files);
        }
    }
    found
}

/// Who renews a pair; a file that cannot be used is said and is as if it were not there.
fn known(files: &Files) -> Option<Known> {
    let dir = files.certificate.parent()?;
    match Known::read(&Layout::of(dir).issuer()) {
        Ok(known) => known,
        Err(error) => {
            tracing::warn!(%error, "certificates here will not be renewed");
            None
        }
    }
}

impl Renewed {
    /// The issuer as it is known now: its root may have been replaced.
    fn known(&self) -> Known {
        known(&self.files).unwrap_or_else(|| self.known.clone())
    }

    async fn keep(&self, credentials: &[Credentials], count: &IntCounterVec) {
        let file = self.files.certificate.display().to_string();
        let mut failures = 0_u32;
        loop {
            let (due, left) = match self.due() {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(
                        error,
                        certificate = file,
                        "cannot see when it is to be renewed"
                    );
                    tokio::time::sleep(LONGEST).await;
                    continue;
                }
            };
            if !due.is_zero() {
                tokio::time::sleep(due.clamp(SHORTEST, LOOK)).await;
                continue;
            }
            match self.renew().await {
                Ok(()) => {
                    failures = 0;
                    count.with_label_values(&["success"]).inc();
                    tracing::info!(certificate = file, "renewed by the issuer");
                    for held in credentials {
                        // What is wrong with the files is said there.
                        let _ = held.reload();
                    }
                }
                Err(error) => {
                    count.with_label_values(&["failure"]).inc();
                    let pause = pause_after(failures, left);
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        %error,
                        certificate = file,
                        "next-try-in" = ?pause,
                        "not renewed by the issuer"
                    );
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Renews the pair; if a renewal broke off half way, it ends that one.
    async fn renew(&self) -> Result<(), AskError> {
        let files = self.files.clone();
        let completed = spawn_blocking(move || complete_pair(&files)).await;
        if completed.map_err(|error| AskError::Answer(error.to_string()))?? {
            return Ok(());
        }
        renew_pair(&self.known(), &self.files).await
    }

    /// How long until it is to be renewed, and how long it lives.
    fn due(&self) -> Result<(Duration, Duration), String> {
        let path = &self.files.certificate;
        let text = read(path).map_err(|error| error.to_string())?.unwrap_or_default();
        let facts = Facts::from_pem(&path.display().to_string(), &text);
        let facts = facts.map_err(|error| error.to_string())?;
        let facts = facts.first().ok_or("it holds no certificate")?;
        let now = Clock.unix().as_secs().cast_signed();
        if is_of_other(&self.files, facts) {
            // Its authority will not be trusted for long, and nobody comes at once who is one of few.
            return Ok((Duration::ZERO, until(facts.not_after, now)));
        }
        let at = facts.due_at().saturating_add(jitter(facts).as_secs().cast_signed());
        Ok((until(at, now), until(facts.not_after, now)))
    }
}

/// A little later for each, at most a twentieth of its life, so that many do not come at once. Taken from
/// the serial number, so that it is the same at every look.
fn jitter(facts: &Facts) -> Duration {
    let chance = facts.serial.last().copied().unwrap_or_default();
    facts.life() / 20 * u32::from(chance) / 256
}

/// How long to leave the issuer alone after so many failures before this one: longer each time, but so
/// that a certificate with so much time left is asked for ten times before its end.
fn pause_after(failures: u32, left: Duration) -> Duration {
    SHORTEST.saturating_mul(2_u32.saturating_pow(failures)).min(left / 10).clamp(SHORTEST, LONGEST)
}

fn until(moment: i64, now: i64) -> Duration {
    Duration::from_secs((moment - now).max(0).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_is_away_is_asked_less_and_less_and_in_time() {
        let day = Duration::from_secs(86_400);
        let seconds = |failures, left| pause_after(failures, left).as_secs();
        let pauses: Vec<u64> = (0..12).map(|failures| seconds(failures, 30 * day)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!((seconds(u32::MAX, 30 * day), seconds(9, day / 864)), (300, 10));
        assert_eq!(seconds(9, Duration::ZERO), 1, "what is over is asked for all the same");
    }

    #[test]
    fn many_certificates_of_one_day_are_not_renewed_at_once() {
        let life = 90 * 86_400;
        let of = |last: u8| Facts { serial: vec![1, last], not_after: life, ..Facts::default() };
        let jitters: Vec<u64> = (0..=255).map(|last| jitter(&of(last)).as_secs()).collect();
        let at_once = jitters.iter().filter(|jitter| **jitter < 3600).count();
        assert!(at_once <= 3, "{at_once} of 256 within an hour");
        assert!(jitters.iter().all(|jitter| jitter * 20 < life.cast_unsigned()));
        assert_eq!(jitter(&of(7)), jitter(&of(7)));
    }
}
