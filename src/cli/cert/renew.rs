//! `etcd cert renew`: what ends soon is made anew.

use serde_json::json;

use super::args::Words;
use super::context::{self, Context, span};
use super::report::{Refusal, Report};
use crate::certs::{Action, CertError, Facts, Files, Key, Layout, Pki, Step};
use crate::enrol::{Following, Known, is_of_other, renew_pair, take_trust};

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let layout = context::layout(words)?;
    let more = context::sans(words)?;
    let life = words.life("ttl").map_err(Refusal::Misuse)?;
    let leaves = selected(&layout, words)?;
    if !layout.ca_dir().is_dir()
        && let Some(known) = Known::read(&layout.issuer())?
    {
        if life.is_some() || !more.is_empty() {
            let hint = "the issuer gives what the certificate had; --san and --ttl work beside the \
                        authorities, or make a request (etcd cert csr)";
            return Err(Refusal::Misuse(hint.to_owned()));
        }
        return by_issuer(&layout, known, leaves, words.on("force"), context);
    }
    let pki = Pki::open(layout, context.now)?;
    let forced = words.on("force") || !more.is_empty();
    let mut report = Report::default();
    let mut steps = Vec::new();
    let mut skipped = Vec::new();
    for (stem, files) in leaves {
        let done = why(&files, context, forced).and_then(|why| match why {
            Why::NotYet { left } => Ok(vec![Step {
                path: files.certificate.clone(),
                action: Action::Kept,
                what: format!("to be renewed in {}", span(left)),
            }]),
            Why::Now => pki.renew(&files, &more, life),
        });
        match done {
            Ok(done) => steps.extend(done),
            // With other certificates to renew, one of another authority stops nobody, nor one that
            // cannot be read.
            Err(CertError::Content { what, detail }) if words.rest.is_empty() => {
                report.warn(format!("{what}: {detail}"));
                skipped.push(stem);
            }
            Err(error) => return Err(error.into()),
        }
    }
    report.set("skipped", json!(skipped));
    if tell(&steps, &mut report) {
        let mut next = vec![SEEN.to_owned()];
        let nodes = pki.layout().nodes_dir();
        if steps.iter().any(|step| step.action != Action::Kept && step.path.starts_with(&nodes)) {
            next.push(format!("copy what changed below {} to its machine", nodes.display()));
        }
        report.next(&next);
    }
    Ok(report)
}

/// On a machine without authorities: takes up whom the issuer trusts, then has it renew what is due.
fn by_issuer(
    layout: &Layout,
    known: Known,
    leaves: Vec<(String, Files)>,
    forced: bool,
    context: &Context,
) -> Result<Report, Refusal> {
    let mut steps = Vec::new();
    context::block_on(async {
        let following = Following { layout: layout.clone(), pairs: Vec::new(), member: 0 };
        // Whoever goes by nothing is told everything: a client has no file that says who signs now.
        let trust = following.ask(&known, 0).await?;
        let newer = trust.as_ref().filter(|trust| trust.generation != known.generation);
        if let Some(trust) = newer {
            take_trust(layout, &known, trust)?;
        }
        let what = "root certificate: what clients trust".to_owned();
        let action = if newer.is_some() { Action::Replaced } else { Action::Kept };
        let signs = trust.map(|trust| trust.client_authority).unwrap_or_default();
        steps.push(Step { path: layout.root(), action, what });
        let known = Known::read(&layout.issuer())?.unwrap_or(known);
        for (stem, files) in leaves {
            let path = files.certificate.clone();
            let forced = forced || (stem.starts_with("clients/") && is_left(&files, &signs)?);
            match why(&files, context, forced)? {
                Why::NotYet { left } => {
                    let what = format!("to be renewed in {}", span(left));
                    steps.push(Step { path, action: Action::Kept, what });
                }
                Why::Now => {
                    renew_pair(&known, &files).await?;
                    let what = "renewed by the issuer, with a new key".to_owned();
                    steps.push(Step { path, action: Action::Replaced, what });
                }
            }
        }
        Ok::<_, Refusal>(())
    })??;
    let mut report = Report::default();
    report.set("skipped", json!([]));
    if tell(&steps, &mut report) {
        report.next(&[SEEN.to_owned()]);
    }
    Ok(report)
}

/// What to do when something was renewed.
const SEEN: &str = "nothing to do here: a running server sees the new files by itself";

/// Tells what was done, and whether anything was.
fn tell(steps: &[Step], report: &mut Report) -> bool {
    report.steps(steps);
    let changed = steps.iter().any(|step| step.action != Action::Kept);
    if !changed {
        report.say("\nNothing is due; --force renews all the same.");
    }
    changed
}

/// Whether a certificate is of another authority than the first one of `signs`, PEM.
fn is_left(files: &Files, signs: &str) -> Result<bool, Refusal> {
    let (facts, signs) = (context::certificates(&files.certificate)?, Facts::from_pem("", signs)?);
    let (Some(facts), Some(signs)) = (facts.first(), signs.first()) else { return Ok(false) };
    Ok(!facts.names_issuer(signs))
}

/// The pairs the words name: all, or those whose path or name is given.
fn selected(layout: &Layout, words: &Words) -> Result<Vec<(String, Files)>, Refusal> {
    let all = layout.leaves();
    if words.rest.is_empty() {
        return Ok(all);
    }
    if words.on("all") {
        return Err(Refusal::Misuse("give names or --all, not both".to_owned()));
    }
    for name in &words.rest {
        if !all.iter().any(|(stem, _)| is_called(stem, name)) {
            let known: Vec<&str> = all.iter().map(|(stem, _)| stem.as_str()).collect();
            return Err(Refusal::Failed(format!(
                "there is no certificate {name:?} in {}; there are {}",
                layout.dir().display(),
                known.join(", ")
            )));
        }
    }
    let wanted = |stem: &str| words.rest.iter().any(|name| is_called(stem, name));
    Ok(all.into_iter().filter(|(stem, _)| wanted(stem)).collect())
}

fn is_called(stem: &str, name: &str) -> bool {
    let (folder, rest) = stem.split_once('/').unwrap_or(("", stem));
    let node = rest.split('/').next().unwrap_or_default();
    stem == name
        || (folder == "clients" && rest == name)
        || (folder == "nodes" && (node == name || rest == name))
}

enum Why {
    Now,
    NotYet { left: i64 },
}

fn why(files: &Files, context: &Context, forced: bool) -> Result<Why, CertError> {
    let facts = context::certificates(&files.certificate)?;
    let Some(facts) = facts.first().filter(|_| !forced) else { return Ok(Why::Now) };
    let key = Key::read(&files.key).ok().flatten();
    let left = facts.due_at() - context.seconds();
    // A pair that does not fit is what an interrupted renewal leaves.
    let fits = key.is_some_and(|key| key.public() == facts.public_key);
    Ok(if fits && left > 0 && !is_of_other(files, facts) { Why::NotYet { left } } else { Why::Now })
}
