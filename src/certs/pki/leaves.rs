//! Certificates of servers, members and clients: issued, signed on request, renewed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Action, Files, Pki, Side, Step};
use crate::certs::issue::{Leaf, Purpose, Validity};
use crate::certs::store::{New, read, write_all};
use crate::certs::{Authority, CertError, Facts, Issued, Key, Layout, Request};

impl Pki {
    /// From now on for as long as `life`.
    pub fn validity(&self, life: Duration) -> Validity {
        Validity::starting(self.now, life)
    }

    /// Makes sure that there is a certificate with its key. What is there is kept unless `force`
    /// says otherwise; a key alone, left by an interrupted run or made for a request, gets its
    /// certificate.
    ///
    /// # Errors
    /// If the authority is not here, a file cannot be written, or what is there does not fit.
    pub fn ensure_leaf(
        &self,
        files: &Files,
        leaf: &Leaf,
        force: bool,
    ) -> Result<Vec<Step>, CertError> {
        self.ensure_leaf_by(files, leaf, force, None)
    }

    /// The same by an authority that is not of this directory and of which no record is kept; for
    /// what must be refused.
    ///
    /// # Errors
    /// As [`Self::ensure_leaf`].
    pub fn ensure_foreign(
        &self,
        files: &Files,
        leaf: &Leaf,
        force: bool,
    ) -> Result<Vec<Step>, CertError> {
        let key = Key::generate()?;
        let name = format!("another CA {}", key.mark());
        let stranger = Authority::root(&name, leaf.validity, key)?;
        self.ensure_leaf_by(files, leaf, force, Some(&stranger))
    }

    fn ensure_leaf_by(
        &self,
        files: &Files,
        leaf: &Leaf,
        force: bool,
        stranger: Option<&Authority>,
    ) -> Result<Vec<Step>, CertError> {
        let what = format!("{} {:?}", leaf.purpose.describe(), leaf.common_name);
        let there = read(&files.certificate)?;
        let action = if there.is_some() { Action::Replaced } else { Action::Made };
        let key = match (there, Key::read(&files.key)?) {
            _ if force => Key::generate()?,
            (Some(text), Some(key)) => {
                check_pair(files, &text, &key)?;
                return Ok(vec![Step::new(&files.certificate, Action::Kept, what)]);
            }
            (Some(_), None) => {
                return Err(CertError::Exists {
                    path: files.certificate.clone(),
                    detail: format!(
                        "its key {} is not; --force makes both anew",
                        files.key.display()
                    ),
                });
            }
            (None, Some(key)) => key,
            (None, None) => Key::generate()?,
        };
        self.write_leaf(files, leaf, &key, stranger)?;
        let key = Step::new(&files.key, action, "its key: for the owner's eyes only");
        Ok(vec![Step::new(&files.certificate, action, what), key])
    }

    /// Issues `leaf` for `key` and writes both.
    fn write_leaf(
        &self,
        files: &Files,
        leaf: &Leaf,
        key: &Key,
        stranger: Option<&Authority>,
    ) -> Result<(), CertError> {
        if let Some(dir) = files.certificate.parent() {
            self.make_dir(dir)?;
        }
        let (Issued { certificate, key, .. }, tail) = match stranger {
            Some(stranger) => (stranger.issue_for(leaf, key)?, stranger.certificate().to_owned()),
            None => {
                let side = leaf.purpose.side();
                let issued = self.authority(side)?.issue_for(leaf, key)?;
                self.record(&issued.certificate)?;
                (issued, self.tail(side)?)
            }
        };
        write_all(&[
            New::private(&files.key, key.expose(), self.owner),
            New::public(&files.certificate, &(certificate + &tail), self.owner),
        ])
    }

    /// Signs a request and returns the certificate with that of its issuer. Names and purpose are
    /// those of `leaf`.
    ///
    /// # Errors
    /// If the authority is not here, or its records cannot be written.
    pub fn answer(&self, request: &Request, leaf: &Leaf) -> Result<String, CertError> {
        let side = leaf.purpose.side();
        let (certificate, _) = self.authority(side)?.answer(leaf, request)?;
        self.record(&certificate)?;
        Ok(certificate + &self.tail(side)?)
    }

    /// Makes a pair anew with a fresh key: same subject, same names and as many more, same purpose,
    /// and the same life unless another is given; and its bundle, if there is one.
    ///
    /// # Errors
    /// If it was not signed here, or a file cannot be written.
    pub fn renew(
        &self,
        files: &Files,
        more: &[String],
        life: Option<Duration>,
    ) -> Result<Vec<Step>, CertError> {
        let path = &files.certificate;
        let what = path.display().to_string();
        let text = read(path)?.unwrap_or_default();
        let facts = Facts::from_pem(&what, &text)?;
        let fault = |detail: String| CertError::Content { what: what.clone(), detail };
        let facts = facts.first().ok_or_else(|| fault("it holds no certificate".to_owned()))?;
        let mut leaf = self.same_again(facts)?.ok_or_else(|| {
            let issuer = &facts.issuer;
            fault(format!("issued by {issuer:?}, which is no authority here; renew it there"))
        })?;
        leaf.hosts.extend(more.iter().filter(|host| !facts.is_for(host)).cloned());
        if let Some(life) = life {
            leaf.validity = self.validity(life);
        }
        self.write_leaf(files, &leaf, &Key::generate()?, None)?;
        let what = format!("{} {:?}", leaf.purpose.describe(), leaf.common_name);
        let mut steps = vec![
            Step::new(path, Action::Replaced, what),
            Step::new(&files.key, Action::Replaced, "its key: for the owner's eyes only"),
        ];
        steps.extend(self.renew_bundle(files)?);
        Ok(steps)
    }

    /// What a certificate says, for as long from now on as it was made for; none if no authority here
    /// is named as its issuer.
    ///
    /// # Errors
    /// If the authorities' certificates cannot be read.
    pub fn same_again(&self, facts: &Facts) -> Result<Option<Leaf>, CertError> {
        let Some(purpose) = self.purpose(facts)? else { return Ok(None) };
        let validity = self.validity(facts.life());
        let (common_name, hosts) = (facts.common_name.clone(), facts.hosts.clone());
        Ok(Some(Leaf { common_name, hosts, purpose, validity }))
    }

    /// Makes a pair anew that stays in the authorities' own directory; its certificate is followed by
    /// every authority up to the root, for those who know only the root's pin.
    ///
    /// # Errors
    /// If the authority is not here, or a file cannot be written.
    pub fn make_own(&self, files: &Files, leaf: &Leaf) -> Result<(), CertError> {
        if let Some(dir) = files.certificate.parent() {
            self.make_own_dir(dir)?;
        }
        let side = leaf.purpose.side();
        let Issued { certificate, key, .. } = self.authority(side)?.issue(leaf)?;
        self.record(&certificate)?;
        let chain = certificate + &self.own_tail(side)?;
        write_all(&[
            New::private(&files.key, key.expose(), self.keeper),
            New::public(&files.certificate, &chain, self.keeper),
        ])
    }

    /// What follows a certificate made by [`Self::make_own`]: every authority up to the roots.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn own_tail(&self, side: Side) -> Result<String, CertError> {
        Ok(self.tail(side)? + &self.roots()?)
    }

    /// Puts what a machine or a client needs to know of the authorities beside its certificates.
    ///
    /// # Errors
    /// If another authority's certificate is in the way and `force` does not remove it.
    pub fn copy_trust(
        &self,
        to: &Layout,
        purpose: Purpose,
        force: bool,
    ) -> Result<Vec<Step>, CertError> {
        self.make_dir(to.dir())?;
        let own = &self.layout;
        let mut wanted: Vec<(PathBuf, PathBuf, &str)> =
            vec![(own.root(), to.root(), "what clients trust")];
        if purpose != Purpose::Client {
            for side in Side::ALL {
                wanted.push((own.authority(side), to.authority(side), "what listeners trust"));
                wanted.push((own.revocations(side), to.revocations(side), "what was revoked"));
            }
        }
        let mut steps = Vec::new();
        for (from, to, what) in wanted {
            steps.extend(self.copy(&from, &to, what, force)?);
        }
        Ok(steps)
    }

    pub(super) fn copy(
        &self,
        from: &Path,
        to: &Path,
        what: &str,
        force: bool,
    ) -> Result<Option<Step>, CertError> {
        let Some(text) = read(from)? else { return Ok(None) };
        let action = match read(to)? {
            Some(there) if there == text => {
                return Ok(Some(Step::new(to, Action::Kept, what)));
            }
            // A list that grew: there is nothing of anybody's in the old one.
            Some(there) if force || there.contains("X509 CRL-----") => Action::Replaced,
            Some(_) => {
                let detail = format!("differs from {}; --force replaces it", from.display());
                return Err(CertError::Exists { path: to.to_owned(), detail });
            }
            None => Action::Made,
        };
        write_all(&[New::public(to, &text, self.owner)])?;
        Ok(Some(Step::new(to, action, what)))
    }

    /// Keeps a copy of what was signed: it is what `revoke` finds names and serial numbers in.
    fn record(&self, certificate: &str) -> Result<(), CertError> {
        let facts = Facts::from_pem("the new certificate", certificate)?;
        let Some(facts) = facts.first() else { return Ok(()) };
        let path = self.layout.issued(&facts.serial);
        write_all(&[New::private(&path, certificate, self.keeper)])
    }
}

impl Purpose {
    /// What such a certificate is, in a few words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Server => "server certificate for",
            Self::Peer => "member certificate for",
            Self::Client => "client certificate for",
        }
    }
}

fn check_pair(files: &Files, certificate: &str, key: &Key) -> Result<(), CertError> {
    let facts = Facts::from_pem(&files.certificate.display().to_string(), certificate)?;
    if facts.first().is_some_and(|facts| facts.public_key == key.public()) {
        return Ok(());
    }
    Err(CertError::Exists {
        path: files.certificate.clone(),
        detail: format!(
            "the key in {} belongs to another certificate; `etcd cert renew` makes both anew",
            files.key.display()
        ),
    })
}
