//! The text a person carries from the issuer to a new machine.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use zeroize::Zeroizing;

use super::records::Role;
use crate::proto::enrol as proto;
use crate::transport::sha256;
use crate::types::url::Url;

/// Version of the form.
const PREFIX: &str = "etcd1.";
/// Bytes of SHA-256 at the end, so that a text that was cut or mistyped is told from a wrong one.
const CHECK: usize = 4;
/// Bytes of a pin and of a secret.
const HASH: usize = 32;
/// No token is longer.
const LONGEST: usize = 4096;

/// What a token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Where the issuer is, in the order to try.
    pub issuers: Vec<Url>,
    /// SHA-256 of the root's public key (SPKI).
    pub root: Vec<u8>,
    /// By which the issuer finds its record.
    pub id: String,
    /// What shows that it was carried over.
    pub secret: Zeroizing<Vec<u8>>,
    /// What it is good for.
    pub role: Role,
    /// For whom.
    pub name: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is nobody's to read.
        out.debug_struct("Token").field("id", &self.id).field("name", &self.name).finish()
    }
}

/// Why a text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It begins otherwise.
    #[error("this is no token: it must begin with {PREFIX}; `etcd cert token create` makes one")]
    Prefix,
    /// It was cut or mistyped.
    #[error("the token is damaged: copy all of it, in one piece")]
    Damaged,
    /// It says what is not known here.
    #[error("the token cannot be used: {0}; the issuer may be of a newer version")]
    Content(String),
}

impl Token {
    /// The text.
    pub fn to_text(&self) -> String {
        let message = proto::Token {
            issuers: self.issuers.iter().map(ToString::to_string).collect(),
            root: self.root.clone().into(),
            id: self.id.clone(),
            secret: self.secret.to_vec().into(),
            role: self.role.as_str().to_owned(),
            name: self.name.clone(),
        };
        Self::armour(&message.encode_to_vec())
    }

    /// Bytes as the text of a token, with their check.
    pub(super) fn armour(bytes: &[u8]) -> String {
        let check = sha256(bytes);
        let bytes: Vec<u8> = bytes.iter().chain(check.iter().take(CHECK)).copied().collect();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// If it is no token, is damaged, or says what is not known here.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let body = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        if body.len() > LONGEST {
            return Err(TokenError::Damaged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged)?;
        let (body, check) = bytes
            .len()
            .checked_sub(CHECK)
            .and_then(|end| bytes.split_at_checked(end))
            .ok_or(TokenError::Damaged)?;
        if !sha256(body).starts_with(check) {
            return Err(TokenError::Damaged);
        }
        let message = proto::Token::decode(body).map_err(|_| TokenError::Damaged)?;
        Self::read(message)
    }

    fn read(message: proto::Token) -> Result<Self, TokenError> {
        let fault = |text: &str| TokenError::Content(text.to_owned());
        let urls = message.issuers.iter().map(|text| Url::parse(text));
        let issuers =
            urls.collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error.to_string()))?;
        if issuers.is_empty() || issuers.iter().any(|url| !url.scheme.is_tls()) {
            return Err(fault("it must name an issuer by https"));
        }
        if message.root.len() != HASH || message.secret.len() != HASH {
            return Err(fault("its pin or its secret has another length"));
        }
        let role = Role::parse(&message.role).ok_or_else(|| fault("its role is not known"))?;
        Ok(Self {
            issuers,
            root: message.root.to_vec(),
            id: message.id,
            secret: message.secret.to_vec().into(),
            role,
            name: message.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            issuers: vec![Url::parse("https://db1:2382").unwrap()],
            root: vec![1; HASH],
            id: "0011223344556677".to_owned(),
            secret: vec![2; HASH].into(),
            role: Role::Member,
            name: "db2".to_owned(),
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_hides_its_secret() {
        let text = token().to_text();
        assert_eq!(Token::parse(&format!(" {text}\n")), Ok(token()));
        assert_eq!(format!("{:?}", token()), "Token { id: \"0011223344556677\", name: \"db2\" }");
    }

    #[test]
    fn what_was_cut_or_mistyped_is_told() {
        let text = token().to_text();
        for end in PREFIX.len()..text.len() {
            assert_eq!(Token::parse(&text[..end]), Err(TokenError::Damaged), "{end}");
        }
        let wrong = text.replacen('A', "B", 1);
        assert_eq!(Token::parse(&wrong), Err(TokenError::Damaged));
        assert_eq!(Token::parse("hello"), Err(TokenError::Prefix));
    }

    #[test]
    fn an_issuer_without_tls_and_short_secrets_are_refused() {
        let plain = Token { issuers: vec![Url::parse("http://db1:1").unwrap()], ..token() };
        let short = Token { secret: vec![2; 5].into(), ..token() };
        for bad in [plain, short] {
            assert!(matches!(Token::parse(&bad.to_text()), Err(TokenError::Content(_))), "{bad:?}");
        }
    }
}
