//! `etcd cert export-trust`: what others have to know to trust this authority.

use super::args::Words;
use super::context::{self, Context, fingerprint, moment};
use super::report::{Refusal, Report};
use crate::certs::{Action, New, Owner, Step, read, write_all};

pub(super) fn run(words: &Words, _context: &Context) -> Result<Report, Refusal> {
    if let Some(word) = words.rest.first() {
        return Err(Refusal::Misuse(format!("{word:?} is one word too many")));
    }
    let root = context::layout(words)?.root();
    let facts = context::certificates(&root)?;
    let facts =
        facts.first().ok_or_else(|| Refusal::Failed(format!("{} is empty", root.display())))?;
    let pem = read(&root)?.unwrap_or_default();
    let mut report = Report::default();
    let (whole, key) = (fingerprint(&facts.der), fingerprint(&facts.spki));
    match words.get("out") {
        None => report.say(pem.trim_end()),
        Some(out) => {
            let out = context::absolute(out)?;
            let step = write(&out, &pem, words.on("force"))?;
            report.steps(&[step]);
        }
    }
    report.set("pem", pem.into());
    report.set("subject", facts.subject.clone().into());
    report.set("not_after", facts.not_after.into());
    report.set("sha256", whole.clone().into());
    report.set("spki_sha256", key.clone().into());
    // Beside the PEM on standard output, which goes into a file.
    report.note(format!("{}, valid until {}", facts.subject, moment(facts.not_after)));
    report.note(format!("SHA-256 of the certificate: {whole}"));
    report.note(format!("SHA-256 of its key (SPKI):  {key}"));
    report.note_next(&[
        "compare the first over the telephone before you trust a file that came by mail".to_owned(),
    ]);
    Ok(report)
}

fn write(out: &std::path::Path, pem: &str, force: bool) -> Result<Step, Refusal> {
    let what = "what clients trust (etcdctl --cacert)".to_owned();
    let action = match read(out)? {
        Some(there) if there == pem => {
            return Ok(Step { path: out.to_owned(), action: Action::Kept, what });
        }
        Some(_) if !force => {
            let path = out.display();
            return Err(Refusal::Failed(format!("{path} is there already; --force replaces it")));
        }
        Some(_) => Action::Replaced,
        None => Action::Made,
    };
    let owner = out.parent().map(Owner::of).transpose()?.flatten();
    write_all(&[New::public(out, pem, owner)])?;
    Ok(Step { path: out.to_owned(), action, what })
}
