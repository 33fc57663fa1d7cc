//! Revocation lists: the operator's file, and what other members passed on. A list is signed by the
//! authority it speaks for, so it proves itself wherever it comes from, and its number says which of
//! two is newer (RFC 5280, sections 5.1 and 5.2.3).

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::error::TlsError;
use super::identity::significant;
use super::pem;
use crate::config::Tls;
use crate::types::hex::hex;

/// Largest list that is passed on or taken, in bytes: a hundred thousand revoked certificates. A
/// larger one is enforced where its file is, and stays there.
pub const MAX_LIST_BYTES: usize = 3 << 20;

const WHAT: &str = "revocation list";
/// Letters in a line of PEM (RFC 7468).
const LINE: usize = 64;

/// A count of any size; the longer one is the greater, without zeros in front.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number(usize, Vec<u8>);

impl Number {
    fn of(bytes: &[u8]) -> Self {
        let bytes = significant(bytes);
        Self(bytes.len(), bytes.to_vec())
    }
}

/// One list as its authority signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationList {
    /// Identifier of the key that signed it, empty when the list does not say.
    authority: Vec<u8>,
    /// Which of the lists of that authority it is; none when the list does not say.
    number: Option<Number>,
    serials: Vec<Vec<u8>>,
    next_update: Option<i64>,
    der: Vec<u8>,
}

/// Why a list another member passed on is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListRefused {
    /// Larger than any list is taken.
    #[error("it has {0} bytes, expected at most {MAX_LIST_BYTES}")]
    TooLarge(usize),
    /// Not a list at all.
    #[error("not a certificate revocation list: {0}")]
    Malformed(String),
    /// It does not say whose list it is, or which.
    #[error("it carries no number or no identifier of its authority's key")]
    Unnumbered,
    /// Signed by nobody this member trusts on that port.
    #[error("its authority (key id {0}) is not among those trusted here, or did not sign it")]
    Untrusted(String),
    /// One as new is enforced or kept already.
    #[error("it is no newer than the one that is here")]
    Older,
    /// There is no place for it.
    #[error("this member keeps no lists of others for that port")]
    NotKept,
    /// The disk refuses it.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file.
        path: String,
        /// What the operating system said.
        error: String,
    },
}

impl RevocationList {
    /// Reads one list.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        let (rest, parsed) =
            CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow it", rest.len()));
        }
        let entries = parsed.iter_revoked_certificates();
        Ok(Self {
            authority: signer(&parsed),
            number: parsed.crl_number().map(|number| Number::of(&number.to_bytes_be())),
            serials: entries.map(|entry| significant(entry.raw_serial()).to_vec()).collect(),
            next_update: parsed.next_update().map(|time| time.timestamp()),
            der: der.to_vec(),
        })
    }

    /// Identifier of the key that signed it.
    pub fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// Its number, most significant byte first.
    pub fn number(&self) -> &[u8] {
        self.number.as_ref().map_or(&[], |number| &number.1)
    }

    /// The list itself.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it is newer than a list of that authority with this number.
    pub fn is_newer_than(&self, number: &[u8]) -> bool {
        self.number.as_ref().is_some_and(|own| *own > Number::of(number))
    }

    fn outdates(&self, other: &Self) -> bool {
        let same = !self.authority.is_empty() && self.authority == other.authority;
        same && other.number.is_some() && self.number > other.number
    }

    /// Whether one of these certificates in DER is its authority's and signed it.
    fn is_signed_by(&self, authorities: &[Vec<u8>]) -> bool {
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else { return false };
        authorities.iter().any(|der| {
            X509Certificate::from_der(der).is_ok_and(|(_, authority)| {
                identifier(&authority).as_deref() == Some(&self.authority[..])
                    && authority.subject().as_raw() == list.issuer().as_raw()
                    && may_sign_lists(&authority)
                    && list.verify_signature(authority.public_key()).is_ok()
            })
        })
    }
}

fn signer(list: &CertificateRevocationList<'_>) -> Vec<u8> {
    let named = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
        _ => None,
    });
    named.map(|id| id.0.to_vec()).unwrap_or_default()
}

fn identifier(authority: &X509Certificate<'_>) -> Option<Vec<u8>> {
    authority.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn identifier_of(der: &[u8]) -> Option<Vec<u8>> {
    identifier(&X509Certificate::from_der(der).ok()?.1)
}

fn may_sign_lists(authority: &X509Certificate<'_>) -> bool {
    let usage = authority.key_usage().ok().flatten();
    authority.is_ca() && usage.is_none_or(|usage| usage.value.crl_sign())
}

/// The lists that are enforced, by who signed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// The trusted authorities, in DER.
    authorities: Vec<Vec<u8>>,
    /// Identifiers of their keys.
    trusted: Vec<Vec<u8>>,
    /// The newest list of each of them that signed one: what others may take.
    lists: Vec<RevocationList>,
    /// What the operator's file holds beside them: it is believed unsigned, and stays here.
    others: Vec<RevocationList>,
}

impl Signed {
    /// The newest list of each trusted authority.
    pub fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// Each trusted authority with the number of its list that is enforced here, empty for none.
    pub fn wanted(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.trusted.iter().map(|authority| {
            let held = self.lists.iter().find(|list| list.authority == *authority);
            (&authority[..], held.map_or(&[][..], RevocationList::number))
        })
    }

    /// Whether a trusted authority signed the list, after every other one of its lists here.
    fn is_outdated_by(&self, list: &RevocationList) -> bool {
        let mut held = self.lists.iter().chain(&self.others);
        list.number.is_some()
            && held.all(|held| held.authority != list.authority || list.outdates(held))
            && list.is_signed_by(&self.authorities)
    }
}

/// What is enforced.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    /// The serial numbers that are refused.
    pub(super) serials: HashSet<Vec<u8>>,
    /// When the first list should have been replaced, Unix seconds.
    pub(super) next_update: Option<i64>,
    /// What is signed by whom is trusted.
    pub(super) signed: Signed,
    /// What was passed over, for the log.
    pub(super) warnings: Vec<String>,
}

/// Reads the lists of the configured file and those other members passed on; of each authority the
/// newest counts, wherever it is.
///
/// # Errors
/// If the configured file or that of the authorities cannot be used. Of what was passed on, a file
/// that cannot is left aside with a warning: the others pass it on again.
pub(super) fn load(tls: &Tls) -> Result<Revocations, TlsError> {
    let mut warnings = Vec::new();
    let authorities = authorities(tls)?;
    let mut lists = tls.crl_file.as_deref().map(read).transpose()?.unwrap_or_default();
    if let Some(path) = tls.passed_crl_file.as_deref().filter(|path| path.exists()) {
        match read(path) {
            Ok(passed) => {
                lists.extend(passed.into_iter().filter(|list| list.is_signed_by(&authorities)));
            }
            Err(error) => warnings.push(error.to_string()),
        }
    }
    Ok(Revocations { warnings, ..settle(lists, authorities) })
}

/// What is to be enforced while other files of a set are refused: what is `in_use`, and every newer
/// list that an authority in use has signed, from whichever file can be read. `None` when there is no
/// such list.
pub(super) fn newer(tls: &Tls, in_use: &Signed) -> Option<Revocations> {
    let files = [&tls.crl_file, &tls.passed_crl_file].into_iter().flatten();
    // What is wrong with a file is told where the whole set is loaded.
    let there = files.filter_map(|path| read(path).ok()).flatten();
    let newer: Vec<_> = there.filter(|list| in_use.is_outdated_by(list)).collect();
    if newer.is_empty() {
        return None;
    }
    let held = in_use.lists.iter().chain(&in_use.others).cloned();
    Some(settle(held.chain(newer).collect(), in_use.authorities.clone()))
}

/// Of each authority the newest list counts.
fn settle(lists: Vec<RevocationList>, authorities: Vec<Vec<u8>>) -> Revocations {
    let mut found = Revocations::default();
    let outdated: Vec<bool> =
        lists.iter().map(|list| lists.iter().any(|other| other.outdates(list))).collect();
    for (list, _) in lists.into_iter().zip(outdated).filter(|(_, outdated)| !outdated) {
        found.serials.extend(list.serials.iter().cloned());
        found.next_update = found.next_update.into_iter().chain(list.next_update).min();
        let known = found.signed.lists.iter().any(|one| one.authority == list.authority);
        let fits = list.number.is_some() && list.der.len() <= MAX_LIST_BYTES;
        if fits && !known && list.is_signed_by(&authorities) {
            found.signed.lists.push(list);
        } else {
            found.signed.others.push(list);
        }
    }
    found.signed.trusted = authorities.iter().filter_map(|der| identifier_of(der)).collect();
    found.signed.authorities = authorities;
    found
}

fn authorities(tls: &Tls) -> Result<Vec<Vec<u8>>, TlsError> {
    let Some(path) = &tls.trusted_ca_file else { return Ok(Vec::new()) };
    let found = pem::certificates("trusted CA file", path)?;
    Ok(found.iter().map(|der| der.to_vec()).collect())
}

/// The lists of a file; PEM (several allowed) or DER.
pub(super) fn read(path: &Path) -> Result<Vec<RevocationList>, TlsError> {
    let fault = |detail: String| TlsError::Content { what: WHAT, path: path.to_owned(), detail };
    let lists = pem::revocation_lists(WHAT, path)?;
    let lists = lists.iter().map(|der| RevocationList::from_der(der));
    lists
        .collect::<Result<_, _>>()
        .map_err(|error| fault(format!("not a certificate revocation list: {error}")))
}

/// Checks a list another member passed on and keeps it beside those of other authorities; whoever
/// reads the files next enforces it.
///
/// # Errors
/// Why it is not taken.
pub(super) fn take(tls: &Tls, in_use: &Signed, der: &[u8]) -> Result<(), ListRefused> {
    let path = tls.passed_crl_file.as_deref().ok_or(ListRefused::NotKept)?;
    if der.len() > MAX_LIST_BYTES {
        return Err(ListRefused::TooLarge(der.len()));
    }
    let list = RevocationList::from_der(der).map_err(ListRefused::Malformed)?;
    if list.number.is_none() || list.authority.is_empty() {
        return Err(ListRefused::Unnumbered);
    }
    if !list.is_signed_by(&in_use.authorities) {
        return Err(ListRefused::Untrusted(hex(&list.authority)));
    }
    let held = in_use.lists.iter().find(|held| held.authority == list.authority);
    if held.is_some_and(|held| !list.outdates(held)) {
        return Err(ListRefused::Older);
    }
    let mut kept = if path.exists() { read(path).unwrap_or_default() } else { Vec::new() };
    if kept.contains(&list) {
        // Writing it again would change nothing.
        return Err(ListRefused::Older);
    }
    kept.retain(|other| other.authority != list.authority);
    kept.push(list);
    let text: String = kept.iter().map(|list| armour(&list.der)).collect();
    replace(path, text.as_bytes()).map_err(|error| ListRefused::Write {
        path: path.display().to_string(),
        error: error.to_string(),
    })
}

fn armour(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", lines.join("\n"))
}

/// Puts new contents in the place of a file, whole or not at all.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}
