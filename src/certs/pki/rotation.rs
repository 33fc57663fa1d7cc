//! Replacing the root and both issuing authorities while everybody goes on working.
//!
//! Beside the authorities there are, new ones are made. First everybody trusts both and the old ones
//! sign; then the new ones sign; then the old ones are trusted no more. Each client authority is also
//! signed by the other root, and servers show that certificate beside the usual one: a client that
//! knows only one of the roots finds its way in every phase.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Layout, Pki, Side, Step};
use crate::certs::issue::Validity;
use crate::certs::store::{New, read, write_all};
use crate::certs::{Action, Authority, CertError, Facts, Key};

/// How far a replacement of the authorities is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// None is under way.
    #[default]
    Settled,
    /// Old and new are trusted, the old ones sign.
    Trusting,
    /// Old and new are trusted, the new ones sign.
    Reissuing,
    /// The new ones are being put in the place of the old ones.
    Finishing,
}

impl Phase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Trusting => "trusting",
            Self::Reissuing => "reissuing",
            Self::Finishing => "finishing",
        }
    }
}

/// Who is trusted, counted: every change gives the next number, so that members can tell which they
/// hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    /// The number.
    pub generation: u64,
    /// How far a replacement is.
    pub phase: Phase,
}

impl Default for Trusted {
    fn default() -> Self {
        Self { generation: 1, phase: Phase::Settled }
    }
}

/// One root with its two issuing authorities.
#[derive(Clone, Debug)]
pub(super) struct Floors {
    /// Where the certificates and the revocation lists are.
    pub(super) certificates: Layout,
    /// Where the keys are.
    pub(super) keys: Layout,
}

impl Layout {
    fn trusted(&self) -> PathBuf {
        self.ca_dir().join("trust.json")
    }

    fn rotation_dir(&self) -> PathBuf {
        self.ca_dir().join("rotation")
    }

    /// The old or the new authorities while they are replaced.
    fn rotation(&self, which: &str) -> Self {
        self.in_dir(&self.rotation_dir().join(which))
    }

    /// The client authority as another root signed it.
    fn cross(&self) -> PathBuf {
        self.ca_dir().join(format!("client-ca-cross.crt{}", self.suffix()))
    }
}

impl Pki {
    /// Who is trusted, and how far a replacement is.
    ///
    /// # Errors
    /// If the record of it cannot be read.
    pub fn trusted(&self) -> Result<Trusted, CertError> {
        let path = self.layout.trusted();
        let Some(text) = read(&path)? else { return Ok(Trusted::default()) };
        serde_json::from_str(&text).map_err(|error| CertError::Content {
            what: path.display().to_string(),
            detail: format!("not the record of a replacement: {error}"),
        })
    }

    fn advance(&self, phase: Phase) -> Result<Trusted, CertError> {
        let trusted = Trusted { generation: self.trusted()?.generation + 1, phase };
        self.keep(trusted)
    }

    fn keep(&self, trusted: Trusted) -> Result<Trusted, CertError> {
        // A number and a word: always JSON.
        let text = serde_json::to_string(&trusted).unwrap_or_default();
        write_all(&[New::private(&self.layout.trusted(), &text, self.keeper)])?;
        Ok(trusted)
    }

    /// The authorities that are trusted; the first ones sign.
    pub(super) fn floors(&self) -> Result<Vec<Floors>, CertError> {
        let own = &self.layout;
        let only = || Floors { certificates: own.clone(), keys: own.clone() };
        let old = || Floors { certificates: own.rotation("old"), keys: own.clone() };
        let new = || Floors { certificates: own.rotation("new"), keys: own.rotation("new") };
        Ok(match self.trusted()?.phase {
            Phase::Settled => vec![only()],
            Phase::Trusting => vec![old(), new()],
            Phase::Reissuing => vec![new(), old()],
            Phase::Finishing => vec![new()],
        })
    }

    /// The root certificates that are trusted, PEM; that of the authorities that sign first.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn roots(&self) -> Result<String, CertError> {
        self.together(Layout::root)
    }

    /// The certificates of the issuing authorities of one side, PEM; that of the one that signs first.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn authorities(&self, side: Side) -> Result<String, CertError> {
        self.together(|layout| layout.authority(side))
    }

    /// The revocation lists of one side, PEM.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn lists(&self, side: Side) -> Result<String, CertError> {
        self.together(|layout| layout.revocations(side))
    }

    fn together(&self, path: impl Fn(&Layout) -> PathBuf) -> Result<String, CertError> {
        let mut out = String::new();
        for floors in self.floors()? {
            out.push_str(&read(&path(&floors.certificates))?.unwrap_or_default());
        }
        Ok(out)
    }

    /// What follows a certificate of one side: the authority that signed it, and that authority as
    /// another root signed it. While authorities are replaced the latter comes first: most clients
    /// know only the root they had, and some tools try only the first.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn tail(&self, side: Side) -> Result<String, CertError> {
        let Some(signing) = self.floors()?.into_iter().next() else { return Ok(String::new()) };
        let usual = read(&signing.certificates.authority(side))?.unwrap_or_default();
        let crossed = match side {
            Side::Client => read(&signing.certificates.cross())?.unwrap_or_default(),
            Side::Peer => String::new(),
        };
        Ok(match self.trusted()?.phase {
            Phase::Reissuing => crossed + &usual,
            _ => usual + &crossed,
        })
    }

    /// Makes new authorities beside those there are, and has both trusted from now on.
    ///
    /// # Errors
    /// If a key of the old ones is not here, or a file cannot be written.
    pub fn start_rotation(&self, life: Duration) -> Result<Trusted, CertError> {
        let trusted = self.trusted()?;
        if trusted.phase != Phase::Settled {
            return Ok(trusted);
        }
        let own = &self.layout;
        let (old, new) = (own.rotation("old"), own.rotation("new"));
        let old_root = self.load(&own.root(), &own.root_key())?;
        for (layout, dir) in [(&old, old.ca_dir()), (&new, new.ca_dir())] {
            self.make_own_dir(layout.dir())?;
            self.make_own_dir(&dir)?;
        }
        let mut copies = vec![(own.root(), old.root())];
        for side in Side::ALL {
            copies.push((own.authority(side), old.authority(side)));
            copies.push((own.revocations(side), old.revocations(side)));
        }
        for (from, to) in copies {
            let text = read(&from)?.unwrap_or_default();
            write_all(&[New::private(&to, &text, self.keeper)])?;
        }
        let made = Self::create(new.clone(), None, self.now)?;
        made.ensure_authorities(life, false)?;
        drop(made);
        let new_root = self.load(&new.root(), &new.root_key())?;
        let key = own.authority_key(Side::Client);
        self.cross(&new_root, &own.authority(Side::Client), &key, &old.cross())?;
        let key = new.authority_key(Side::Client);
        self.cross(&old_root, &new.authority(Side::Client), &key, &new.cross())?;
        self.advance(Phase::Trusting)
    }

    fn load(&self, certificate: &Path, key: &Path) -> Result<Authority, CertError> {
        let text = read(certificate)?.unwrap_or_default();
        let key = Key::read(key)?.ok_or_else(|| CertError::NoAuthority {
            path: key.to_owned(),
            detail:
                "bring it back for the time it takes: the new authority is signed with it too, so \
                     that clients that know only the old root are not shut out"
                    .to_owned(),
        })?;
        Authority::load(&certificate.display().to_string(), &text, key)
    }

    /// Has `root` sign an authority too.
    fn cross(
        &self,
        root: &Authority,
        certificate: &Path,
        key: &Path,
        to: &Path,
    ) -> Result<(), CertError> {
        let authority = self.load(certificate, key)?;
        let validity = Validity::starting(
            self.now,
            authority.until().saturating_sub(self.now).max(Duration::from_secs(1)),
        );
        let key = Key::read(key)?.ok_or_else(|| CertError::NoAuthority {
            path: key.to_owned(),
            detail: "it was here a moment ago".to_owned(),
        })?;
        let crossed = root.subordinate(authority.name(), validity, key)?;
        write_all(&[New::private(to, crossed.certificate(), self.keeper)])
    }

    /// Has the new authorities sign from now on, or the old ones again.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn sign_with(&self, new: bool) -> Result<Trusted, CertError> {
        let trusted = self.trusted()?;
        match (trusted.phase, new) {
            (Phase::Trusting, true) => self.advance(Phase::Reissuing),
            (Phase::Reissuing, false) => self.advance(Phase::Trusting),
            _ => Ok(trusted),
        }
    }

    /// Ends a replacement: those that sign stay, the others are trusted no more and their keys are
    /// removed. May be repeated when it was interrupted.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn end_rotation(&self) -> Result<Trusted, CertError> {
        match self.trusted()?.phase {
            Phase::Settled => {}
            Phase::Trusting => {
                // The old files are what is published again; nothing has to be moved.
                self.restore(&self.layout.rotation("old"))?;
                self.advance(Phase::Settled)?;
            }
            Phase::Reissuing => {
                self.advance(Phase::Finishing)?;
                self.take_over()?;
            }
            Phase::Finishing => self.take_over()?,
        }
        let dir = self.layout.rotation_dir();
        match std::fs::remove_dir_all(&dir) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(CertError::Write { path: dir, source })
            }
            _ => self.trusted(),
        }
    }

    /// Puts the new authorities in the place of the old ones.
    fn take_over(&self) -> Result<(), CertError> {
        let (own, new) = (&self.layout, self.layout.rotation("new"));
        let mut keys = vec![(new.root_key(), own.root_key())];
        keys.extend(Side::ALL.map(|side| (new.authority_key(side), own.authority_key(side))));
        keys.push((new.cross(), own.cross()));
        for (from, to) in keys {
            let Some(text) = read(&from)?.map(Zeroizing::new) else { continue };
            write_all(&[New::private(&to, &text, self.keeper)])?;
        }
        self.restore(&new)?;
        self.keep(Trusted { phase: Phase::Settled, ..self.trusted()? }).map(|_| ())
    }

    /// Puts the certificates and lists of one set in their usual places.
    fn restore(&self, from: &Layout) -> Result<(), CertError> {
        let own = &self.layout;
        let mut files = vec![(from.root(), own.root())];
        for side in Side::ALL {
            files.push((from.authority(side), own.authority(side)));
            files.push((from.revocations(side), own.revocations(side)));
        }
        let mut new = Vec::new();
        for (from, to) in files {
            if let Some(text) = read(&from)? {
                new.push(New::public(&to, &text, self.owner));
            }
        }
        write_all(&new)
    }

    /// Writes who is trusted, and what was taken back, where listeners and clients look: in this
    /// directory and in those prepared for other machines.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn publish(&self) -> Result<Vec<Step>, CertError> {
        let own = &self.layout;
        let mut wanted = vec![(self.roots()?, own.root(), "what clients trust")];
        for side in Side::ALL {
            let text = self.authorities(side)?;
            wanted.push((text, own.authority(side), "what listeners trust"));
            wanted.push((self.lists(side)?, own.revocations(side), "what was revoked"));
        }
        let mut steps = Vec::new();
        for (text, path, what) in &wanted {
            let there = read(path)?;
            let action = match there {
                Some(there) if there == *text => Action::Kept,
                Some(_) => Action::Replaced,
                None => Action::Made,
            };
            if action != Action::Kept {
                write_all(&[New::public(path, text, self.owner)])?;
            }
            steps.push(Step::new(path, action, *what));
        }
        for node in std::fs::read_dir(own.nodes_dir()).into_iter().flatten().flatten() {
            let node = own.in_dir(&node.path());
            for (_, path, what) in &wanted {
                let copy = node.dir().join(path.file_name().unwrap_or_default());
                if copy.is_file() {
                    steps.extend(self.copy(path, &copy, what, true)?);
                }
            }
        }
        Ok(steps)
    }

    /// Certificates that still hold and are of authorities that do not sign any more, unless the ones
    /// that sign have made another of the same name and kind since.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn outstanding(&self) -> Result<Vec<Facts>, CertError> {
        let (floors, now) = (self.floors()?, self.now.as_secs().cast_signed());
        let kind = |facts: &Facts| (facts.common_name.clone(), facts.serves, facts.connects);
        // Sorted by their beginning, so the last one of a kind is what is in use.
        let (mut left, mut made) = (Vec::new(), HashMap::new());
        for facts in self.issued()? {
            if self.is_of_signing(&facts)? {
                made.insert(kind(&facts), facts.not_before);
            } else if facts.not_after >= now
                && of_any(&floors, &facts)?
                && !self.is_revoked(&facts)?
            {
                left.push(facts);
            }
        }
        left.retain(|facts| made.get(&kind(facts)).is_none_or(|made| *made < facts.not_before));
        Ok(left)
    }

    /// Whether the authorities that sign have signed this one.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn is_of_signing(&self, facts: &Facts) -> Result<bool, CertError> {
        let floors = self.floors()?;
        of_any(floors.first().map(std::slice::from_ref).unwrap_or_default(), facts)
    }
}

/// Whether one of these authorities is named as the issuer.
fn of_any(floors: &[Floors], facts: &Facts) -> Result<bool, CertError> {
    for floors in floors {
        if floors.side_of(facts)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Floors {
    /// The issuing authority of one side, with its key.
    pub(super) fn authority(&self, side: Side) -> Result<Authority, CertError> {
        let (certificate, key) = (self.certificates.authority(side), self.keys.authority_key(side));
        let absent = |path: &Path| CertError::NoAuthority {
            path: path.to_owned(),
            detail: "`etcd cert init` completes what is missing; a key that was moved away must \
                     come back"
                .to_owned(),
        };
        let text = read(&certificate)?.ok_or_else(|| absent(&certificate))?;
        let key = Key::read(&key)?.ok_or_else(|| absent(&key))?;
        Authority::load(&certificate.display().to_string(), &text, key)
    }

    /// The side whose authority is named as the issuer.
    pub(super) fn side_of(&self, facts: &Facts) -> Result<Option<Side>, CertError> {
        for side in Side::ALL {
            let path = self.certificates.authority(side);
            let Some(text) = read(&path)? else { continue };
            let authority = Facts::from_pem(&path.display().to_string(), &text)?;
            if authority.first().is_some_and(|authority| facts.names_issuer(authority)) {
                return Ok(Some(side));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
