//! Credentials as a live value: read, checked, published; replaced without a restart.
//!
//! Every handshake takes the current configuration. Files that changed on disk are noticed at the
//! next handshake (looked at once a second at most), and [`Credentials::reload`] does it on demand.
//! Material that does not pass the checks never replaces what works.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;

use super::error::TlsError;
use super::expiry::Expiry;
use super::identity::PeerCertificate;
use super::material::Material;
use super::metrics::Metrics;
use super::revocations::{self, ListRefused, Signed};
use crate::config::{Tls, TlsLimits};
use crate::files::Stamp;
use crate::types::clock::Clock;
use crate::types::hex::hex;

/// How often the files are looked at while connections arrive: soon enough for any rotation, and a
/// handshake storm costs no file system calls.
const RECHECK: Duration = Duration::from_secs(1);

/// One consistent set of credentials.
#[derive(Clone)]
pub struct Live {
    /// For listeners; none when there is no certificate to show.
    pub server: Option<Arc<ServerConfig>>,
    /// For dialling; none when there is nobody to trust.
    pub client: Option<Arc<ClientConfig>>,
    /// Serial numbers of certificates that are refused.
    pub revoked: Arc<HashSet<Vec<u8>>>,
    /// Revocation lists that trusted authorities signed.
    pub lists: Arc<Signed>,
    /// When each file of the set ends.
    pub expiries: Arc<[Expiry]>,
    /// Counts the sets, from 1.
    pub generation: u64,
}

/// Credentials that follow their files. Clones share one value.
#[derive(Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    tls: Tls,
    limits: TlsLimits,
    metrics: Metrics,
    recheck: Duration,
    verifies_source: bool,
    live: watch::Sender<Live>,
    seen: Mutex<Seen>,
}

struct Seen {
    at: Instant,
    stamp: Stamp,
    /// What is in use.
    material: Material,
    /// The last fault, so that it is logged once and not every second.
    fault: Option<String>,
}

impl Credentials {
    /// Reads and publishes the files for the first time.
    ///
    /// # Errors
    /// As [`Material::load`].
    pub fn open(tls: Tls, limits: TlsLimits, metrics: Metrics) -> Result<Self, TlsError> {
        Self::open_with(tls, limits, metrics, RECHECK, false)
    }

    /// As [`Self::open`], for a listener whose clients must show their certificates from an address
    /// that is named in them, unless `tls` leaves that out: etcd asks it of members.
    ///
    /// # Errors
    /// As [`Material::load`].
    pub fn open_for_peers(tls: Tls, limits: TlsLimits, metrics: Metrics) -> Result<Self, TlsError> {
        let verifies_source = !tls.skip_client_san_verify;
        Self::open_with(tls, limits, metrics, RECHECK, verifies_source)
    }

    /// As [`Self::open`], with another shortest time between two looks at the files.
    ///
    /// # Errors
    /// As [`Material::load`].
    pub fn open_rechecking(
        tls: Tls,
        limits: TlsLimits,
        metrics: Metrics,
        recheck: Duration,
    ) -> Result<Self, TlsError> {
        Self::open_with(tls, limits, metrics, recheck, false)
    }

    fn open_with(
        tls: Tls,
        limits: TlsLimits,
        metrics: Metrics,
        recheck: Duration,
        verifies_source: bool,
    ) -> Result<Self, TlsError> {
        // The stamp first: a file replaced while we read is then seen as changed, not missed.
        let stamp = Stamp::take(tls.files());
        let material = Material::load(&tls, &limits)?;
        let live = publishable(&material, &tls, 1)?;
        announce(&material, &metrics);
        let seen = Mutex::new(Seen { at: Clock.now(), stamp, material, fault: None });
        let live = watch::Sender::new(live);
        let inner = Inner { tls, limits, metrics, recheck, verifies_source, live, seen };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The set in use.
    pub fn live(&self) -> Live {
        self.inner.live.borrow().clone()
    }

    /// The listener configuration in use.
    ///
    /// # Errors
    /// If there is no certificate to show.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.inner.live.borrow().server.clone().ok_or(TlsError::NoCertificate)
    }

    /// The certificate that is shown.
    pub(super) fn certificate(&self) -> Option<PeerCertificate> {
        self.inner.seen.lock().material.certificate().map(|(_, facts)| facts.clone())
    }

    /// Whether the address a certificate is shown from must be named in it.
    pub(super) fn verifies_source(&self) -> bool {
        self.inner.verifies_source
    }

    /// Tells of every replacement.
    pub fn subscribe(&self) -> watch::Receiver<Live> {
        self.inner.live.subscribe()
    }

    /// Reads the files again, changed or not.
    ///
    /// # Errors
    /// As [`Material::load`], and if the new certificate is not valid now; the set in use is kept.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut seen = self.inner.seen.lock();
        self.replace(&mut seen)
    }

    /// Reads the files again if they changed since they were last looked at. Costs a few `stat`
    /// calls at most once a second, else nothing; faults are logged and counted.
    pub fn refresh(&self) {
        // Whoever finds the lock taken is served by the one who holds it, or a moment later.
        let Some(mut seen) = self.inner.seen.try_lock() else { return };
        let now = Clock.now();
        if now.duration_since(seen.at) < self.inner.recheck {
            return;
        }
        seen.at = now;
        let changed = Stamp::take(self.inner.tls.files()) != seen.stamp;
        if changed || seen.fault.is_some() {
            // Already logged and counted.
            let _ = self.replace(&mut seen);
        }
    }

    /// Why the files as they are now are not used; none when they are.
    pub fn fault(&self) -> Option<String> {
        self.inner.seen.lock().fault.clone()
    }

    /// Waits until one of these serial numbers is revoked, and tells which; for ever if none is.
    pub(super) async fn until_revoked(&self, serials: &[Vec<u8>]) -> String {
        let mut live = self.subscribe();
        loop {
            let found = {
                let now = live.borrow_and_update();
                serials.iter().find(|serial| now.revoked.contains(*serial)).cloned()
            };
            if let Some(serial) = found {
                return hex(&serial);
            }
            // The value lives as long as we do, so that it always changes or we wait.
            if live.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Takes a revocation list in DER that somebody passed on, if it is newer than what is enforced and
    /// signed by an authority trusted here; it holds at once, and after a restart.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn take_list(&self, der: &[u8]) -> Result<(), ListRefused> {
        let in_use = self.live().lists;
        revocations::take(&self.inner.tls, &in_use, der)?;
        // What else does not pass is logged and counted there, and keeps no list waiting.
        let _ = self.reload();
        Ok(())
    }

    fn replace(&self, seen: &mut Seen) -> Result<(), TlsError> {
        let inner = &*self.inner;
        seen.stamp = Stamp::take(inner.tls.files());
        let generation = inner.live.borrow().generation + 1;
        match self.load_checked(generation) {
            Ok((material, live)) => {
                (seen.material, seen.fault) = (material, None);
                inner.live.send_replace(live);
                inner.metrics.reloads.with_label_values(&["success"]).inc();
                tracing::info!(generation, "TLS credentials reloaded");
                Ok(())
            }
            Err(error) => {
                inner.metrics.reloads.with_label_values(&["failure"]).inc();
                let text = error.to_string();
                if seen.fault.as_ref() != Some(&text) {
                    tracing::error!(error = %text, "TLS reload refused; credentials in use are kept");
                    seen.fault = Some(text);
                }
                self.take_up_lists(seen, generation);
                Err(error)
            }
        }
    }

    /// A list that proves itself waits for no other file: whom it revokes is shut out at once.
    fn take_up_lists(&self, seen: &mut Seen, generation: u64) {
        let inner = &*self.inner;
        let Some(material) = seen.material.with_newer_lists(&inner.tls) else { return };
        match publishable(&material, &inner.tls, generation) {
            Ok(live) => {
                announce(&material, &inner.metrics);
                seen.material = material;
                inner.live.send_replace(live);
                tracing::info!(generation, "TLS revocation lists reloaded, and nothing else");
            }
            Err(error) => tracing::error!(%error, "cannot enforce a newer revocation list"),
        }
    }

    fn load_checked(&self, generation: u64) -> Result<(Material, Live), TlsError> {
        let inner = &*self.inner;
        let material = Material::load(&inner.tls, &inner.limits)?;
        material.check_valid_at(Clock.unix().as_secs().cast_signed())?;
        let live = publishable(&material, &inner.tls, generation)?;
        announce(&material, &inner.metrics);
        Ok((material, live))
    }
}

fn publishable(material: &Material, tls: &Tls, generation: u64) -> Result<Live, TlsError> {
    let server = match material.server_config() {
        Ok(config) => Some(Arc::new(config)),
        Err(TlsError::NoCertificate) => None,
        Err(error) => return Err(error),
    };
    // Members with certificates of their own making cannot verify each other: etcd's rule.
    let skip_verify = tls.auto && tls.trusted_ca_file.is_none();
    let client = material.client_config(skip_verify).ok().map(Arc::new);
    let expiries = material.expiries().into();
    let (revoked, lists) = (material.revoked(), material.lists());
    Ok(Live { server, client, revoked, lists, expiries, generation })
}

fn announce(material: &Material, metrics: &Metrics) {
    for warning in material.warnings() {
        tracing::warn!("{warning}");
    }
    for Expiry { file, kind, not_after, .. } in material.expiries() {
        let file = file.display().to_string();
        metrics.not_after.with_label_values(&[file.as_str(), kind]).set(*not_after);
    }
    // Clients' and members' certificates are counted together.
    metrics.generation.inc();
}
