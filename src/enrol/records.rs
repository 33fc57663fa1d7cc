//! What the issuer keeps of its tokens: one file each, and never the secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::certs::{CertError, New, Pki, read, write_all};
use crate::transport::sha256;
use crate::types::hex::hex;

/// How long the record of a token that is over is kept for people to look at.
const KEPT: u64 = 7 * 86_400;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A server and a member's certificate, and a place in the cluster.
    Member,
    /// A client's certificate.
    Client,
}

impl Role {
    /// `member` or `client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Client => "client",
        }
    }

    /// The role of that name.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Member, Self::Client].into_iter().find(|role| role.as_str() == word)
    }
}

/// How far a member has come that a token brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// It is a learner, and is to become a voter once it has caught up.
    Learner,
    /// It votes.
    Voter,
    /// It was removed before that.
    Removed,
}

/// What is known of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// By which a token names it; also the name of its file.
    pub id: String,
    /// SHA-256 of the secret. Of 32 random bytes nothing is learned from it.
    pub secret_sha256: String,
    /// What it is good for.
    pub role: Role,
    /// For whom.
    pub name: String,
    /// The names its certificates carry beside NAME and the local ones; if empty, those asked for.
    pub hosts: Vec<String>,
    /// When it ends, Unix seconds.
    pub expires: u64,
    /// How often it may still be used.
    pub uses_left: u32,
    /// SHA-256 of the keys that were certified with it: the same keys may come again.
    pub keys: Vec<String>,
    /// The member it brought, by its id, and how far that has come.
    pub member: Option<(u64, Membership)>,
    /// Whether it was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

impl Record {
    /// Whether its member is to become a voter once it has caught up.
    pub fn waits(&self) -> bool {
        matches!(self.member, Some((_, Membership::Learner))) && !self.revoked
    }

    /// Whether this is its secret. Hashes are compared: how long that takes tells nothing of use.
    pub fn is_secret(&self, secret: &[u8]) -> bool {
        hex(&sha256(secret)) == self.secret_sha256
    }

    /// What it can still be used for, in a word: `open`, `used`, `expired`, `revoked`, or how far its
    /// member is.
    pub fn state(&self, now: Duration) -> &'static str {
        match self.member {
            _ if self.revoked => "revoked",
            Some((_, Membership::Learner)) => "learner",
            Some((_, Membership::Voter)) => "voter",
            Some((_, Membership::Removed)) => "removed",
            None if self.expires <= now.as_secs() => "expired",
            None if self.uses_left == 0 => "used",
            None => "open",
        }
    }
}

/// The directory of the records. Whoever writes there holds the lock of the whole.
#[derive(Clone, Debug)]
pub struct Tokens {
    dir: PathBuf,
}

impl Tokens {
    /// Those beside the authorities whose directory is `ca`.
    pub fn beside(ca: &Path) -> Self {
        Self { dir: ca.join("tokens") }
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        // An id from outside must not lead anywhere else.
        let good = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| self.dir.join(format!("{id}.json")))
    }

    /// The record of that id, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn find(&self, id: &str) -> Result<Option<Record>, CertError> {
        let Some(path) = self.path(id) else { return Ok(None) };
        let Some(text) = read(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| CertError::Content {
            what: path.display().to_string(),
            detail: format!("not the record of a token: {error}"),
        })
    }

    /// Every record, those that end first before the others.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn all(&self) -> Result<Vec<Record>, CertError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(id) = name.strip_suffix(".json") {
                found.extend(self.find(id)?);
            }
        }
        found.sort_by(|a, b| (a.expires, &a.id).cmp(&(b.expires, &b.id)));
        Ok(found)
    }

    /// Writes a record, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, pki: &Pki, record: &Record) -> Result<(), CertError> {
        let Some(path) = self.path(&record.id) else { return Ok(()) };
        pki.make_own_dir(&self.dir)?;
        // A record is made of texts and numbers: always JSON.
        let text = serde_json::to_string_pretty(record).unwrap_or_default();
        write_all(&[New::private(&path, &text, pki.keeper())])
    }

    /// Takes a record away; false when there is none.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, _pki: &Pki, id: &str) -> Result<bool, CertError> {
        let Some(path) = self.path(id) else { return Ok(false) };
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(CertError::Write { path, source }),
        }
    }

    /// Takes records away that have been over for a week and wait for nothing.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn sweep(&self, pki: &Pki, now: Duration) -> Result<(), CertError> {
        for record in self.all()? {
            let waits = record.waits();
            if !waits && record.expires.saturating_add(KEPT) < now.as_secs() {
                self.remove(pki, &record.id)?;
            }
        }
        Ok(())
    }
}
