//! Which generation of trust each member goes by, as it reported: one file each.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::certs::{CertError, New, Pki, read, write_all};

/// How old a report may be before the same one is written again, in seconds.
const STALE: u64 = 60;

/// What a member has reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Its id.
    pub member: u64,
    /// What it goes by.
    pub generation: u64,
    /// The serial numbers of what it shows, in hex.
    pub certificates: Vec<String>,
    /// When, Unix seconds.
    pub at: u64,
}

/// The directory of the reports. Whoever writes there holds the lock of the whole.
#[derive(Clone, Debug)]
pub struct Reports {
    dir: PathBuf,
}

impl Reports {
    /// Those beside the authorities whose directory is `ca`.
    pub fn beside(ca: &Path) -> Self {
        Self { dir: ca.join("reports") }
    }

    fn path(&self, member: u64) -> PathBuf {
        self.dir.join(format!("{member:x}.json"))
    }

    /// The last report of a member, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(&self, member: u64) -> Result<Option<Report>, CertError> {
        let path = self.path(member);
        let Some(text) = read(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| CertError::Content {
            what: path.display().to_string(),
            detail: format!("not the report of a member: {error}"),
        })
    }

    /// Keeps a report, unless it says what the last one said a moment ago.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, pki: &Pki, report: &Report) -> Result<(), CertError> {
        // One that cannot be read is written over.
        if let Ok(Some(last)) = self.of(report.member) {
            let same = Report { at: report.at, ..last.clone() } == *report;
            if same && report.at.saturating_sub(last.at) < STALE {
                return Ok(());
            }
        }
        pki.make_own_dir(&self.dir)?;
        // Numbers and texts: always JSON.
        let text = serde_json::to_string_pretty(report).unwrap_or_default();
        write_all(&[New::private(&self.path(report.member), &text, pki.keeper())])
    }
}
