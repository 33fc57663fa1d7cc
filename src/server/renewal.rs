//! Certificates renew themselves: at two thirds of their life this server asks the issuer that
//! `issuer.json` beside them names. Without that file nothing is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certs::{Facts, Files, Key, Layout, read};
use crate::config::{Config, Tls};
use crate::enrol::{Known, is_of_other, renew_pair};
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

/// Puts a certificate in its place that was left beside it by a process that ended between key and
/// certificate: before the files are read for the first time.
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

fn complete_pair(files: &Files) -> Result<(), crate::certs::CertError> {
    let mut left = files.certificate.clone().into_os_string();
    left.push(".tmp");
    let left = PathBuf::from(left);
    let fits = |path: &Path, key: &Key| {
        let text = read(path).ok().flatten().unwrap_or_default();
        let facts = Facts::from_pem("", &text).ok();
        facts.and_then(|facts| Some(facts.first()?.public_key == key.public())).unwrap_or_default()
    };
    let Some(text) = read(&files.key)? else { return Ok(()) };
    let key = Key::from_pem(&files.key.display().to_string(), &text)?;
    if fits(&files.certificate, &key) || !fits(&left, &key) {
        return Ok(());
    }
    let path = files.certificate.clone();
    std::fs::rename(&left, &path).map_err(|source| crate::certs::CertError::Write { path, source })
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
            match renew_pair(&self.known(), &self.files).await {
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
                    let pause = (SHORTEST * 2_u32.saturating_pow(failures))
                        .min(left / 10)
                        .clamp(SHORTEST, LONGEST);
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

    /// How long until it is to be renewed, a little later for each so that many do not come at once,
    /// and how long it lives.
    fn due(&self) -> Result<(Duration, Duration), String> {
        let path = &self.files.certificate;
        let text = read(path).map_err(|error| error.to_string())?.unwrap_or_default();
        let facts = Facts::from_pem(&path.display().to_string(), &text);
        let facts = facts.map_err(|error| error.to_string())?;
        let facts = facts.first().ok_or("it holds no certificate")?;
        // The same for one certificate at every look: taken from its serial number.
        let chance = facts.serial.last().copied().unwrap_or_default();
        let jitter = facts.life() / 20 * u32::from(chance) / 256;
        let now = Clock.unix().as_secs().cast_signed();
        if is_of_other(&self.files, facts) {
            // Its authority will not be trusted for long, and nobody comes at once who is one of few.
            return Ok((Duration::ZERO, until(facts.not_after, now)));
        }
        let at = facts.due_at().saturating_add(jitter.as_secs().cast_signed());
        Ok((until(at, now), until(facts.not_after, now)))
    }
}

fn until(moment: i64, now: i64) -> Duration {
    Duration::from_secs((moment - now).max(0).cast_unsigned())
}
