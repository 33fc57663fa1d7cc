//! What the process gives up before it does anything, so that whoever takes it over has little: its
//! memory cannot be dumped or traced, it gains no privileges, starts no programs, and writes only where
//! it must. What the kernel or a container does not allow is done without; one line of the log says what
//! holds.

mod walls;

use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, umask};
use rustix::thread::set_no_new_privs;

use super::error::ServerError;
use crate::config::Config;
use crate::storage::datadir::DataDir;

/// Whatever is created is for its owner alone; certificates and data are secrets.
const UMASK: u32 = 0o077;
/// What others may not have of a data directory, as in etcd, which only warns.
const OTHERS: u32 = 0o077;

/// What holds from now on.
pub(super) struct Hardened {
    on: bool,
    undumpable: String,
    no_new_privileges: String,
    landlock: String,
}

/// Gives up what can be given up. Privileges and walls are a thread's own and are inherited by those it
/// starts, so this comes before the first of them.
pub(super) fn harden(config: &Config) -> Hardened {
    let _inherited = umask(Mode::from_raw_mode(UMASK));
    if !config.hardening.on {
        let off = String::new;
        return Hardened {
            on: false,
            undumpable: off(),
            no_new_privileges: off(),
            landlock: off(),
        };
    }
    Hardened {
        on: true,
        undumpable: told(set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        no_new_privileges: told(set_no_new_privs(true)),
        landlock: walls::raise(config).unwrap_or_else(|why| format!("none: {why}")),
    }
}

fn told(result: Result<(), impl Display>) -> String {
    result.map_or_else(|error| format!("no: {error}"), |()| "yes".to_owned())
}

impl Hardened {
    /// The one line.
    pub(super) fn announce(&self) {
        let umask = format!("{UMASK:03o}");
        if self.on {
            tracing::info!(
                umask,
                undumpable = self.undumpable,
                "no-new-privileges" = self.no_new_privileges,
                landlock = self.landlock,
                "hardened the process"
            );
        } else {
            tracing::warn!(umask, "the process is not hardened: --harden-process is off");
        }
    }
}

/// Opens the data directory, unless others may look into it. One that was made beforehand and is still
/// empty has nothing to tell: it is closed to them instead.
///
/// # Errors
/// If it or the log's own directory has a loose mode and that is not allowed, or cannot be opened.
pub(super) fn open_data_dir(config: &Config) -> Result<DataDir, ServerError> {
    let member = &config.member;
    let directories = [Some(&member.data_dir), member.wal_dir.as_ref()];
    for directory in directories.into_iter().flatten() {
        let mode = mode_of(directory);
        let is_loose = mode & OTHERS != 0 && !config.hardening.loose_directories;
        if is_loose && !(is_empty(directory) && close(directory)) {
            return Err(ServerError::LooseMode { directory: directory.clone(), mode });
        }
    }
    Ok(DataDir::open(&member.data_dir, member.wal_dir.as_deref())?)
}

/// Zero for one that is still to be made.
fn mode_of(directory: &Path) -> u32 {
    fs::metadata(directory).map_or(0, |found| found.permissions().mode() & 0o777)
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether nobody but its owner may look into a directory from now on.
fn close(directory: &Path) -> bool {
    let closed = fs::set_permissions(directory, Permissions::from_mode(0o700)).is_ok();
    if closed {
        tracing::info!(directory = %directory.display(), "closed the empty directory to others: mode 0700");
    }
    closed
}
