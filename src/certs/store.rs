//! PEM files: written whole or not at all, keys for their owner only.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::CertError;
use super::key::Secret;

const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// The user and group files are to belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// Who a new file in `dir` is to belong to: whom the directory belongs to when root writes into
    /// it, because that is who reads the file. Others cannot give files away, so none for them.
    ///
    /// # Errors
    /// If the directory cannot be looked at.
    pub fn of(dir: &Path) -> Result<Option<Self>, CertError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let found =
            fs::metadata(dir).map_err(|source| CertError::Read { path: dir.to_owned(), source })?;
        Ok(Some(Self { uid: found.uid(), gid: found.gid() }))
    }
}

/// A file to be written; its text may be a key, so it is never printed and wiped when dropped.
#[derive(Clone)]
pub struct New {
    path: PathBuf,
    text: Zeroizing<String>,
    mode: u32,
    owner: Option<Owner>,
}

impl fmt::Debug for New {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "New({}, {:o})", self.path.display(), self.mode)
    }
}

impl New {
    /// A certificate, an authority's bundle, a request or a revocation list.
    pub fn public(path: &Path, pem: &str, owner: Option<Owner>) -> Self {
        Self { path: path.to_owned(), text: pem.to_owned().into(), mode: PUBLIC, owner }
    }

    /// A private key, alone or with its certificates; readable by its owner only from the first
    /// byte on.
    pub fn private(path: &Path, pem: &str, owner: Option<Owner>) -> Self {
        Self { path: path.to_owned(), text: pem.to_owned().into(), mode: PRIVATE, owner }
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn fault(&self, source: io::Error) -> CertError {
        CertError::Write { path: self.path.clone(), source }
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        self.path.with_file_name(name)
    }

    /// Writes the new contents beside the old ones.
    fn prepare(&self) -> io::Result<()> {
        let beside = self.beside();
        // A leftover of an interrupted write may have another mode, which opening would keep.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&beside)?;
        // Whatever the umask is: the daemon's and that of hardened machines would hide from clients
        // whom they are to trust.
        file.set_permissions(Permissions::from_mode(self.mode))?;
        if let Some(Owner { uid, gid }) = self.owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }

    fn put_in_place(&self) -> io::Result<()> {
        fs::rename(self.beside(), &self.path)
    }

    fn folder(&self) -> &Path {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }
}

/// Writes files that belong together. A reader sees each one old or new, never half of either:
/// servers and clients read their files at any moment. All are on disk before the first is put in
/// its place, and nothing is waited for between two of them, so that a key and its certificate do not
/// fit for no longer than it takes to rename one file.
///
/// # Errors
/// If a file cannot be written; what was there before is then still there.
pub fn write_all(files: &[New]) -> Result<(), CertError> {
    for (done, file) in files.iter().enumerate() {
        if let Err(source) = file.prepare() {
            for written in files.iter().take(done + 1) {
                // What cannot be removed either is overwritten by the next attempt.
                let _ = fs::remove_file(written.beside());
            }
            return Err(file.fault(source));
        }
    }
    for file in files {
        file.put_in_place().map_err(|source| file.fault(source))?;
    }
    let mut synced: Vec<&Path> = Vec::new();
    for file in files {
        let folder = file.folder();
        if !synced.contains(&folder) {
            let opened = File::open(folder).and_then(|folder| folder.sync_all());
            opened.map_err(|source| file.fault(source))?;
            synced.push(folder);
        }
    }
    Ok(())
}

/// Writes a certificate, an authority's bundle or a revocation list.
///
/// # Errors
/// If the file cannot be written; what was there before is then still there.
pub fn write_certificate(path: &Path, pem: &str) -> Result<(), CertError> {
    write_all(&[New::public(path, pem, None)])
}

/// Writes a private key, readable by its owner only from the first byte on.
///
/// # Errors
/// If the file cannot be written; what was there before is then still there.
pub fn write_key(path: &Path, key: &Secret) -> Result<(), CertError> {
    write_all(&[New::private(path, key.expose(), None)])
}

/// The text of a file; `None` when there is none.
///
/// # Errors
/// If it is there and cannot be read as text.
pub fn read(path: &Path) -> Result<Option<String>, CertError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertError::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        fs::write(dir.path().join("key.pem.tmp"), "left over").unwrap();
        write_key(&path, &Secret("one".to_owned())).unwrap();
        write_key(&path, &Secret("two".to_owned())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = write_certificate(Path::new("/nonexistent/x.pem"), "").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.pem"), "{error}");
    }

    #[test]
    fn of_two_files_neither_is_replaced_when_one_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("gone/b"));
        fs::write(&first, "old").unwrap();
        let files = [New::public(&first, "new", None), New::public(&second, "new", None)];
        assert!(write_all(&files).unwrap_err().to_string().contains("gone/b"));
        assert_eq!(fs::read_to_string(&first).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something is left over");
    }
}
