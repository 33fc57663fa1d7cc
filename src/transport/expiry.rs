//! When the files in use end, and when to say so.

use std::path::{Path, PathBuf};

use super::error::TlsError;
use super::identity::{PeerCertificate, days};
use super::pem;
use crate::config::Tls;

const DAY: i64 = 86_400;
/// How long before the end a word is due, in days; each time once.
const NOTICE: [i64; 4] = [30, 14, 7, 1];
/// The kind of revocation lists.
pub(super) const LISTS: &str = "revocations";

/// The end of one certificate, authority or revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The file it is in.
    pub file: PathBuf,
    /// `certificate`, `authority` or `revocations`.
    pub kind: &'static str,
    /// Its common name; empty for a list.
    pub name: String,
    /// First second of validity, Unix time; zero for a list.
    pub not_before: i64,
    /// Last second, Unix time; of a list, when a newer one was to be expected.
    pub not_after: i64,
}

impl Expiry {
    /// Of a certificate.
    pub(super) fn of(kind: &'static str, file: &Path, facts: &PeerCertificate) -> Self {
        Self {
            file: file.to_owned(),
            kind,
            name: facts.common_name.clone(),
            not_before: facts.not_before,
            not_after: facts.not_after,
        }
    }

    /// How many of the notices were due by `now`, Unix seconds: none with more than 30 days left,
    /// all when it is over. A life shorter than a notice is not reminded of its own beginning.
    pub fn notices(&self, now: i64) -> usize {
        let life = self.not_after.saturating_sub(self.not_before);
        let left = self.not_after - now;
        let due = NOTICE.iter().filter(|days| left <= **days * DAY && **days * DAY < life);
        due.count() + usize::from(left < 0)
    }

    /// What is to be said at `now`, Unix seconds, if anything.
    pub fn warning(&self, now: i64) -> Option<String> {
        let (kind, file, name) = (self.kind, self.file.display(), &self.name);
        let left = self.not_after - now;
        if kind == LISTS {
            let late = format!("revocation list {file}: a newer one was due {} ago", days(-left));
            return (left < 0).then_some(late);
        }
        if left < 0 {
            let ago = days(-left);
            return Some(format!(
                "{kind} {file} ({name}): it expired {ago} ago; others refuse it: renew it"
            ));
        }
        if now < self.not_before {
            let wait = days(self.not_before - now);
            return Some(format!(
                "{kind} {file} ({name}): it becomes valid in {wait}; compare the clocks"
            ));
        }
        (self.notices(now) > 0)
            .then(|| format!("{kind} {file} ({name}): expires in {}; renew it", days(left)))
    }
}

/// The ends of the authorities of `tls`. Of a bundle with several of them each is told; metrics keep
/// the last, so the one that ends first comes last.
pub(super) fn of_authorities(tls: &Tls) -> Result<Vec<Expiry>, TlsError> {
    let mut found = Vec::new();
    if let Some(path) = &tls.trusted_ca_file {
        for der in pem::certificates("trusted CA file", path)? {
            // What is no usable authority is refused where the roots are read.
            let facts = PeerCertificate::from_der(&der).ok();
            found.extend(facts.map(|facts| Expiry::of("authority", path, &facts)));
        }
        found.sort_by_key(|expiry| std::cmp::Reverse(expiry.not_after));
    }
    Ok(found)
}

/// The end of the revocation lists of `tls`: when the first of those in use should have been replaced.
pub(super) fn of_lists(tls: &Tls, next_update: Option<i64>) -> Option<Expiry> {
    let file = tls.crl_file.as_ref().or(tls.passed_crl_file.as_ref())?.clone();
    let (kind, name, not_after) = (LISTS, String::new(), next_update?);
    Some(Expiry { file, kind, name, not_before: 0, not_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(life: i64, left: i64) -> (Expiry, i64) {
        let now = 1_800_000_000;
        let not_after = now + left;
        let (file, name) = (PathBuf::from("/pki/server.crt"), "db1".to_owned());
        let not_before = not_after - life;
        (Expiry { file, kind: "certificate", name, not_before, not_after }, now)
    }

    #[test]
    fn notices_come_at_thirty_fourteen_seven_and_one_days() {
        let due = |left: i64| {
            let (expiry, now) = ending(90 * DAY, left);
            expiry.notices(now)
        };
        for (days, count) in [(31, 0), (30, 1), (15, 1), (14, 2), (7, 3), (2, 3), (1, 4), (0, 4)] {
            assert_eq!(due(days * DAY), count, "{days}");
        }
        assert_eq!(due(-1), 5);
    }

    #[test]
    fn a_short_life_is_not_warned_of_from_its_first_day() {
        let (expiry, now) = ending(10 * DAY, 9 * DAY);
        assert_eq!((expiry.notices(now), expiry.warning(now)), (0, None));
        let (expiry, now) = ending(10 * DAY, 6 * DAY);
        assert_eq!(expiry.notices(now), 1);
    }

    #[test]
    fn what_is_said_names_file_and_time() {
        let (expiry, now) = ending(90 * DAY, 10 * DAY);
        let said = expiry.warning(now).unwrap();
        assert_eq!(said, "certificate /pki/server.crt (db1): expires in 10 days; renew it");
        let (expiry, now) = ending(90 * DAY, -3 * DAY);
        assert!(expiry.warning(now).unwrap().contains("expired 3 days ago"));
    }
}
