//! What the file system says of files that others write and we follow: certificates, lists, keys.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What the file system says of some files; differs when one was replaced, rewritten, or opened to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Option<OfFile>>);

/// Inode, size, seconds and nanoseconds of the last change, and mode.
type OfFile = (u64, u64, i64, i64, u32);

impl Stamp {
    /// Looks at every file. Symbolic links are followed: mounted secrets are swapped by turning one.
    pub fn take<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Self {
        Self(files.into_iter().map(|file| of_file(file.as_ref())).collect())
    }
}

fn of_file(path: &Path) -> Option<OfFile> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.mode()))
}

/// The mode of a file that other users than its owner and its group may read or write; `None` if none may,
/// or it is not there.
pub fn loose_mode(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o006 != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn whatever_happens_to_a_file_shows() {
        let dir = tempfile::tempdir().unwrap();
        let (file, next) = (dir.path().join("a"), dir.path().join("b"));
        let look = || Stamp::take([&file]);
        let mut seen = vec![look()];
        fs::write(&file, "one").unwrap();
        seen.push(look());
        fs::write(&file, "other").unwrap();
        seen.push(look());
        fs::write(&next, "other").unwrap();
        fs::rename(&next, &file).unwrap();
        seen.push(look());
        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        seen.push(look());
        for (place, one) in seen.iter().enumerate() {
            assert!(!seen[..place].contains(one), "step {place} does not show");
        }
        assert_eq!(seen.last(), Some(&look()), "nothing happened");
    }

    #[test]
    fn only_what_all_users_can_get_at_is_loose() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        assert_eq!(loose_mode(&file), None);
        fs::write(&file, "").unwrap();
        for (mode, is_loose) in [(0o600, false), (0o660, false), (0o604, true), (0o602, true)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(loose_mode(&file), is_loose.then_some(mode), "{mode:o}");
        }
    }
}
