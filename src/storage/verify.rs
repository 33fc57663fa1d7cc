//! Finds the damaged file of a state database.
//!
//! fjall checks every block it reads, but says of a wrong one only that there is one; and it reads a
//! manifest without comparing it with the checksum that stands beside its name in `current`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fjall::{AbstractTree, Keyspace};
use xxhash_rust::xxh3::Xxh3;

use super::error::StorageError;

const KEYSPACES: &str = "keyspaces";
/// Number of the manifest u64 | its XXH3 u128 | kind of checksum u8.
const CURRENT: &str = "current";
const CURRENT_BYTES: usize = 25;

/// Compares the manifest of every keyspace in `dir` with its checksum.
pub(crate) fn manifests(dir: &Path) -> Result<(), StorageError> {
    let folder = dir.join(KEYSPACES);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StorageError::io("list", &folder)(e)),
    };
    for entry in entries {
        let keyspace = entry.map_err(StorageError::io("list", &folder))?.path();
        // fjall panics on a folder that is not numbered, and names nothing.
        let name = keyspace.file_name().and_then(|name| name.to_str());
        if keyspace.is_dir() && name.is_none_or(|name| name.parse::<u64>().is_err()) {
            return Err(StorageError::Stray { path: keyspace });
        }
        let current = keyspace.join(CURRENT);
        match fs::read(&current) {
            Ok(bytes) => manifest(&keyspace, current, &bytes)?,
            // fjall would begin anew, and forget the tables.
            Err(e) if e.kind() == io::ErrorKind::NotFound && has_versions(&keyspace)? => {
                let why = "it is missing, and it says which tables are valid".to_owned();
                return Err(StorageError::Damaged { path: current, why });
            }
            // It was being created when the first start was interrupted.
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(e) => return Err(StorageError::io("read", &current)(e)),
        }
    }
    Ok(())
}

/// Whether a keyspace was ever used: its manifests are there.
fn has_versions(keyspace: &Path) -> Result<bool, StorageError> {
    let failed = || StorageError::io("list", keyspace);
    for entry in fs::read_dir(keyspace).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix('v')?.parse::<u64>().ok());
        if number.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn manifest(
    keyspace: &Path,
    current: PathBuf,
    bytes: &[u8],
) -> Result<(), StorageError> {
    let parts = bytes.split_first_chunk::<8>().filter(|_| bytes.len() == CURRENT_BYTES);
    let Some((number, Some((expected, _)))) =
        parts.map(|(number, rest)| (number, rest.split_first_chunk::<16>()))
    else {
        let why = format!("{} bytes long, expected {CURRENT_BYTES}", bytes.len());
        return Err(StorageError::Damaged { path: current, why });
    };
    let path = keyspace.join(format!("v{}", u64::from_le_bytes(*number)));
    let found = match checksum(&path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let why = format!("it names {}, which is not there", path.display());
            return Err(StorageError::Damaged { path: current, why });
        }
        Err(e) => return Err(StorageError::io("read", &path)(e)),
    };
    if found == u128::from_le_bytes(*expected) {
        Ok(())
    } else {
        let why = format!("its checksum does not match the one in {}", current.display());
        Err(StorageError::Damaged { path, why })
    }
}

/// The first table that is not as it was written, after something was found to be wrong. Reads all
/// tables.
pub(crate) fn damaged_table(spaces: &[Keyspace]) -> Option<PathBuf> {
    spaces.iter().find_map(|space| {
        let version = space.tree.current_version();
        let damaged = version.iter_tables().find(|table| {
            checksum(&table.path).map_or(true, |found| found != table.checksum().into_u128())
        });
        damaged.map(|table| table.path.to_path_buf())
    })
}

/// Whether an error means that something stored is not as it was written.
pub(crate) fn is_damage(error: &fjall::Error) -> bool {
    use fjall::{Error, LsmError};
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::NotFound
                // Without its marker the database takes itself for new, and finds that it is not.
                | io::ErrorKind::AlreadyExists
        ),
        Error::Storage(_)
        | Error::JournalRecovery(_)
        | Error::InvalidVersion(_)
        | Error::Decompress(_)
        | Error::InvalidTrailer
        | Error::InvalidTag(_)
        | Error::Unrecoverable => true,
        _ => false,
    }
}

fn checksum(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let (mut sum, mut chunk) = (Xxh3::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(sum.digest128()),
            n => sum.update(chunk.get(..n).unwrap_or_default()),
        }
    }
}
