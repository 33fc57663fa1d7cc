//! `etcd cert csr` and `etcd cert sign`: the key stays where it is used, and only what is public
//! travels.

use std::path::Path;

use super::args::Words;
use super::context::{self, Context, dir_flag, moment};
use super::report::{Refusal, Report};
use crate::certs::{
    Action, Facts, Key, Leaf, New, Owner, Pki, Purpose, Request, Step, Validity, check_name,
    own_names, read, sibling, write_all,
};
use crate::types::hex::hex;

/// `etcd cert csr`.
pub(super) fn request(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let [kind, name] = words.rest.as_slice() else {
        let hint = "say for what and for whom: etcd cert csr server|peer|client NAME";
        return Err(Refusal::Misuse(hint.to_owned()));
    };
    let purpose = context::purpose(kind)?;
    check_name(name)?;
    let own = context::layout(words)?;
    let out = words.get("out").map(context::absolute).transpose()?;
    let files = match (&out, purpose) {
        (None, _) => own.pair(purpose, name),
        (Some(out), Purpose::Client) => own.in_dir(out).files(name),
        (Some(out), _) => own.in_dir(out).pair(purpose, name),
    };
    let dir = files.key.parent().unwrap_or(own.dir()).to_owned();
    let owner = context::make_dir(&own, &dir)?;
    let leaf = Leaf {
        common_name: name.clone(),
        hosts: hosts(purpose, name, context::sans(words)?),
        purpose,
        validity: Validity::starting(context.now, context::leaf_life(words)?),
    };
    let csr = sibling(&files.key, "csr");
    let steps = write_request(&files.key, &csr, &leaf, owner, words.on("force"))?;
    let mut report = Report::default();
    report.steps(&steps);
    if !leaf.hosts.is_empty() {
        report.say(format!("\nasks for {}", leaf.hosts.join(", ")));
    }
    report.set("names", leaf.hosts.into());
    let file = csr.file_name().unwrap_or_default().to_string_lossy().into_owned();
    report.next(&[
        format!("carry {} to the machine with the authority", csr.display()),
        format!("there: etcd cert sign {kind} {file}"),
        format!(
            "carry the certificate back to {}, and with it ca.crt, client-ca.crt, peer-ca.crt, \
             client.crl and peer.crl if they are not here",
            files.certificate.display()
        ),
    ]);
    Ok(report)
}

/// This machine's names for what it serves with; none for a client.
fn hosts(purpose: Purpose, name: &str, more: Vec<String>) -> Vec<String> {
    let mut hosts = Vec::new();
    if purpose != Purpose::Client {
        hosts = own_names();
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
        hosts.extend(name.chars().all(is_host).then(|| name.to_owned()));
    }
    hosts.extend(more);
    let mut seen = std::collections::HashSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

/// The key is never replaced: a certificate may be in use with it.
fn write_request(
    key_path: &Path,
    csr: &Path,
    leaf: &Leaf,
    owner: Option<Owner>,
    force: bool,
) -> Result<Vec<Step>, Refusal> {
    let step = |path: &Path, action, what: &str| Step {
        path: path.to_owned(),
        action,
        what: what.to_owned(),
    };
    let mut steps = Vec::new();
    let key = match Key::read(key_path)? {
        Some(key) => {
            steps.push(step(key_path, Action::Kept, "the key"));
            key
        }
        None => {
            let key = Key::generate()?;
            write_all(&[New::private(key_path, key.secret().expose(), owner)])?;
            steps.push(step(key_path, Action::Made, "the key: stays here"));
            key
        }
    };
    let what = "the request: nothing in it is secret";
    let there = read(csr)?;
    if let Some(text) = there.as_ref().filter(|_| !force) {
        let old = Request::read(&csr.display().to_string(), text)?;
        if old.public() != key.public() || old.hosts != leaf.hosts {
            let path = csr.display();
            return Err(Refusal::Failed(format!(
                "{path} is there already and asks for something else; --force replaces it"
            )));
        }
        steps.push(step(csr, Action::Kept, what));
        return Ok(steps);
    }
    write_all(&[New::public(csr, &Request::make(leaf, &key)?, owner)])?;
    let action = if there.is_some() { Action::Replaced } else { Action::Made };
    steps.push(step(csr, action, what));
    Ok(steps)
}

/// `etcd cert sign`.
pub(super) fn sign(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let [kind, file] = words.rest.as_slice() else {
        let hint = "say for what and which request: etcd cert sign server|peer|client FILE.csr";
        return Err(Refusal::Misuse(hint.to_owned()));
    };
    let purpose = context::purpose(kind)?;
    let csr = context::absolute(file)?;
    let text =
        read(&csr)?.ok_or_else(|| Refusal::Failed(format!("there is no {}", csr.display())))?;
    let request = Request::read(&csr.display().to_string(), &text)?;
    let pki = Pki::open(context::layout(words)?, context.now)?;
    let out = match words.get("out") {
        Some(out) => context::absolute(out)?,
        None => sibling(&csr, "crt"),
    };
    let asked = context::sans(words)?;
    let leaf = Leaf {
        common_name: words.get("name").unwrap_or(&request.common_name).to_owned(),
        hosts: if asked.is_empty() { request.hosts.clone() } else { asked },
        purpose,
        validity: pki.validity(context::leaf_life(words)?),
    };
    check_name(&leaf.common_name)?;
    let action = answer(&pki, &request, &leaf, &out, (words.on("force"), context))?;
    let mut report = Report::default();
    let what = format!("{} {:?}", purpose.describe(), leaf.common_name);
    report.steps(&[Step { path: out.clone(), action, what }]);
    let facts = context::certificates(&out)?;
    if let Some(facts) = facts.first() {
        report.say(format!("\nvalid for {}", facts.hosts.join(", ")));
        report.say(format!("valid until {}", moment(facts.not_after)));
        report.set("names", facts.hosts.clone().into());
        report.set("serial", hex(&facts.serial).into());
        report.set("not_after", facts.not_after.into());
    }
    report.next(&[
        format!("carry {} back to where the key is", out.display()),
        format!(
            "take it back if it was a mistake: etcd cert revoke {}{}",
            out.display(),
            dir_flag(pki.layout())
        ),
    ]);
    Ok(report)
}

/// Signs a request, unless `out` holds what it would be answered with.
fn answer(
    pki: &Pki,
    request: &Request,
    leaf: &Leaf,
    out: &Path,
    (force, context): (bool, &Context),
) -> Result<Action, Refusal> {
    let action = match read(out)? {
        None => Action::Made,
        Some(_) if force => Action::Replaced,
        Some(text) if is_answer(pki, request, leaf, &text, context) => return Ok(Action::Kept),
        Some(_) => {
            let path = out.display();
            let why = "is there already and is not what this request asks for now";
            return Err(Refusal::Failed(format!("{path} {why}; --force replaces it")));
        }
    };
    let certificate = pki.answer(request, leaf)?;
    let owner = out.parent().map(Owner::of).transpose()?.flatten();
    write_all(&[New::public(out, &certificate, owner)])?;
    Ok(action)
}

/// Whether a text is the certificate that this request would be answered with, and one that still
/// holds: then there is nothing to sign.
fn is_answer(pki: &Pki, request: &Request, leaf: &Leaf, text: &str, context: &Context) -> bool {
    let facts = Facts::from_pem("", text).unwrap_or_default();
    let Some(facts) = facts.first() else { return false };
    facts.public_key == request.public()
        && facts.common_name == leaf.common_name
        && facts.hosts == leaf.hosts
        && facts.due_at() > context.seconds()
        && pki.purpose(facts).is_ok_and(|found| found == Some(leaf.purpose))
        && pki.is_revoked(facts).is_ok_and(|revoked| !revoked)
}
