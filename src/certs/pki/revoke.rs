//! Taking certificates back.

use std::path::PathBuf;

use super::{Pki, Side, Step};
use crate::certs::store::{New, read, write_all};
use crate::certs::{CertError, Facts, RevocationList, Revoked};

impl Pki {
    /// The list of one side; an empty one when there is none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn revocations(&self, side: Side) -> Result<RevocationList, CertError> {
        let path = self.layout.revocations(side);
        match read(&path)? {
            Some(text) => RevocationList::from_pem(&path.display().to_string(), text.as_bytes()),
            None => Ok(RevocationList::default()),
        }
    }

    /// Adds certificates of one side to its list, and the list to the directories prepared for
    /// other machines. Nothing is written when all are on it already.
    ///
    /// # Errors
    /// If the authority is not here, or a file cannot be written.
    pub fn revoke(&self, side: Side, certificates: &[Facts]) -> Result<Vec<Step>, CertError> {
        let path = self.layout.revocations(side);
        let what = format!("revoked certificates of the {} authority", side.as_str());
        let mut list = self.revocations(side)?;
        let before = list.revoked.len();
        for facts in certificates {
            if !list.names(&facts.serial) {
                list.revoked.push(Revoked { serial: facts.serial.clone(), at: self.now });
            }
        }
        if list.revoked.len() == before {
            return Ok(vec![Step::new(&path, super::Action::Kept, what)]);
        }
        let authority = self.authority(side)?;
        let life = authority.until().saturating_sub(self.now);
        let text = authority.revocations(&list.revoked, list.number + 1, self.now, life)?;
        write_all(&[New::public(&path, &text, self.owner)])?;
        let mut steps = vec![Step::new(&path, super::Action::Replaced, what)];
        for copy in self.copies(side) {
            steps.extend(self.copy(&path, &copy, "the same, for another machine", true)?);
        }
        Ok(steps)
    }

    fn copies(&self, side: Side) -> Vec<PathBuf> {
        let nodes = std::fs::read_dir(self.layout.nodes_dir()).into_iter().flatten().flatten();
        let lists = nodes.map(|node| self.layout.in_dir(&node.path()).revocations(side));
        lists.filter(|list| list.is_file()).collect()
    }
}
