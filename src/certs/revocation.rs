//! What a revocation list on disk says.

use std::time::Duration;

use x509_parser::pem::Pem;

use super::CertError;

/// One entry of a revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The serial number, without leading zeros.
    pub serial: Vec<u8>,
    /// When it was revoked, since the Unix epoch.
    pub at: Duration,
}

/// A revocation list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationList {
    /// Its entries, oldest first.
    pub revoked: Vec<Revoked>,
    /// Counts the lists of one authority.
    pub number: u64,
    /// When a newer one is to be expected, Unix seconds; none if the list does not say.
    pub next_update: Option<i64>,
}

impl RevocationList {
    /// Reads the first list of a PEM text; `what` names its file.
    ///
    /// # Errors
    /// If the text is no revocation list.
    pub fn from_pem(what: &str, pem: &[u8]) -> Result<Self, CertError> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| none(what))?;
        Self::read(what, &block)
    }

    /// Reads every list of a PEM text: while authorities are replaced there are two.
    ///
    /// # Errors
    /// If there is none, or one cannot be read.
    pub fn all_from_pem(what: &str, pem: &[u8]) -> Result<Vec<Self>, CertError> {
        let blocks = Pem::iter_from_buffer(pem);
        let lists = blocks.map(|block| Self::read(what, &block.map_err(|_| none(what))?));
        let lists: Vec<Self> = lists.collect::<Result<_, _>>()?;
        if lists.is_empty() { Err(none(what)) } else { Ok(lists) }
    }

    fn read(what: &str, block: &Pem) -> Result<Self, CertError> {
        let fault = |detail: String| CertError::Content { what: what.to_owned(), detail };
        let (_, list) = x509_parser::parse_x509_crl(&block.contents)
            .map_err(|error| fault(format!("not a certificate revocation list: {error}")))?;
        let revoked = list.iter_revoked_certificates().map(|entry| Revoked {
            serial: super::facts::significant(entry.raw_serial()).to_vec(),
            at: Duration::from_secs(entry.revocation_date.timestamp().max(0).cast_unsigned()),
        });
        let number = list.crl_number().map(|number| number.to_u64_digits());
        Ok(Self {
            revoked: revoked.collect(),
            number: number.and_then(|digits| digits.first().copied()).unwrap_or_default(),
            next_update: list.next_update().map(|time| time.timestamp()),
        })
    }

    /// Whether it names this serial number.
    pub fn names(&self, serial: &[u8]) -> bool {
        self.revoked.iter().any(|one| one.serial == serial)
    }
}

fn none(what: &str) -> CertError {
    let detail = "it holds no PEM block (-----BEGIN X509 CRL-----)".to_owned();
    CertError::Content { what: what.to_owned(), detail }
}
