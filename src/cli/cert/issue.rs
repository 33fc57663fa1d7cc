//! `etcd cert issue`: a certificate for another machine or another client.

use std::path::Path;

use super::args::Words;
use super::context::{self, Context, dir_flag};
use super::report::{Refusal, Report};
use crate::certs::{Files, Layout, Leaf, Pki, Purpose, check_name};
use crate::types::hex::hex;

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let [kind, name] = words.rest.as_slice() else {
        let hint = "say for what and for whom: etcd cert issue server|peer|client NAME";
        return Err(Refusal::Misuse(hint.to_owned()));
    };
    let purpose = context::purpose(kind)?;
    check_name(name)?;
    let bundle = match words.get("bundle") {
        None => false,
        Some("pem") => true,
        Some(other) => {
            return Err(Refusal::Misuse(format!("--bundle is pem, not {other:?}")));
        }
    };
    let pki = Pki::open(context::layout(words)?, context.now)?;
    let place = place(&pki, purpose, name, words)?;
    let leaf = Leaf {
        common_name: name.clone(),
        hosts: hosts(purpose, name, context::sans(words)?),
        purpose,
        validity: pki.validity(context::leaf_life(words)?),
    };
    let force = words.on("force");
    // The authorities first: in a directory of another authority nothing is to be left behind.
    let mut steps = match &place.trust {
        Some(trust) => pki.copy_trust(trust, purpose, force)?,
        None => Vec::new(),
    };
    steps.extend(pki.ensure_leaf(&place.files, &leaf, force)?);
    if bundle {
        steps.push(pki.bundle(&place.files, force)?);
    }
    let mut report = Report::default();
    report.steps(&steps);
    say_names(&place.files, &leaf, &mut report)?;
    report.next(&next(&pki, &place, purpose, name));
    Ok(report)
}

/// Where a certificate goes, and where the authorities' certificates go beside it.
struct Place {
    files: Files,
    trust: Option<Layout>,
}

fn place(pki: &Pki, purpose: Purpose, name: &str, words: &Words) -> Result<Place, Refusal> {
    let own = pki.layout();
    let out = words.get("out").map(context::absolute).transpose()?;
    let dir = match (&out, purpose) {
        (None, Purpose::Client) => {
            return Ok(Place { files: own.pair(purpose, name), trust: None });
        }
        (None, _) => own.nodes_dir().join(name),
        (Some(out), _) => out.clone(),
    };
    if out.is_none() {
        pki.make_dir(&own.nodes_dir())?;
    }
    let trust = own.in_dir(&dir);
    let files = match purpose {
        Purpose::Client => trust.files(name),
        _ => trust.pair(purpose, name),
    };
    Ok(Place { files, trust: Some(trust) })
}

/// A machine answers to its name and to the local names; a client is nobody's host.
pub(super) fn hosts(purpose: Purpose, name: &str, more: Vec<String>) -> Vec<String> {
    if purpose == Purpose::Client {
        return more;
    }
    let mut hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.')) {
        hosts.push(name.to_owned());
    }
    for host in more {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// What the certificate is valid for; one that was kept may lack what was asked for.
fn say_names(files: &Files, leaf: &Leaf, report: &mut Report) -> Result<(), Refusal> {
    let facts = context::certificates(&files.certificate)?;
    let Some(facts) = facts.first() else { return Ok(()) };
    report.set("names", facts.hosts.clone().into());
    report.set("serial", hex(&facts.serial).into());
    report.set("not_after", facts.not_after.into());
    if !facts.hosts.is_empty() {
        report.say(format!("\nvalid for {}", facts.hosts.join(", ")));
    }
    report.say(format!("valid until {}", context::moment(facts.not_after)));
    let missing: Vec<&str> =
        leaf.hosts.iter().filter(|host| !facts.is_for(host)).map(String::as_str).collect();
    if !missing.is_empty() {
        report.warn(format!(
            "{} was kept and is not valid for {}; --force makes it anew",
            files.certificate.display(),
            missing.join(", ")
        ));
    }
    Ok(())
}

fn next(pki: &Pki, place: &Place, purpose: Purpose, name: &str) -> Vec<String> {
    let show = |path: &Path| path.display().to_string();
    let (certificate, key) = (show(&place.files.certificate), show(&place.files.key));
    match (purpose, &place.trust) {
        (Purpose::Client, trust) => {
            let root = trust.as_ref().unwrap_or(pki.layout()).root();
            vec![format!(
                "use it:\netcdctl --cacert {} --cert {certificate} --key {key} get foo",
                show(&root)
            )]
        }
        (_, Some(trust)) => {
            let other = if purpose == Purpose::Server { "peer" } else { "server" };
            let dir = show(trust.dir());
            vec![
                format!("copy the contents of {dir} to /etc/etcd/pki of that machine"),
                format!(
                    "a member needs both kinds; the other one: etcd cert issue {other} {name}{}",
                    dir_flag(pki.layout())
                ),
            ]
        }
        (_, None) => Vec::new(),
    }
}
