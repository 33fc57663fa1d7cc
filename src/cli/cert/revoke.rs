//! `etcd cert revoke`: a certificate is good no more.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Words;
use super::context::{self, Context, moment};
use super::report::{Refusal, Report};
use crate::certs::{Action, Facts, Pki, Purpose, Side, Step};
use crate::types::hex::hex;

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let [which] = words.rest.as_slice() else {
        let hint = "say which: etcd cert revoke SERIAL|NAME|FILE";
        return Err(Refusal::Misuse(hint.to_owned()));
    };
    let pki = Pki::open(context::layout(words)?, context.now)?;
    let found = find(&pki, which, context)?;
    let mut report = Report::default();
    let mut steps = Vec::new();
    for side in Side::ALL {
        let of_side =
            |(facts, purpose): &(Facts, Purpose)| (purpose.side() == side).then(|| facts.clone());
        let certificates: Vec<Facts> = found.iter().filter_map(of_side).collect();
        if !certificates.is_empty() {
            steps.extend(pki.revoke(side, &certificates)?);
        }
    }
    for (facts, purpose) in &found {
        report.say(format!(
            "revoked   {}  {} {:?}, until {}",
            hex(&facts.serial),
            purpose.describe(),
            facts.common_name,
            moment(facts.not_after)
        ));
    }
    let list = |(facts, purpose): &(Facts, Purpose)| {
        json!({
            "serial": hex(&facts.serial),
            "name": facts.common_name,
            "side": purpose.side().as_str(),
        })
    };
    report.set("revoked", found.iter().map(list).collect::<Vec<Value>>().into());
    report.say("");
    report.steps(&steps);
    report.next(&next(&pki, &steps));
    Ok(report)
}

/// Certificates with that serial number, or in that file, or (unless they are over) of that name.
fn find(pki: &Pki, which: &str, context: &Context) -> Result<Vec<(Facts, Purpose)>, Refusal> {
    let mut known = pki.issued()?;
    for (_, files) in pki.layout().leaves() {
        // A file that cannot be read keeps nobody's certificate good.
        let facts = context::certificates(&files.certificate).unwrap_or_default();
        known.extend(facts.into_iter().next().filter(|facts| !known.contains(facts)));
    }
    let serial = which.replace(':', "").to_ascii_lowercase();
    let by_serial: Vec<Facts> =
        known.iter().filter(|facts| hex(&facts.serial) == serial).cloned().collect();
    let by_name = || {
        let current =
            |facts: &&Facts| facts.common_name == which && facts.not_after >= context.seconds();
        known.iter().filter(current).cloned().collect::<Vec<_>>()
    };
    let found = if !by_serial.is_empty() {
        by_serial
    } else if Path::new(which).is_file() {
        context::certificates(Path::new(which))?.into_iter().take(1).collect()
    } else {
        by_name()
    };
    let mut signed_here = Vec::new();
    for facts in found {
        match pki.purpose(&facts)? {
            Some(purpose) => signed_here.push((facts, purpose)),
            None => {
                let issuer = &facts.issuer;
                return Err(Refusal::Failed(format!(
                    "{which}: issued by {issuer:?}, which is no authority here; revoke it there"
                )));
            }
        }
    }
    if signed_here.is_empty() {
        return Err(Refusal::Failed(format!(
            "no certificate with the name or serial number {which:?} was signed here and is still \
             valid; `etcd cert status` lists those on this machine, and a file may be given as well"
        )));
    }
    Ok(signed_here)
}

fn next(pki: &Pki, steps: &[Step]) -> Vec<String> {
    let changed = |step: &&Step| step.action != Action::Kept;
    let lists = Side::ALL.map(|side| pki.layout().revocations(side));
    let lists = steps.iter().filter(changed).filter(|step| lists.contains(&step.path));
    let lists: Vec<String> = lists.map(|step| step.path.display().to_string()).collect();
    if lists.is_empty() {
        return vec!["nothing to do: it was on the list already".to_owned()];
    }
    vec![
        format!(
            "members that were started with --client-crl-file and --peer-crl-file on {} refuse it within \
             a second, close its connections, and pass the list on to the other members",
            lists.join(" and ")
        ),
        "if no member reads them here, bring them to one".to_owned(),
    ]
}
