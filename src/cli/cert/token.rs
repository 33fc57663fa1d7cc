//! `etcd cert token`: who may join.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::args::Words;
use super::context::{self, Context, dir_flag, moment, span};
use super::report::{Refusal, Report};
use crate::certs::{Pki, check_name, full_name, host_name};
use crate::enrol::{PORT, Record, Role, Token, Tokens};
use crate::transport::{TlsError, random, sha256};
use crate::types::hex::hex;

/// How long a token is good for unless `--ttl` says otherwise.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// Certificates one token may bring.
const MOST_USES: u32 = 1000;

impl From<TlsError> for Refusal {
    fn from(error: TlsError) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    match words.rest.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["create"] => create(words, context),
        ["list"] => list(words, context),
        ["revoke", id] => revoke(words, context, id),
        _ => {
            let hint = "say what to do: etcd cert token create|list|revoke ID";
            Err(Refusal::Misuse(hint.to_owned()))
        }
    }
}

fn create(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let needed =
        |name: &str| words.get(name).ok_or_else(|| Refusal::Misuse(format!("--{name} is needed")));
    let role = needed("role")?;
    let role = Role::parse(role)
        .ok_or_else(|| Refusal::Misuse(format!("--role is member or client, not {role:?}")))?;
    let name = needed("name")?.to_owned();
    check_name(&name)?;
    let life = words.life("ttl").map_err(Refusal::Misuse)?.unwrap_or(LIFE);
    let uses = uses(words, role)?;
    // This machine by its name, unless another is said.
    let own = full_name().or_else(host_name).unwrap_or_else(|| "localhost".to_owned());
    let issuers = context::issuers(words, format!("https://{own}:{PORT}"))?;
    let pki = Pki::open(context::layout(words)?, context.now)?;
    let root = context::pin(pki.layout())?;
    let (id, secret) = (hex(&random::<8>()?), Zeroizing::new(random::<32>()?.to_vec()));
    let expires = context.now.saturating_add(life).as_secs();
    let record = Record {
        id: id.clone(),
        secret_sha256: hex(&sha256(&secret)),
        role,
        name: name.clone(),
        hosts: context::sans(words)?,
        expires,
        uses_left: uses,
        keys: Vec::new(),
        member: None,
        revoked: false,
    };
    let tokens = Tokens::beside(&pki.layout().ca_dir());
    tokens.sweep(&pki, context.now)?;
    tokens.write(&pki, &record)?;
    let text =
        Token { issuers: issuers.clone(), root, id: id.clone(), secret, role, name }.to_text();
    let mut report = Report::default();
    report.say(&text);
    report.set("token", text.clone().into());
    report.set("id", id.clone().into());
    report.set("role", role.as_str().into());
    report.set("name", record.name.clone().into());
    report.set("uses", uses.into());
    report.set("expires", expires.into());
    let urls: Vec<String> = issuers.iter().map(ToString::to_string).collect();
    report.set("issuers", urls.clone().into());
    // Beside the token on standard output, which may go into a variable.
    report.note(format!(
        "token {id} for {} {:?}, until {}; it is a secret, and it is not kept here",
        role.as_str(),
        record.name,
        moment(expires.cast_signed())
    ));
    report.note_next(&[
        format!("on the new machine:  etcd cert join {text}"),
        format!(
            "the issuer must run, and be reached from there at {}:  etcd cert serve{}",
            urls.join(", "),
            dir_flag(pki.layout())
        ),
    ]);
    Ok(report)
}

fn uses(words: &Words, role: Role) -> Result<u32, Refusal> {
    let Some(text) = words.get("uses") else { return Ok(1) };
    let uses = text.parse().ok().filter(|uses| (1..=MOST_USES).contains(uses));
    let uses =
        uses.ok_or_else(|| Refusal::Misuse(format!("--uses is 1 to {MOST_USES}, not {text:?}")))?;
    if role == Role::Member && uses > 1 {
        let hint = "a member has a name of its own, so its token has one use; make one for each";
        return Err(Refusal::Misuse(hint.to_owned()));
    }
    Ok(uses)
}

fn list(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let pki = Pki::open(context::layout(words)?, context.now)?;
    let records = Tokens::beside(&pki.layout().ca_dir()).all()?;
    let mut report = Report::default();
    let mut lines =
        vec![["ID", "ROLE", "NAME", "USES", "EXPIRES", "LEFT", "STATE"].map(str::to_owned)];
    for record in &records {
        let left = record.expires.cast_signed() - context.seconds();
        lines.push([
            record.id.clone(),
            record.role.as_str().to_owned(),
            record.name.clone(),
            record.uses_left.to_string(),
            moment(record.expires.cast_signed()),
            span(left),
            record.state(context.now).to_owned(),
        ]);
    }
    report.columns(&lines);
    let entry = |record: &Record| {
        json!({
            "id": record.id,
            "role": record.role.as_str(),
            "name": record.name,
            "uses_left": record.uses_left,
            "expires": record.expires,
            "state": record.state(context.now),
            "member_id": record.member.map(|(id, _)| format!("{id:x}")),
        })
    };
    report.set("tokens", records.iter().map(entry).collect());
    Ok(report)
}

fn revoke(words: &Words, context: &Context, id: &str) -> Result<Report, Refusal> {
    let pki = Pki::open(context::layout(words)?, context.now)?;
    let tokens = Tokens::beside(&pki.layout().ca_dir());
    let Some(mut record) = tokens.find(id)? else {
        return Err(Refusal::Failed(format!(
            "there is no token {id:?}; `etcd cert token list` shows all"
        )));
    };
    let mut report = Report::default();
    let whose = format!("token {id} for {} {:?}", record.role.as_str(), record.name);
    report.set("revoked", id.into());
    report.set("changed", (!record.revoked).into());
    if record.revoked {
        report.say(format!("kept      {whose} was revoked already"));
    } else {
        // It is kept for a while, so that the command may be repeated and people see what it was.
        record.revoked = true;
        tokens.write(&pki, &record)?;
        report.say(format!("revoked   {whose}"));
    }
    if !record.keys.is_empty() {
        report.next(&[format!(
            "what was signed with it still holds; to take that back: etcd cert revoke {}{}",
            record.name,
            dir_flag(pki.layout())
        )]);
    }
    Ok(report)
}
