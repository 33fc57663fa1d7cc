//! The root, the issuing authorities and their first revocation lists.

use std::path::Path;
use std::time::Duration;

use super::{Action, Phase, Pki, Side, Step};
use crate::certs::issue::Validity;
use crate::certs::store::{New, read, write_all};
use crate::certs::{Authority, CertError, Facts, Key};

/// How long what is made is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// The root and the issuing authorities.
    pub authority: Duration,
    /// Everything they sign.
    pub leaf: Duration,
}

impl Default for Lives {
    /// Ten years for authorities, whose replacement touches every machine; 90 days for leaves, whose
    /// replacement is one command.
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { authority: 3650 * day, leaf: 90 * day }
    }
}

impl Pki {
    /// Makes what is missing of the root, the issuing authorities and their revocation lists; all of
    /// it anew when `force` says so. A run that was interrupted is continued: a key without its
    /// certificate gets one.
    ///
    /// # Errors
    /// If a file cannot be read or written, or what is there does not fit together.
    pub fn ensure_authorities(&self, life: Duration, force: bool) -> Result<Vec<Step>, CertError> {
        if self.trusted()?.phase != Phase::Settled {
            return self.leave_as_they_are(force);
        }
        let validity = Validity::starting(self.now, life);
        let mut steps = Vec::new();
        if force {
            self.forget_issued()?;
        }
        let what = "root certificate: what clients trust (etcdctl --cacert)";
        let paths = (self.layout.root(), self.layout.root_key());
        let root = self.ensure((&paths.0, &paths.1), what, force, &mut steps, |key| {
            Authority::root(&format!("etcd root CA {}", key.mark()), validity, key)
        })?;
        for side in Side::ALL {
            let authority =
                self.ensure_issuing(side, root.as_ref(), validity, force, &mut steps)?;
            self.ensure_revocations(side, authority.as_ref(), force, &mut steps)?;
        }
        Ok(steps)
    }

    /// While they are replaced, nothing else is done with them.
    fn leave_as_they_are(&self, force: bool) -> Result<Vec<Step>, CertError> {
        if force {
            return Err(CertError::Exists {
                path: self.layout.root(),
                detail: "the authorities are being replaced; end that first: etcd cert rotate-ca \
                         finish, or abort"
                    .to_owned(),
            });
        }
        let paths = [
            self.layout.root(),
            self.layout.authority(Side::Client),
            self.layout.authority(Side::Peer),
        ];
        let what = "an authority; it is being replaced (`etcd cert rotate-ca status`)";
        Ok(paths.iter().map(|path| Step::new(path, Action::Kept, what)).collect())
    }

    fn ensure_issuing(
        &self,
        side: Side,
        root: Option<&Authority>,
        validity: Validity,
        force: bool,
        steps: &mut Vec<Step>,
    ) -> Result<Option<Authority>, CertError> {
        let (certificate, key) = (self.layout.authority(side), self.layout.authority_key(side));
        let what = match side {
            Side::Client => {
                "signs servers and clients; what client ports trust (--trusted-ca-file)"
            }
            Side::Peer => "signs members; what peer ports trust (--peer-trusted-ca-file)",
        };
        let made = self.ensure((&certificate, &key), what, force, steps, |key| {
            let root = root.ok_or_else(|| CertError::NoAuthority {
                path: self.layout.root_key(),
                detail: "bring the root's key back for the time it takes".to_owned(),
            })?;
            let name = format!("etcd {} CA {}", side.as_str(), key.mark());
            root.subordinate(&name, validity, key)
        })?;
        self.check_signed_by_root(&certificate)?;
        Ok(made)
    }

    /// One authority: kept, completed or made. None is returned when only its certificate is here.
    fn ensure(
        &self,
        (certificate, key): (&Path, &Path),
        what: &str,
        force: bool,
        steps: &mut Vec<Step>,
        make: impl FnOnce(Key) -> Result<Authority, CertError>,
    ) -> Result<Option<Authority>, CertError> {
        let old = (read(certificate)?, Key::read(key)?);
        let replaced = if old.0.is_some() { Action::Replaced } else { Action::Made };
        let fresh = match old {
            (Some(text), Some(key)) if !force => {
                steps.push(Step::new(certificate, Action::Kept, what));
                return Authority::load(&certificate.display().to_string(), &text, key).map(Some);
            }
            (Some(_), None) if !force => {
                steps.push(Step::new(
                    certificate,
                    Action::Kept,
                    format!("{what}; its key is away"),
                ));
                return Ok(None);
            }
            (None, Some(key)) if !force => key,
            _ => Key::generate()?,
        };
        let made = make(fresh)?;
        write_all(&[
            New::private(key, made.key().expose(), self.keeper),
            New::public(certificate, made.certificate(), self.owner),
        ])?;
        steps.push(Step::new(certificate, replaced, what));
        steps.push(Step::new(key, replaced, "its key: never leaves this directory"));
        Ok(Some(made))
    }

    fn check_signed_by_root(&self, certificate: &Path) -> Result<(), CertError> {
        let first = |path: &Path| -> Result<Option<Facts>, CertError> {
            let Some(text) = read(path)? else { return Ok(None) };
            Ok(Facts::from_pem(&path.display().to_string(), &text)?.into_iter().next())
        };
        let root = self.layout.root();
        match (first(certificate)?, first(&root)?) {
            (Some(own), Some(root)) if !own.names_issuer(&root) => Err(CertError::Exists {
                path: certificate.to_owned(),
                detail: format!(
                    "was signed by {:?}, not by {:?}; --force makes all authorities anew",
                    own.issuer, root.subject
                ),
            }),
            _ => Ok(()),
        }
    }

    /// An empty list from the first day on, so that servers can be told of the file before there is
    /// anything to revoke.
    fn ensure_revocations(
        &self,
        side: Side,
        authority: Option<&Authority>,
        force: bool,
        steps: &mut Vec<Step>,
    ) -> Result<(), CertError> {
        let path = self.layout.revocations(side);
        let flag = match side {
            Side::Client => "--client-crl-file",
            Side::Peer => "--peer-crl-file",
        };
        let what = format!("revoked certificates of this authority ({flag})");
        let there = path.exists();
        match authority {
            Some(authority) if force || !there => {
                let life = authority.until().saturating_sub(self.now);
                let list = authority.revocations(&[], 1, self.now, life)?;
                write_all(&[New::public(&path, &list, self.owner)])?;
                let action = if there { Action::Replaced } else { Action::Made };
                steps.push(Step::new(&path, action, what));
            }
            _ if there => steps.push(Step::new(&path, Action::Kept, what)),
            _ => {}
        }
        Ok(())
    }

    /// Records of what other authorities signed would only mislead.
    fn forget_issued(&self) -> Result<(), CertError> {
        let dir = self.layout.issued_dir();
        let fault = |source| CertError::Write { path: dir.clone(), source };
        for entry in std::fs::read_dir(&dir).map_err(fault)?.flatten() {
            std::fs::remove_file(entry.path()).map_err(fault)?;
        }
        Ok(())
    }
}
