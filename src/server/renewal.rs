//! Certificates renew themselves: at two thirds of their life this server asks the issuer that
//! `issuer.json` beside them names. Without that file nothing is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::certs::{Facts, Files, Key, Layout, New, Owner, read, write_all};
use crate::config::{Config, Tls};
use crate::enrol::{Asker, Known};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::{IntCounterVec, Registry};
use crate::transport::Credentials;
use crate::types::clock::Clock;

/// Longest and shortest time between two looks at a certificate: somebody else may have replaced it,
/// and an issuer that is away is not to be asked all the time.
const LONGEST: Duration = Duration::from_secs(3600);
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
fn pairs(config: &Config) -> Vec<Files> {
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
                    (LONGEST, LONGEST)
                }
            };
            if !due.is_zero() {
                tokio::time::sleep(due.clamp(SHORTEST, LONGEST)).await;
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
                    let pause = (SHORTEST * 2_u32.saturating_pow(failures))
                        .min(left / 10)
                        .clamp(SHORTEST, LONGEST);
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        error,
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
        let at = facts.due_at().saturating_add(jitter.as_secs().cast_signed());
        let now = Clock.unix().as_secs().cast_signed();
        let until = |moment: i64| Duration::from_secs((moment - now).max(0).cast_unsigned());
        Ok((until(at), until(facts.not_after)))
    }

    async fn renew(&self) -> Result<(), String> {
        let files = self.files.clone();
        let text = |path: &Path| match read(path) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(format!("{} is not there", path.display())),
            Err(error) => Err(error.to_string()),
        };
        let (pem, key) = (text(&files.certificate)?, text(&files.key)?);
        let fault = |error: crate::certs::CertError| error.to_string();
        let old = Key::from_pem(&files.key.display().to_string(), &key).map_err(fault)?;
        let new = Key::generate().map_err(fault)?;
        let mut asker = Asker::of(&self.known).map_err(|error| error.to_string())?;
        let renewed = asker.renew(&pem, &old, &new).await.map_err(|error| error.to_string())?;
        let written = spawn_blocking(move || {
            let owner = Owner::of(files.certificate.parent().unwrap_or(Path::new(".")))?;
            write_all(&[
                New::private(&files.key, new.secret().expose(), owner),
                New::public(&files.certificate, &renewed, owner),
            ])
        });
        written.await.map_err(|error| error.to_string())?.map_err(fault)
    }
}
