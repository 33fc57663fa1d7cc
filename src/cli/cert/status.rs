//! `etcd cert status`: what there is, until when, and what is wrong with it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::args::Words;
use super::context::{self, Context, moment, span};
use super::remote::{self, Look, Looking, load_pair};
use super::report::{Refusal, Report};
use crate::certs::{CertError, Facts, Files, Layout, RevocationList, Side, read};
use crate::transport::TlsError;
use crate::types::hex::hex;

/// Exit code when something should be looked at, and when something is over.
const WARN: i32 = 1;
const EXPIRED: i32 = 2;

/// One line of the table.
struct Row {
    file: String,
    role: &'static str,
    facts: Option<Facts>,
    /// Of a revocation list, when a newer one is to be expected, Unix seconds.
    next_update: Option<i64>,
    state: String,
    code: i32,
}

impl Row {
    /// Something of which nothing is known but what is wrong.
    fn without(file: String, role: &'static str, state: String) -> Self {
        Self { file, role, facts: None, next_update: None, state, code: WARN }
    }
}

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let endpoints = words.list("endpoints");
    let rows = if !endpoints.is_empty() {
        of_servers(&endpoints, words, context)?
    } else if words.rest.is_empty() {
        of_directory(&context::layout(words)?, context)?
    } else {
        of_files(&words.rest, context)
    };
    Ok(table(&rows, context))
}

fn table(rows: &[Row], context: &Context) -> Report {
    let mut report = Report::default();
    report.code = rows.iter().map(|row| row.code).max().unwrap_or_default();
    let heads = ["FILE", "ROLE", "SUBJECT", "SANS", "ISSUER", "EXPIRES", "LEFT", "STATE"];
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| cells(row, context)));
    report.columns(&lines);
    report.set("certificates", rows.iter().map(|row| entry(row, context)).collect());
    let word = ["ok", "warning", "expired"];
    let word = word.get(usize::try_from(report.code).unwrap_or(WARN as usize));
    report.set("state", (*word.unwrap_or(&"warning")).into());
    report
}

fn cells(row: &Row, context: &Context) -> [String; 8] {
    let Some(facts) = &row.facts else {
        let dash = || "-".to_owned();
        let (file, role) = (row.file.clone(), row.role.to_owned());
        let ends = row.next_update.map_or_else(dash, moment);
        let left = row.next_update.map(|next| span(next - context.seconds()));
        let left = left.unwrap_or_else(dash);
        return [file, role, dash(), dash(), dash(), ends, left, row.state.clone()];
    };
    let sans = if facts.hosts.is_empty() { "-".to_owned() } else { facts.hosts.join(",") };
    [
        row.file.clone(),
        row.role.to_owned(),
        facts.common_name.clone(),
        sans,
        facts.issuer_name.clone(),
        moment(facts.not_after),
        span(facts.not_after - context.seconds()),
        row.state.clone(),
    ]
}

fn entry(row: &Row, context: &Context) -> Value {
    let Some(facts) = &row.facts else {
        let (role, next) = (row.role, row.next_update);
        return json!({ "file": row.file, "role": role, "next_update": next, "state": row.state });
    };
    json!({
        "file": row.file,
        "role": row.role,
        "subject": facts.subject,
        "sans": facts.hosts,
        "issuer": facts.issuer,
        "serial": hex(&facts.serial),
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "left_seconds": facts.not_after - context.seconds(),
        "state": row.state,
    })
}

/// What its dates say.
fn dates(facts: &Facts, context: &Context) -> (String, i32) {
    let now = context.seconds();
    if now > facts.not_after {
        ("expired".to_owned(), EXPIRED)
    } else if now < facts.not_before {
        ("not valid yet: compare the clocks".to_owned(), WARN)
    } else if now >= facts.due_at() {
        ("renew".to_owned(), WARN)
    } else {
        ("ok".to_owned(), 0)
    }
}

/// By what it is good for, when nothing else tells.
fn role(facts: &Facts) -> &'static str {
    match (facts.is_ca, facts.serves, facts.connects) {
        (true, ..) if facts.is_root() => "root",
        (true, ..) => "authority",
        (_, true, true) => "peer",
        (_, true, false) => "server",
        (_, false, true) => "client",
        (_, false, false) => "other",
    }
}

fn row(file: String, facts: Facts, context: &Context) -> Row {
    let ((state, code), role) = (dates(&facts, context), role(&facts));
    Row { file, role, facts: Some(facts), next_update: None, state, code }
}

/// The certificates in a file; one that cannot be read hides none of the others.
fn rows_of(path: &Path, shown: &str, role: &'static str, context: &Context) -> Vec<Row> {
    match context::certificates(path) {
        Ok(found) => found.into_iter().map(|one| row(shown.to_owned(), one, context)).collect(),
        // The file has a column of its own.
        Err(CertError::Content { detail, .. }) => {
            vec![Row::without(shown.to_owned(), role, detail)]
        }
        Err(error) => vec![Row::without(shown.to_owned(), role, error.to_string())],
    }
}

fn of_files(files: &[String], context: &Context) -> Vec<Row> {
    files.iter().flat_map(|file| rows_of(Path::new(file), file, "-", context)).collect()
}

fn of_servers(endpoints: &[String], words: &Words, context: &Context) -> Result<Vec<Row>, Refusal> {
    let looking = Looking::unknown(words)?;
    let mut rows = Vec::new();
    for endpoint in endpoints {
        let url = remote::url(endpoint)?;
        let without = |state: String| Row::without(url.to_string(), "-", state);
        match looking.look(&url, url.host())? {
            Look::Unreachable(error) => rows.push(without(remote::explain(&error, &url).0)),
            Look::Seen(seen) if seen.chain.is_empty() => {
                rows.push(without(
                    "showed no certificate; `etcd cert verify` tells why".to_owned(),
                ));
            }
            Look::Seen(seen) => {
                for facts in remote::facts(&seen, &url)? {
                    rows.push(row(url.to_string(), facts, context));
                }
            }
        }
    }
    Ok(rows)
}

fn of_directory(layout: &Layout, context: &Context) -> Result<Vec<Row>, Refusal> {
    let mut rows = Vec::new();
    let mut lists = Vec::new();
    let shown = |path: &Path| path.strip_prefix(layout.dir()).unwrap_or(path).display().to_string();
    for path in [layout.root(), layout.authority(Side::Client), layout.authority(Side::Peer)] {
        if path.is_file() {
            rows.extend(rows_of(&path, &shown(&path), "authority", context));
        }
    }
    for side in Side::ALL {
        let path = layout.revocations(side);
        if let Some(text) = read(&path)? {
            match RevocationList::all_from_pem(&path.display().to_string(), text.as_bytes()) {
                Ok(found) => {
                    rows.extend(found.iter().map(|list| of_list(shown(&path), list, context)));
                    lists.extend(found);
                }
                Err(why) => rows.push(Row::without(shown(&path), "revoked", why.to_string())),
            }
        }
    }
    for (_, files) in layout.leaves() {
        let path = &files.certificate;
        // What follows is the authority's.
        let Some(mut found) = rows_of(path, &shown(path), "-", context).into_iter().next() else {
            continue;
        };
        if let Some((state, code)) = flaw(&found, &files, &lists) {
            found.code = found.code.max(code);
            found.state =
                if found.state == "ok" { state } else { format!("{}; {state}", found.state) };
        }
        rows.push(found);
    }
    if rows.is_empty() {
        let dir = layout.dir().display();
        return Err(Refusal::Failed(format!(
            "there are no certificates in {dir}; `etcd cert init` makes them, --pki-dir names \
             another directory"
        )));
    }
    Ok(rows)
}

fn of_list(file: String, list: &RevocationList, context: &Context) -> Row {
    let late = list.next_update.is_some_and(|next| next < context.seconds());
    let count = list.revoked.len();
    let (state, code) = if late {
        (format!("{count} revoked; a newer list was due"), WARN)
    } else {
        (format!("{count} revoked"), 0)
    };
    Row { file, role: "revoked", facts: None, next_update: list.next_update, state, code }
}

/// What is wrong with a leaf beyond its dates.
fn flaw(row: &Row, files: &Files, lists: &[RevocationList]) -> Option<(String, i32)> {
    let (facts, Files { certificate, key }) = (row.facts.as_ref()?, files);
    if lists.iter().any(|list| list.names(&facts.serial)) {
        return Some(("revoked".to_owned(), WARN));
    }
    let mode = match std::fs::metadata(key) {
        Ok(found) => found.permissions().mode() & 0o077,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Some(("its key is missing".to_owned(), WARN));
        }
        Err(error) => return Some((format!("its key: {error}"), WARN)),
    };
    if mode != 0 {
        return Some(("others can read its key: chmod 600".to_owned(), WARN));
    }
    match load_pair(certificate, key) {
        Err(TlsError::KeyMismatch { .. }) => {
            Some(("its key belongs to another certificate: renew".to_owned(), WARN))
        }
        // A key this user may not read is no fault of the pair.
        Err(TlsError::Read { .. }) | Ok(_) => None,
        Err(why) => Some((why.to_string(), WARN)),
    }
}
