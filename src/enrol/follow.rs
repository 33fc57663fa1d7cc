//! A machine that goes by what the issuer trusts: it asks, writes what is new beside its certificates,
//! and reports what it goes by.

use super::asker::{AskError, Asker, Trust};
use super::known::Known;
use super::renewal::key_of;
use crate::certs::{CertError, Facts, Files, Layout, New, Owner, Side, read, write_all};

/// Who follows, and what it shows.
#[derive(Clone, Debug)]
pub struct Following {
    /// Where whom it trusts is written.
    pub layout: Layout,
    /// Its pairs there; reports are signed with the key of the first.
    pub pairs: Vec<Files>,
    /// Whom the report is of.
    pub member: u64,
}

impl Following {
    /// Reports that this machine goes by `generation`, and tells whom to trust if that is another by
    /// now.
    ///
    /// # Errors
    /// If a pair cannot be used, or the issuer is not reached or refuses.
    pub async fn ask(&self, known: &Known, generation: u64) -> Result<Option<Trust>, AskError> {
        let mut shown = Vec::new();
        for files in &self.pairs {
            let text = read(&files.certificate)?.unwrap_or_default();
            let facts = Facts::from_pem(&files.certificate.display().to_string(), &text)?;
            shown.extend(facts.into_iter().next().map(|facts| facts.der));
        }
        let key = self.pairs.first().map(key_of).transpose()?;
        Asker::of(known)?.follow((self.member, generation), &shown, key.as_ref()).await
    }
}

/// Writes whom to trust from now on. Of the authorities and lists only what is there already is
/// replaced: a client has none of them. What admits somebody comes first, and where the issuer is
/// known by last.
///
/// # Errors
/// If a file cannot be written.
pub fn take_trust(layout: &Layout, known: &Known, trust: &Trust) -> Result<(), CertError> {
    let owner = Owner::of(layout.dir())?;
    let known = known.going_by(trust)?;
    let mut files = Vec::new();
    for (side, authorities, lists) in [
        (Side::Client, &trust.client_authority, &trust.client_revocations),
        (Side::Peer, &trust.peer_authority, &trust.peer_revocations),
    ] {
        let places = [(layout.authority(side), authorities), (layout.revocations(side), lists)];
        let there = places.into_iter().filter(|(path, text)| path.is_file() && !text.is_empty());
        files.extend(there.map(|(path, text)| New::public(&path, text, owner)));
    }
    files.push(New::public(&layout.root(), &trust.root, owner));
    files.push(known.file(&layout.issuer(), owner));
    write_all(&files)
}

impl Known {
    /// The same issuer, known by the root that signs now.
    ///
    /// # Errors
    /// If there is no root.
    pub fn going_by(&self, trust: &Trust) -> Result<Self, CertError> {
        let roots = Facts::from_pem("the root", &trust.root)?;
        let root = roots.first().map(|facts| crate::transport::sha256(&facts.spki));
        let root = root.unwrap_or_else(|| self.root.clone());
        Ok(Self { issuers: self.issuers.clone(), root, generation: trust.generation })
    }
}
