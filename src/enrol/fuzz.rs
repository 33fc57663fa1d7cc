//! What strangers hand to this room, for `crate::fuzzing`.

use prost::Message;

use super::records::{Record, Role};
use super::reports::Report;
use super::{Known, Token, asker, service, sign};
use crate::proto::enrol::{
    EnrolAnswer, EnrolRequest, FollowAnswer, FollowRequest, RegisterAnswer, RegisterRequest,
    RenewAnswer, RenewRequest,
};
use crate::types::fuzz::Seed;
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

/// What a stranger asks an issuer, what an issuer answers, and what it keeps: requests are looked into
/// as far as nothing is signed.
pub(crate) fn enrolment(bytes: &[u8]) {
    if let Ok(request) = EnrolRequest::decode(bytes) {
        for role in [Role::Member, Role::Client] {
            let record = some_record(role);
            for (purpose, wanted) in sign::wanted(&request, &record).unwrap_or_default() {
                let _ = sign::hosts(purpose, &record, &wanted);
            }
        }
    }
    if let Ok(request) = RegisterRequest::decode(bytes) {
        let _ = service::check_urls(&request.peer_urls);
    }
    let _ = (RenewRequest::decode(bytes), FollowRequest::decode(bytes));
    let _ = (RenewAnswer::decode(bytes), RegisterAnswer::decode(bytes));
    let trust = EnrolAnswer::decode(bytes).ok().and_then(|answer| answer.trust);
    let again = FollowAnswer::decode(bytes).ok().and_then(|answer| answer.trust);
    for trust in [trust, again].into_iter().flatten() {
        let _ = (asker::read_trust(trust.clone(), true), asker::read_trust(trust, false));
    }
    let _ = serde_json::from_slice::<Record>(bytes);
    let _ = serde_json::from_slice::<Report>(bytes);
}

fn some_record(role: Role) -> Record {
    Record {
        id: "0011223344556677".to_owned(),
        secret_sha256: "00".repeat(32),
        role,
        name: "db2".to_owned(),
        hosts: Vec::new(),
        expires: 2,
        uses_left: 1,
        keys: vec!["11".repeat(32)],
        member: None,
        revoked: false,
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let pem = "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";
    let enrol = EnrolRequest { client: pem.to_owned(), ..EnrolRequest::default() };
    let register =
        RegisterRequest { peer_urls: vec!["https://db2:2380".to_owned()], ..Default::default() };
    let record = serde_json::to_vec(&some_record(Role::Member)).unwrap_or_default();
    vec![
        Seed::new("enrolment", "enrol", enrol.encode_to_vec()),
        Seed::new("enrolment", "register", register.encode_to_vec()),
        Seed::new("enrolment", "record", record),
    ]
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
