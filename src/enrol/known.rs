//! The file that tells a machine where its certificates are renewed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::certs::{CertError, New, Owner, read};
use crate::transport::Pin;
use crate::types::hex::{hex, unhex};
use crate::types::url::Url;

/// Where an issuer is and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it is, in the order to try.
    pub issuers: Vec<Url>,
    /// SHA-256 of the root's public key (SPKI).
    pub root: Vec<u8>,
    /// The generation of trust that was taken from it last; 0 for none.
    pub generation: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    issuers: Vec<String>,
    root_spki_sha256: String,
    #[serde(default)]
    trust_generation: u64,
}

impl Known {
    /// Reads `issuer.json`; `None` when there is none.
    ///
    /// # Errors
    /// If it cannot be read, or says something else.
    pub fn read(path: &Path) -> Result<Option<Self>, CertError> {
        let Some(text) = read(path)? else { return Ok(None) };
        Self::from_text(&path.display().to_string(), &text).map(Some)
    }

    /// Reads the text of the file that `what` names.
    ///
    /// # Errors
    /// If it says something else.
    pub fn from_text(what: &str, text: &str) -> Result<Self, CertError> {
        let fault = |detail: String| CertError::Content { what: what.to_owned(), detail };
        let text: Text = serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
        let issuers: Vec<Url> = text
            .issuers
            .iter()
            .map(|url| Url::parse(url))
            .collect::<Result<_, _>>()
            .map_err(|error| fault(error.to_string()))?;
        if issuers.is_empty() || issuers.iter().any(|url| !url.scheme.is_tls()) {
            return Err(fault("it must name issuers by https".to_owned()));
        }
        let root = unhex(&text.root_spki_sha256).filter(|root| root.len() == 32);
        let root = root.ok_or_else(|| fault("root_spki_sha256 is 64 hex digits".to_owned()))?;
        Ok(Self { issuers, root, generation: text.trust_generation })
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let text = Text {
            issuers: self.issuers.iter().map(ToString::to_string).collect(),
            root_spki_sha256: hex(&self.root),
            trust_generation: self.generation,
        };
        // Texts and lists of texts are always JSON.
        let text = serde_json::to_string_pretty(&text).unwrap_or_default();
        format!("{text}\n")
    }

    /// The file.
    pub fn file(&self, path: &Path, owner: Option<Owner>) -> New {
        New::public(path, &self.to_text(), owner)
    }

    /// How the issuer is told from everybody else.
    pub fn pin(&self) -> Pin {
        Pin { root: self.root.clone(), name: super::ISSUER_NAME }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issuer.json");
        assert_eq!(Known::read(&path).unwrap(), None);
        let issuers = vec![Url::parse("https://db1:2382").unwrap()];
        let known = Known { issuers, root: (0..32).collect(), generation: 7 };
        std::fs::write(&path, known.to_text()).unwrap();
        assert_eq!(Known::read(&path).unwrap(), Some(known));
        for bad in [
            "{}",
            "{\"issuers\":[\"https://a:1\"],\"root_spki_sha256\":\"00\"}",
            "{\"issuers\":[\"http://a:1\"],\"root_spki_sha256\":\"\"}",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(Known::read(&path).is_err(), "{bad}");
        }
    }
}
