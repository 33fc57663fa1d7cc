//! What the issuer signs, and for whom. Every call opens the authorities' directory, does one thing
//! under its lock, and closes it: what the commands of `etcd cert` do there meanwhile counts at once.

use std::net::IpAddr;
use std::time::Duration;

use super::records::{Membership, Record, Role, Tokens};
use super::reports::{Report, Reports};
use super::{ISSUER_NAME, renewal_text, report_text};
use crate::certs::{CertError, Facts, Layout, Leaf, Pki, Purpose, Request, Side};
use crate::proto::enrol::{
    Credential, EnrolAnswer, EnrolRequest, FollowAnswer, FollowRequest, RenewAnswer, RenewRequest,
    Trust,
};
use crate::transport::{sha256, signed_by};
use crate::types::clock::Clock;
use crate::types::hex::hex;

/// Names in one certificate.
const MOST_HOSTS: usize = 64;
/// Certificates in one report.
const MOST_SHOWN: usize = 4;
/// How long after its end a token still makes a member of whoever used it in time: there may be a
/// queue.
const GRACE: u64 = 3600;

/// Why something is not signed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Whoever asks has shown nothing that allows it.
    Denied(String),
    /// What is asked for makes no sense.
    Request(String),
    /// The directory cannot be worked with.
    Broken(CertError),
}

impl From<CertError> for Refusal {
    fn from(error: CertError) -> Self {
        Self::Broken(error)
    }
}

/// Signs.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) layout: Layout,
    /// How long what it signs is to live.
    pub(super) life: Duration,
}

impl Desk {
    pub(super) fn open(&self) -> Result<Pki, CertError> {
        Pki::open(self.layout.clone(), Clock.unix())
    }

    pub(super) fn tokens(&self) -> Tokens {
        Tokens::beside(&self.layout.ca_dir())
    }

    /// Signs what a token allows. The same keys may come again: an answer can get lost.
    pub(super) fn enrol(&self, request: &EnrolRequest, from: &str) -> Result<EnrolAnswer, Refusal> {
        let (pki, now) = (self.open()?, Clock.unix());
        let mut record = self.known(request.credential.as_ref())?;
        if record.expires <= now.as_secs() {
            let hint = "make another: etcd cert token create";
            return Err(Refusal::Denied(format!("the token is over; {hint}")));
        }
        let wanted = wanted(request, &record)?;
        let keys: Vec<u8> = wanted.iter().flat_map(|(_, one)| one.public()).copied().collect();
        let keys = hex(&sha256(&keys));
        if !record.keys.contains(&keys) {
            if record.uses_left == 0 {
                let hint = "each key needs its own use; make another: etcd cert token create";
                return Err(Refusal::Denied(format!("the token was used already; {hint}")));
            }
            record.uses_left -= 1;
            record.keys.push(keys);
            // Before anything is signed: a crash must not leave more uses than there were.
            self.tokens().write(&pki, &record)?;
        }
        let mut answer =
            EnrolAnswer { trust: Some(trust(&pki, record.role)?), ..EnrolAnswer::default() };
        for (purpose, request) in &wanted {
            let leaf = Leaf {
                common_name: record.name.clone(),
                hosts: hosts(*purpose, &record, request)?,
                purpose: *purpose,
                validity: pki.validity(self.life),
            };
            let chain = pki.answer(request, &leaf)?;
            audit("signed for a token", &chain, &leaf, &format!("token {}", record.id), from)?;
            *match purpose {
                Purpose::Server => &mut answer.server,
                Purpose::Peer => &mut answer.peer,
                Purpose::Client => &mut answer.client,
            } = chain;
        }
        Ok(answer)
    }

    /// The record behind a credential.
    fn known(&self, credential: Option<&Credential>) -> Result<Record, Refusal> {
        // One answer for both: whoever guesses is not told how near it was.
        let denied = || Refusal::Denied("the token is not known here, or was revoked".to_owned());
        let credential = credential.ok_or_else(denied)?;
        let record = self.tokens().find(&credential.id)?.ok_or_else(denied)?;
        let holds = record.is_secret(&credential.secret) && !record.revoked;
        if holds { Ok(record) } else { Err(denied()) }
    }

    /// The record of a token that certificates were signed for and that is to bring a member.
    pub(super) fn may_register(&self, credential: Option<&Credential>) -> Result<Record, Refusal> {
        let record = self.known(credential)?;
        let denied = |text: &str| Err(Refusal::Denied(text.to_owned()));
        if record.role != Role::Member {
            return denied("the token is for a client");
        }
        if record.keys.is_empty() {
            return denied("no certificate was signed for this token yet");
        }
        if record.expires.saturating_add(GRACE) <= Clock.unix().as_secs() {
            return denied("the token is over; make another: etcd cert token create");
        }
        Ok(record)
    }

    /// Keeps how far the member of a token is, so that an issuer that starts again goes on with it.
    pub(super) fn note(&self, id: &str, member: u64, state: Membership) -> Result<(), CertError> {
        let (pki, tokens) = (self.open()?, self.tokens());
        let Some(mut record) = tokens.find(id)? else { return Ok(()) };
        record.member = Some((member, state));
        tokens.write(&pki, &record)
    }

    /// Tells whom to trust, which is no secret, and keeps the report of a member that shows that it is
    /// one.
    pub(super) fn follow(&self, request: &FollowRequest) -> Result<FollowAnswer, Refusal> {
        let pki = self.open()?;
        if !request.certificates.is_empty() {
            let report = reported(&pki, request)?;
            Reports::beside(&self.layout.ca_dir()).keep(&pki, &report)?;
        }
        let last = request.generation == pki.trusted()?.generation;
        let trust = if last { None } else { Some(trust(&pki, Role::Member)?) };
        Ok(FollowAnswer { trust })
    }

    /// Signs a new key for whoever owns a certificate that was signed here and still holds.
    pub(super) fn renew(&self, request: &RenewRequest, from: &str) -> Result<RenewAnswer, Refusal> {
        let (pki, now) = (self.open()?, Clock.unix().as_secs().cast_signed());
        let denied = |text: &str| Err(Refusal::Denied(text.to_owned()));
        let facts = Facts::from_der("the certificate", &request.certificate)
            .map_err(|error| Refusal::Request(error.to_string()))?;
        let message = renewal_text(&request.certificate, &request.request);
        if !pki.has_signed(&facts)? {
            return denied("the certificate was not signed here");
        }
        if !signed_by(&facts.public_key, &message, &request.signature) {
            return denied("the request is not signed with the key of the certificate");
        }
        let old = hex(&facts.serial);
        if facts.not_after < now {
            return denied(
                "the certificate has expired; a new token, or `etcd cert renew` beside \
                           the authorities, brings another",
            );
        }
        let Some(leaf) = pki.same_again(&facts)? else {
            return denied("the authority that signed the certificate was replaced");
        };
        if pki.is_revoked(&facts)? {
            return denied("the certificate was revoked");
        }
        if leaf.hosts.iter().any(|host| is_reserved(host)) {
            return denied("the issuer renews its own certificate");
        }
        let wanted = Request::read("the request", &request.request)
            .map_err(|error| Refusal::Request(error.to_string()))?;
        if wanted.public() == facts.public_key {
            return Err(Refusal::Request("a renewal brings a new key".to_owned()));
        }
        let certificate = pki.answer(&wanted, &leaf)?;
        audit("renewed", &certificate, &leaf, &format!("certificate {old}"), from)?;
        Ok(RenewAnswer { certificate })
    }
}

/// What a member reports, if the first of its certificates is a member's that was signed here, and
/// its key has signed the report.
fn reported(pki: &Pki, request: &FollowRequest) -> Result<Report, Refusal> {
    let denied = |text: &str| Err(Refusal::Denied(text.to_owned()));
    if request.certificates.len() > MOST_SHOWN {
        return Err(Refusal::Request(format!("more than {MOST_SHOWN} certificates")));
    }
    let mut serials = Vec::new();
    for (place, der) in request.certificates.iter().enumerate() {
        let facts = Facts::from_der("a certificate of the report", der)
            .map_err(|error| Refusal::Request(error.to_string()))?;
        if !pki.has_signed(&facts)? {
            return denied("a certificate of the report was not signed here");
        }
        if place == 0 {
            let parts: Vec<&[u8]> = request.certificates.iter().map(|der| &der[..]).collect();
            let text = report_text(request.member_id, request.generation, &parts);
            let expired = facts.not_after < Clock.unix().as_secs().cast_signed();
            if expired || pki.purpose(&facts)? != Some(Purpose::Peer) || pki.is_revoked(&facts)? {
                return denied("the report is not shown to be a member's");
            }
            if !signed_by(&facts.public_key, &text, &request.signature) {
                return denied("the report is not signed with the key of the certificate");
            }
        }
        serials.push(hex(&facts.serial));
    }
    let (member, generation, at) = (request.member_id, request.generation, Clock.unix().as_secs());
    Ok(Report { member, generation, certificates: serials, at })
}

/// Whom to trust, as far as somebody in this role has to know.
fn trust(pki: &Pki, role: Role) -> Result<Trust, CertError> {
    let generation = pki.trusted()?.generation;
    let mut trust = Trust { root: pki.roots()?, generation, ..Trust::default() };
    if role == Role::Member {
        trust.client_authority = pki.authorities(Side::Client)?;
        trust.peer_authority = pki.authorities(Side::Peer)?;
        trust.client_revocations = pki.lists(Side::Client)?;
        trust.peer_revocations = pki.lists(Side::Peer)?;
    }
    Ok(trust)
}

/// The requests, as the role of the token has them.
pub(super) fn wanted(
    request: &EnrolRequest,
    record: &Record,
) -> Result<Vec<(Purpose, Request)>, Refusal> {
    let all = [
        (Purpose::Server, &request.server, Role::Member),
        (Purpose::Peer, &request.peer, Role::Member),
        (Purpose::Client, &request.client, Role::Client),
    ];
    let mut wanted = Vec::new();
    for (purpose, text, role) in all {
        match (role == record.role, text.is_empty()) {
            (true, false) => {
                let read = Request::read("the request", text);
                wanted.push((purpose, read.map_err(|error| Refusal::Request(error.to_string()))?));
            }
            (false, true) => {}
            _ => {
                let role = record.role.as_str();
                return Err(Refusal::Request(format!("the token is for a {role}")));
            }
        }
    }
    Ok(wanted)
}

/// What a certificate will be valid for: names no token holder may have are refused.
pub(super) fn hosts(
    purpose: Purpose,
    record: &Record,
    request: &Request,
) -> Result<Vec<String>, Refusal> {
    if purpose == Purpose::Client {
        return Ok(Vec::new());
    }
    let hosts = if record.hosts.is_empty() {
        request.hosts.clone()
    } else {
        let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let name = is_host(&record.name).then(|| record.name.clone());
        local.into_iter().chain(name).chain(record.hosts.iter().cloned()).collect()
    };
    let fault = |text: String| Err(Refusal::Request(text));
    if hosts.len() > MOST_HOSTS {
        return fault(format!("{} names are more than {MOST_HOSTS}", hosts.len()));
    }
    match hosts.iter().find(|host| !is_host(host) || is_reserved(host)) {
        Some(bad) => fault(format!("{bad:?} is no name a machine may be certified for")),
        None => Ok(hosts),
    }
}

/// An address or a plain host name; wildcards are for people to sign.
fn is_host(host: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    host.parse::<IpAddr>().is_ok()
        || (!host.is_empty() && host.len() <= 253 && host.chars().all(letter))
}

/// The issuer's own name, in any spelling.
fn is_reserved(host: &str) -> bool {
    host.trim_end_matches('.').eq_ignore_ascii_case(ISSUER_NAME)
}

/// A line for every signature: what, for whom, by which right, from where.
fn audit(what: &str, chain: &str, leaf: &Leaf, right: &str, from: &str) -> Result<(), CertError> {
    let facts = Facts::from_pem("the new certificate", chain)?;
    let Some(facts) = facts.first() else { return Ok(()) };
    tracing::info!(
        logger = "audit",
        name = leaf.common_name,
        kind = leaf.purpose.describe(),
        serial = hex(&facts.serial),
        names = leaf.hosts.join(","),
        "not-after" = facts.not_after,
        right,
        "remote-addr" = from,
        "{what}"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
