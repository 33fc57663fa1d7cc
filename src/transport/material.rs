//! Certificates, keys and lists read from disk, checked, and turned into what rustls works with.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ConfigBuilder, Error, InconsistentKeys, RootCertStore, ServerConfig,
    SupportedProtocolVersion, WantsVerifier,
};
use zeroize::Zeroize;

use super::error::TlsError;
use super::expiry::{self, Expiry};
use super::identity::PeerCertificate;
use super::revocations::{self, Revocations, Signed};
use super::verify::{AnyServer, Clients, Rules, Servers};
use super::{pem, provider, roots};
use crate::config::{Tls, TlsLimits};
use crate::files::loose_mode;
use crate::types::clock::Clock;

/// Sessions kept for clients that come back; only where no client certificate is verified.
const RESUMABLE_SESSIONS: usize = 4096;

/// Everything TLS needs, read from the configured files at one moment and found consistent.
#[derive(Clone, Debug)]
pub struct Material {
    pair: Option<Pair>,
    dialling_pair: Option<Pair>,
    trusted: Option<Arc<RootCertStore>>,
    /// Whom the trusted authorities are, for people.
    trusted_names: String,
    rules: Rules,
    /// Revocation lists that trusted authorities signed.
    lists: Arc<Signed>,
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    expiries: Vec<Expiry>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    facts: PeerCertificate,
    path: PathBuf,
}

impl Material {
    /// Reads and checks the files of `tls`. Nothing need be given: without a certificate there is
    /// just no [`Self::server_config`].
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should, a key without its certificate or
    /// of another one, rules that contradict each other, versions that leave nothing.
    pub fn load(tls: &Tls, limits: &TlsLimits) -> Result<Self, TlsError> {
        let versions = provider::versions(limits)?;
        if let Some((key, mode)) = loose_keys(tls).next().filter(|_| !limits.loose_keys) {
            return Err(TlsError::LooseMode { key: key.clone(), mode });
        }
        let (pair, dialling_pair) = load_pairs(tls)?;
        let trusted = match &tls.trusted_ca_file {
            Some(path) => Some(roots::from_file(path)?),
            None if tls.client_cert_auth => Some(roots::system()?),
            None => None,
        };
        let Revocations { serials, next_update, signed, warnings } = revocations::load(tls)?;
        let (rules, provider) = (load_rules(tls, serials)?, provider::choose(limits));
        let leaves = [&pair, &dialling_pair].into_iter().flatten();
        let leaves = leaves.map(|pair| Expiry::of("certificate", &pair.path, &pair.facts));
        let ends = leaves.chain(expiry::of_authorities(tls)?);
        let expiries = ends.chain(expiry::of_lists(tls, next_update)).collect();
        let trusted_names = match &tls.trusted_ca_file {
            Some(path) => roots::names(path)?,
            None => "those of the system".to_owned(),
        };
        let mut material = Self {
            pair,
            dialling_pair,
            trusted,
            trusted_names,
            rules,
            lists: signed.into(),
            provider,
            versions,
            expiries,
            warnings,
        };
        material.collect_warnings(tls);
        Ok(material)
    }

    /// The same with newer revocation lists, if the files hold any that an authority in use has
    /// signed: for when something else there does not pass.
    pub(super) fn with_newer_lists(&self, tls: &Tls) -> Option<Self> {
        let Revocations { serials, next_update, signed, .. } =
            revocations::newer(tls, &self.lists)?;
        let rules = Rules { revoked: Arc::new(serials), ..self.rules.clone() };
        let kept = self.expiries.iter().filter(|expiry| expiry.kind != expiry::LISTS).cloned();
        let expiries = kept.chain(expiry::of_lists(tls, next_update)).collect();
        let (lists, warnings) = (signed.into(), Vec::new());
        Some(Self { rules, lists, expiries, warnings, ..self.clone() })
    }

    /// What deserves an operator's attention although it works.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The certificate the listener shows, with its file.
    pub fn certificate(&self) -> Option<(&Path, &PeerCertificate)> {
        self.pair.as_ref().map(|pair| (pair.path.as_path(), &pair.facts))
    }

    /// When each of the files ends.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// Refuses a listener certificate that is not valid at `now`, Unix seconds.
    ///
    /// # Errors
    /// If it expired or is not valid yet.
    pub fn check_valid_at(&self, now: i64) -> Result<(), TlsError> {
        let Some(pair) = &self.pair else { return Ok(()) };
        match pair.facts.invalid_at(now) {
            Some(detail) => Err(TlsError::NotValidNow { path: pair.path.clone(), detail }),
            None => Ok(()),
        }
    }

    /// The configuration of a listener.
    ///
    /// # Errors
    /// If there is no certificate, or the TLS library refuses the combination.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let pair = self.pair.as_ref().ok_or(TlsError::NoCertificate)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let builder = match &self.trusted {
            Some(trusted) => builder.with_client_cert_verifier(self.client_verifier(trusted)?),
            None => builder.with_no_client_auth(),
        };
        let resolver = SingleCertAndKey::from(CertifiedKey::clone(&pair.key));
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.trusted.is_some() {
            // A resumed session is not verified again: a certificate that expired or was revoked
            // meanwhile would live on. A full handshake costs a fraction of a millisecond.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
        }
        Ok(config)
    }

    fn client_verifier(&self, trusted: &Arc<RootCertStore>) -> Result<Arc<Clients>, TlsError> {
        let provider = Arc::clone(&self.provider);
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(trusted), provider)
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let (rules, trusted) = (self.rules.clone(), self.trusted_names.clone());
        Ok(Arc::new(Clients { chain, rules, trusted }))
    }

    /// The configuration for dialling others: trusts the given authorities, or the system's when
    /// none were given, or (`skip_verify`) anybody.
    ///
    /// # Errors
    /// If the system has no authorities either, or the TLS library refuses the combination.
    pub fn client_config(&self, skip_verify: bool) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let builder = if skip_verify {
            let verifier = AnyServer(Arc::clone(&self.provider));
            let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
            builder.dangerous().with_custom_certificate_verifier(verifier)
        } else {
            let trusted =
                self.trusted.as_ref().map_or_else(roots::system, |own| Ok(own.clone()))?;
            self.trusting(builder, trusted)?
        };
        let pair = self.dialling_pair.as_ref().or(self.pair.as_ref());
        let mut config = match pair {
            Some(pair) => {
                let resolver = SingleCertAndKey::from(CertifiedKey::clone(&pair.key));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// Trusts servers of these authorities, but for those whose certificates were revoked.
    fn trusting(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsVerifier>,
        trusted: Arc<RootCertStore>,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
        if self.rules.revoked.is_empty() {
            return Ok(builder.with_root_certificates(trusted));
        }
        let chain =
            WebPkiServerVerifier::builder_with_provider(trusted, Arc::clone(&self.provider))
                .build()
                .map_err(|error| TlsError::Setup(error.to_string()))?;
        let verifier = Arc::new(Servers { chain, rules: self.rules.clone() });
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
    }

    /// Serial numbers that are refused.
    pub(super) fn revoked(&self) -> Arc<HashSet<Vec<u8>>> {
        Arc::clone(&self.rules.revoked)
    }

    /// Revocation lists that trusted authorities signed.
    pub(super) fn lists(&self) -> Arc<Signed> {
        Arc::clone(&self.lists)
    }

    /// What is shown when dialling.
    pub(super) fn shown(&self) -> Option<Arc<CertifiedKey>> {
        let pair = self.dialling_pair.as_ref().or(self.pair.as_ref());
        pair.map(|pair| Arc::clone(&pair.key))
    }

    fn collect_warnings(&mut self, tls: &Tls) {
        let now = Clock.unix().as_secs().cast_signed();
        self.warnings.extend(self.expiries.iter().filter_map(|expiry| expiry.warning(now)));
        if let Some(pair) = &self.pair {
            let (path, facts) = (pair.path.display(), &pair.facts);
            if facts.dns_names.is_empty() && facts.ip_addresses.is_empty() {
                let text = "names no host or address (SAN); clients that verify names refuse it";
                self.warnings.push(format!("certificate {path}: {text}"));
            }
            if !facts.serves {
                let text = "its purposes do not include serverAuth; clients refuse it";
                self.warnings.push(format!("certificate {path}: {text}"));
            }
        }
        for (key, _) in loose_keys(tls) {
            let text = "every user of this machine can read it; use mode 0600";
            self.warnings.push(format!("private key {}: {text}", key.display()));
        }
    }
}

/// Private keys that other users than the owner and its group may read or write, with their modes.
fn loose_keys(tls: &Tls) -> impl Iterator<Item = (&PathBuf, u32)> {
    let keys = [&tls.key_file, &tls.client_key_file].into_iter().flatten();
    keys.filter_map(|key| loose_mode(key).map(|mode| (key, mode)))
}

fn load_pairs(tls: &Tls) -> Result<(Option<Pair>, Option<Pair>), TlsError> {
    let half = |key, cert| TlsError::HalfPair { key, cert };
    let half_client = |key, cert| TlsError::HalfClientPair { key, cert };
    Ok((
        load_pair(tls.cert_file.as_deref(), tls.key_file.as_deref(), half)?,
        load_pair(tls.client_cert_file.as_deref(), tls.client_key_file.as_deref(), half_client)?,
    ))
}

fn load_pair(
    cert: Option<&Path>,
    key: Option<&Path>,
    half: impl FnOnce(String, String) -> TlsError,
) -> Result<Option<Pair>, TlsError> {
    let text = |path: Option<&Path>| path.map(|p| p.display().to_string()).unwrap_or_default();
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return Ok(None),
        _ => return Err(half(text(key), text(cert))),
    };
    let what = "certificate";
    let chain = pem::certificates(what, cert)?;
    let content = |detail| TlsError::Content { what, path: cert.to_owned(), detail };
    let facts = match chain.first() {
        Some(leaf) => PeerCertificate::from_der(leaf).map_err(content)?,
        None => return Ok(None),
    };
    let mut secret = pem::private_key(key)?;
    let signer = provider::signing_key(&secret);
    secret.zeroize();
    let signer = signer.map_err(|_| TlsError::Content {
        what: "private key",
        path: key.to_owned(),
        detail:
            "kind of key not supported here; use RSA (2048 bits or more), ECDSA P-256, ECDSA P-384 \
                 or Ed25519"
                .to_owned(),
    })?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            return Err(TlsError::KeyMismatch { key: key.to_owned(), cert: cert.to_owned() });
        }
        Err(error) => return Err(content(format!("certificate not usable: {error}"))),
    }
    Ok(Some(Pair { key: Arc::new(certified), facts, path: cert.to_owned() }))
}

fn load_rules(tls: &Tls, revoked: HashSet<Vec<u8>>) -> Result<Rules, TlsError> {
    let named = |list: &[String]| -> Vec<String> {
        list.iter().filter(|name| !name.is_empty()).cloned().collect()
    };
    let (allowed_cn, allowed_hostname) = (named(&tls.allowed_cn), named(&tls.allowed_hostname));
    if !allowed_cn.is_empty() && !allowed_hostname.is_empty() {
        let (cn, hostname) = (allowed_cn.join(","), allowed_hostname.join(","));
        return Err(TlsError::AllowedBoth { cn, hostname });
    }
    Ok(Rules { allowed_cn, allowed_hostname, revoked: Arc::new(revoked) })
}
