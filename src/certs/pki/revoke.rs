//! Taking certificates back.

use super::rotation::Floors;
use super::{Action, Pki, Side, Step};
use crate::certs::store::{New, read, write_all};
use crate::certs::{CertError, Facts, RevocationList, Revoked};

impl Pki {
    /// Whether a list of these authorities names a certificate.
    ///
    /// # Errors
    /// If a list cannot be read.
    pub fn is_revoked(&self, facts: &Facts) -> Result<bool, CertError> {
        for floors in self.floors()? {
            if let Some(side) = floors.side_of(facts)? {
                return Ok(floors.revocations(side)?.names(&facts.serial));
            }
        }
        Ok(false)
    }

    /// Adds certificates of one side to the list of the authority that signed them, and publishes the
    /// list. Nothing is written when all are on it already.
    ///
    /// # Errors
    /// If the authority is not here, or a file cannot be written.
    pub fn revoke(&self, side: Side, certificates: &[Facts]) -> Result<Vec<Step>, CertError> {
        let path = self.layout.revocations(side);
        let what = format!("revoked certificates of the {} authority", side.as_str());
        let mut changed = false;
        for floors in self.floors()? {
            let mut own = Vec::new();
            for facts in certificates {
                if floors.side_of(facts)? == Some(side) {
                    own.push(facts);
                }
            }
            changed = self.add(&floors, side, &own)? || changed;
        }
        if !changed {
            return Ok(vec![Step::new(&path, Action::Kept, what)]);
        }
        let mut steps = vec![Step::new(&path, Action::Replaced, what)];
        let published = self.publish()?.into_iter();
        steps.extend(published.filter(|step| step.action != Action::Kept && step.path != path));
        Ok(steps)
    }

    fn add(&self, floors: &Floors, side: Side, certificates: &[&Facts]) -> Result<bool, CertError> {
        let mut list = floors.revocations(side)?;
        let before = list.revoked.len();
        for facts in certificates {
            if !list.names(&facts.serial) {
                list.revoked.push(Revoked { serial: facts.serial.clone(), at: self.now });
            }
        }
        if list.revoked.len() == before {
            return Ok(false);
        }
        let authority = floors.authority(side)?;
        let life = authority.until().saturating_sub(self.now);
        let text = authority.revocations(&list.revoked, list.number + 1, self.now, life)?;
        write_all(&[New::public(&floors.certificates.revocations(side), &text, self.owner)])?;
        Ok(true)
    }
}

impl Floors {
    /// The list of one side; an empty one when there is none yet.
    pub(super) fn revocations(&self, side: Side) -> Result<RevocationList, CertError> {
        let path = self.certificates.revocations(side);
        match read(&path)? {
            Some(text) => RevocationList::from_pem(&path.display().to_string(), text.as_bytes()),
            None => Ok(RevocationList::default()),
        }
    }
}
