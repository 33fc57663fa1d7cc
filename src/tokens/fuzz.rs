//! What strangers may show as a token.

use std::sync::Arc;
use std::time::Duration;

use super::jwt;
use super::provider::Provider;
use super::simple::SimpleTokens;
use crate::types::fuzz::Seed;

/// A token of either kind; nobody has been given one.
pub(crate) fn shown(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let simple = Provider::Simple(Arc::new(SimpleTokens::new(Duration::from_secs(1))));
    let _ = simple.whose(&text);
    jwt::fuzz(&text, bytes);
}

pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |name, text: &str| Seed::new("token", name, text.as_bytes().to_vec());
    vec![seed("simple", "CauxNLDCcpLphaUi.117"), seed("signed", &jwt::signed())]
}
