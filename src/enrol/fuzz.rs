//! What strangers hand to this room, for `crate::fuzzing`.

#[cfg(test)]
use super::Role;
use super::{Known, Token};
#[cfg(test)]
use crate::types::url::Url;

/// The text of a token, with or without its check, and the file that names an issuer.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for text in [text.to_owned(), Token::armour(bytes)] {
        if let Ok(token) = Token::parse(&text) {
            assert_eq!(Token::parse(&token.to_text()).as_ref(), Ok(&token));
        }
    }
    if let Ok(known) = Known::from_text("bytes", text) {
        assert_eq!(Known::from_text("bytes", &known.to_text()).ok(), Some(known));
    }
}

/// A token as it is carried over; nobody's.
#[cfg(test)]
pub(crate) fn some_token() -> String {
    let issuers = vec![Url::parse("https://db1:2382").unwrap()];
    let (root, secret, id) = (vec![1; 32], vec![2; 32].into(), "0011223344556677".to_owned());
    Token { issuers, root, id, secret, role: Role::Member, name: "db2".to_owned() }.to_text()
}

/// The file that names its issuer.
#[cfg(test)]
pub(crate) fn some_issuer() -> String {
    let issuers = vec![Url::parse("https://db1:2382").unwrap()];
    Known { issuers, root: vec![1; 32], generation: 3 }.to_text()
}
