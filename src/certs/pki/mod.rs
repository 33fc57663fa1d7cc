//! One directory with two floors of authorities and everything they signed.
//!
//! The root signs two issuing authorities and then rests; its key may leave the machine. One issuing
//! authority signs for client ports (servers and clients), the other for peer ports. A listener
//! trusts its issuing authority only, not the root, so that neither kind is good for the other port.
//! Clients trust the root, and servers show their issuing authority's certificate beside their own.

mod authorities;
mod bundle;
mod layout;
mod leaves;
mod revoke;
mod rotation;

pub use authorities::Lives;
pub use layout::{Files, INSECURE, Layout, Side, check_name, sibling};
pub use rotation::{Phase, Trusted};

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::store::{Owner, read};
use super::{Authority, CertError, Facts, Purpose};

/// What was done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Made,
    /// Something was there, and it was to be replaced.
    Replaced,
    /// It stays as it was.
    Kept,
}

impl Action {
    /// `made`, `replaced` or `kept`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Replaced => "replaced",
            Self::Kept => "kept",
        }
    }
}

/// One file and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The file.
    pub path: PathBuf,
    /// What was done.
    pub action: Action,
    /// What it is for, in a few words.
    pub what: String,
}

impl Step {
    fn new(path: &Path, action: Action, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), action, what: what.into() }
    }
}

/// A directory that is being worked on. Nobody else works on it meanwhile.
pub struct Pki {
    layout: Layout,
    owner: Option<Owner>,
    keeper: Option<Owner>,
    now: Duration,
    _lock: File,
}

impl Pki {
    /// Makes the directories that are missing, for `owner` if one is named, and takes the lock.
    /// `now` is the time since the Unix epoch everything is dated by.
    ///
    /// # Errors
    /// If a directory cannot be made or given away.
    pub fn create(layout: Layout, owner: Option<Owner>, now: Duration) -> Result<Self, CertError> {
        make_dir(layout.dir(), 0o755, owner)?;
        if let Some(owner) = owner {
            give(layout.dir(), owner)?;
        }
        make_dir(&layout.ca_dir(), 0o700, None)?;
        make_dir(&layout.issued_dir(), 0o700, Owner::of(&layout.ca_dir())?)?;
        Self::open(layout, now)
    }

    /// Takes the lock on a directory that has an authority.
    ///
    /// # Errors
    /// If there is none, or others may look into it.
    pub fn open(layout: Layout, now: Duration) -> Result<Self, CertError> {
        let ca = layout.ca_dir();
        let fault = |source| CertError::Read { path: ca.clone(), source };
        if !ca.is_dir() {
            return Err(CertError::NoAuthority {
                path: ca,
                detail:
                    "`etcd cert init` makes an authority; where one exists on another machine, \
                         make a request here (`etcd cert csr`) and sign it there (`etcd cert sign`)"
                        .to_owned(),
            });
        }
        let mode = fs::metadata(&ca).map_err(fault)?.permissions().mode();
        if mode & 0o077 != 0 {
            let detail = "others may look into it, and it holds the authorities' keys; chmod 700 it \
                          and consider whether they were read";
            return Err(CertError::Content {
                what: ca.display().to_string(),
                detail: detail.to_owned(),
            });
        }
        let lock = File::open(&ca).map_err(fault)?;
        lock.lock().map_err(fault)?;
        let (owner, keeper) = (Owner::of(layout.dir())?, Owner::of(&ca)?);
        Ok(Self { layout, owner, keeper, now, _lock: lock })
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whom the files outside the authorities' directory belong to, if that has to be said.
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// Whom the files in the authorities' directory belong to, if that has to be said: when root works in
    /// a service's, the service has to go on working with it.
    pub fn keeper(&self) -> Option<Owner> {
        self.keeper
    }

    /// The issuing authority of one side that signs, with its key.
    ///
    /// # Errors
    /// If its key is not here or does not fit.
    pub fn authority(&self, side: Side) -> Result<Authority, CertError> {
        let signing = self.floors()?.into_iter().next();
        let signing = signing.ok_or_else(|| CertError::NoAuthority {
            path: self.layout.authority(side),
            detail: "`etcd cert init` makes one".to_owned(),
        })?;
        signing.authority(side)
    }

    /// Everything that was ever signed here.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn issued(&self) -> Result<Vec<Facts>, CertError> {
        let dir = self.layout.issued_dir();
        let mut found = Vec::new();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(|source| CertError::Read { path: dir.clone(), source })?,
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "crt")
                && let Some(text) = read(&path)?
            {
                found.extend(Facts::from_pem(&path.display().to_string(), &text)?);
            }
        }
        found.sort_by_key(|facts| facts.not_before);
        Ok(found)
    }

    /// What a certificate of this directory's authorities is for; none if they did not sign it.
    ///
    /// # Errors
    /// If the authorities' certificates cannot be read.
    pub fn purpose(&self, facts: &Facts) -> Result<Option<Purpose>, CertError> {
        for floors in self.floors()? {
            if let Some(side) = floors.side_of(facts)? {
                return Ok(Some(match side {
                    Side::Peer => Purpose::Peer,
                    Side::Client if facts.serves => Purpose::Server,
                    Side::Client => Purpose::Client,
                }));
            }
        }
        Ok(None)
    }

    /// Makes a directory for certificates, if it is missing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_dir(&self, dir: &Path) -> Result<(), CertError> {
        make_dir(dir, 0o700, self.owner)
    }

    /// Makes a directory inside the authorities' own, if it is missing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_own_dir(&self, dir: &Path) -> Result<(), CertError> {
        make_dir(dir, 0o700, self.keeper)
    }

    /// Whether exactly this certificate was signed here, going by the record that is kept of each.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn has_signed(&self, facts: &Facts) -> Result<bool, CertError> {
        let path = self.layout.issued(&facts.serial);
        let Some(text) = read(&path)? else { return Ok(false) };
        let kept = Facts::from_pem(&path.display().to_string(), &text)?;
        Ok(kept.first().is_some_and(|kept| kept.der == facts.der))
    }
}

/// Makes a directory and gives it away, unless it is there already.
///
/// # Errors
/// If it cannot be made or given away.
pub fn make_dir(dir: &Path, mode: u32, owner: Option<Owner>) -> Result<(), CertError> {
    if dir.is_dir() {
        return Ok(());
    }
    let fault = |source| CertError::Write { path: dir.to_owned(), source };
    let missing: Vec<&Path> = dir.ancestors().take_while(|above| !above.exists()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(fault)?;
    for made in missing.into_iter().filter(|made| !made.as_os_str().is_empty()) {
        // The umask may have taken something away.
        fs::set_permissions(made, Permissions::from_mode(mode)).map_err(fault)?;
        owner.map_or(Ok(()), |owner| give(made, owner))?;
    }
    Ok(())
}

fn give(dir: &Path, owner: Owner) -> Result<(), CertError> {
    chown(dir, Some(owner.uid), Some(owner.gid))
        .map_err(|source| CertError::Write { path: dir.to_owned(), source })
}
