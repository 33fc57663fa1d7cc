//! Certificate, issuer and key in one file, as some programs want them.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Action, Files, Pki, Step, sibling};
use crate::certs::store::{New, read, write_all};
use crate::certs::{CertError, Facts};

const WHAT: &str = "certificate, issuer and key in one file";

impl Files {
    /// Where both are in one file.
    pub fn bundle(&self) -> PathBuf {
        sibling(&self.key, "pem")
    }
}

impl Pki {
    /// Puts a pair into one file. An older bundle of the same certificate's is replaced; anything else
    /// that is there only if `force` says so.
    ///
    /// # Errors
    /// If something else is in the way, or a file cannot be read or written.
    pub fn bundle(&self, files: &Files, force: bool) -> Result<Step, CertError> {
        let path = files.bundle();
        let certificate = read(&files.certificate)?.unwrap_or_default();
        let key = Zeroizing::new(read(&files.key)?.unwrap_or_default());
        let text = Zeroizing::new(format!("{certificate}{}", *key));
        let there = read(&path)?.map(Zeroizing::new);
        let action = match &there {
            None => Action::Made,
            Some(there) if *there == text => return Ok(Step::new(&path, Action::Kept, WHAT)),
            Some(there) if force || self.is_older(there, &certificate)? => Action::Replaced,
            Some(_) => {
                let detail = "is no bundle of this certificate; --force replaces it".to_owned();
                return Err(CertError::Exists { path, detail });
            }
        };
        write_all(&[New::private(&path, &text, self.owner)])?;
        Ok(Step::new(&path, action, WHAT))
    }

    /// Makes the bundle of a renewed pair anew, if there is one: who uses it would find out at the end of
    /// the old certificate.
    pub(super) fn renew_bundle(&self, files: &Files) -> Result<Option<Step>, CertError> {
        let there = read(&files.bundle())?.map(Zeroizing::new);
        let certificate = read(&files.certificate)?.unwrap_or_default();
        match there {
            Some(there) if self.is_older(&there, &certificate)? => {
                self.bundle(files, false).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether a text begins with a certificate that was signed here for the same name and purpose as
    /// another.
    fn is_older(&self, text: &str, than: &str) -> Result<bool, CertError> {
        let first = |text: &str| Facts::from_pem("", text).unwrap_or_default().into_iter().next();
        let (Some(old), Some(new)) = (first(text), first(than)) else { return Ok(false) };
        let same = old.common_name == new.common_name;
        Ok(same && self.has_signed(&old)? && self.purpose(&old)? == self.purpose(&new)?)
    }
}
