//! A pair of files made anew by the issuer.

use std::path::Path;

use tokio::task::spawn_blocking;

use super::asker::{AskError, Asker};
use super::known::Known;
use crate::certs::{CertError, Facts, Files, Key, Layout, New, Owner, Side, read, write_all};

/// Has the issuer certify a new key as the certificate there is, and puts both in their place.
///
/// # Errors
/// If the pair cannot be used, the issuer is not reached or refuses, or a file cannot be written.
pub async fn renew_pair(known: &Known, files: &Files) -> Result<(), AskError> {
    let pem = read(&files.certificate)?.ok_or_else(|| absent(&files.certificate))?;
    let old = key_of(files)?;
    let new = Key::generate()?;
    let renewed = Asker::of(known)?.renew(&pem, &old, &new).await?;
    let files = files.clone();
    let written = spawn_blocking(move || {
        let owner = Owner::of(files.certificate.parent().unwrap_or(Path::new(".")))?;
        write_all(&[
            New::private(&files.key, new.secret().expose(), owner),
            New::public(&files.certificate, &renewed, owner),
        ])
    });
    written.await.map_err(|error| AskError::Answer(error.to_string()))?.map_err(AskError::from)
}

/// The key of a pair.
///
/// # Errors
/// If it is not there, or is none.
pub(super) fn key_of(files: &Files) -> Result<Key, CertError> {
    Key::read(&files.key)?.ok_or_else(|| absent(&files.key))
}

fn absent(path: &Path) -> CertError {
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    CertError::Read { path: path.to_owned(), source }
}

/// Whether a certificate is of an authority that is trusted beside it but does not sign any more:
/// then it is to be made anew, whatever its dates.
pub fn is_of_other(files: &Files, facts: &Facts) -> bool {
    let Some(layout) = files.certificate.parent().map(folder) else { return false };
    Side::ALL.iter().any(|side| {
        let path = layout.authority(*side);
        let text = read(&path).ok().flatten().unwrap_or_default();
        let authorities = Facts::from_pem("", &text).unwrap_or_default();
        let place = authorities.iter().position(|authority| facts.names_issuer(authority));
        place.is_some_and(|place| place > 0)
    })
}

/// The layout a file is of: clients have a folder of their own in it.
fn folder(parent: &Path) -> Layout {
    match parent.parent().filter(|_| parent.ends_with("clients")) {
        Some(above) => Layout::of(above),
        None => Layout::of(parent),
    }
}
