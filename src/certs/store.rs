//! PEM files: written whole or not at all, keys for their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::CertError;
use super::issue::Secret;

const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// Writes a certificate, an authority's bundle or a revocation list.
///
/// # Errors
/// If the file cannot be written; what was there before is then still there.
pub fn write_certificate(path: &Path, pem: &str) -> Result<(), CertError> {
    replace(path, pem, PUBLIC).map_err(|source| CertError::Write { path: path.to_owned(), source })
}

/// Writes a private key, readable by its owner only from the first byte on.
///
/// # Errors
/// If the file cannot be written; what was there before is then still there.
pub fn write_key(path: &Path, key: &Secret) -> Result<(), CertError> {
    replace(path, key.expose(), PRIVATE)
        .map_err(|source| CertError::Write { path: path.to_owned(), source })
}

/// A reader sees the old file or the new one, never half of either: servers read their files again
/// at any moment.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let beside = path.with_file_name(name);
    // A leftover of an interrupted write may have another mode, which opening would keep.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
}
