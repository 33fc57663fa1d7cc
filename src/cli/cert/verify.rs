//! `etcd cert verify`: why does it not connect?

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::args::Words;
use super::checks::Checks;
use super::context::{self, Context, moment, span};
use super::remote::{self, Look, Looking, load_pair};
use super::report::{Refusal, Report};
use crate::certs::{Facts, Purpose};
use crate::transport::{ChainFault, HandshakeFault, Seen, TlsError, verify_chain};
use crate::types::url::Url;

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    match (words.on("pair"), words.rest.as_slice()) {
        (true, [certificate, key]) => pair(Path::new(certificate), Path::new(key), words, context),
        (false, [url]) => server(url, words, context),
        _ => {
            let hint = "say what: etcd cert verify URL, or etcd cert verify --pair CERT KEY";
            Err(Refusal::Misuse(hint.to_owned()))
        }
    }
}

fn server(word: &str, words: &Words, context: &Context) -> Result<Report, Refusal> {
    let url = remote::url(word)?;
    let name = words.get("server-name").unwrap_or(url.host()).to_owned();
    let layout = context::layout(words)?;
    let usual = layout.pair(Purpose::Client, "admin");
    let usual = (usual.certificate.is_file() && std::fs::File::open(&usual.key).is_ok())
        .then_some((usual.certificate.as_path(), usual.key.as_path()));
    let looking = Looking::with(words, usual)?;
    let mut checks = Checks::default();
    match looking.look(&url, &name)? {
        Look::Unreachable(error) => {
            let (detail, fix) = remote::explain(&error, &url);
            checks.bad("reachable", detail, &fix);
        }
        Look::Seen(seen) => {
            checks.good("reachable", format!("{} takes connections", url.authority));
            protocol(&seen, &url, &mut checks);
            let chain = remote::facts(&seen, &url)?;
            if let Some(leaf) = chain.first() {
                trust(&seen.chain, &chain, remote::cacert(words)?.as_deref(), false, &mut checks);
                dates(&chain, context, &mut checks);
                serving(leaf, &name, &mut checks);
                client(&seen, looking.shows(), &mut checks);
            }
        }
    }
    Ok(checks.report())
}

/// Whether TLS is spoken at all, and which.
fn protocol(seen: &Seen, url: &Url, checks: &mut Checks) {
    let shook = !seen.chain.is_empty();
    match &seen.fault {
        Some(HandshakeFault::Plaintext) => checks.bad(
            "protocol",
            "the server speaks plaintext on this port",
            "use http:// in the endpoint, or https:// in the server's listen URL with --cert-file and \
             --key-file",
        ),
        Some(HandshakeFault::Incompatible(why)) => checks.bad(
            "protocol",
            format!("no version or cipher suite in common ({why}); TLS 1.2 and 1.3 were offered"),
            "compare --tls-min-version, --tls-max-version and --cipher-suites of the server",
        ),
        Some(HandshakeFault::Silent) if !shook => checks.bad(
            "protocol",
            "the server takes the connection and says nothing",
            "something else may listen there, or the server is stuck: look at its log",
        ),
        Some(HandshakeFault::Closed) if !shook => checks.bad(
            "protocol",
            "the server ends the connection before it shows a certificate",
            "it may speak plaintext (http://), or be no etcd: look at its log",
        ),
        Some(HandshakeFault::Other(why)) if !shook => checks.bad(
            "protocol",
            why.clone(),
            "look at the server's log: it says why it refused",
        ),
        _ if !remote::asks_for_tls(url) => checks.bad(
            "protocol",
            "the URL says http and the server speaks TLS",
            "use https:// in the endpoint",
        ),
        _ => {
            let version = seen.version.unwrap_or("TLS");
            let suite = seen.suite.as_deref().unwrap_or("suite not known");
            let inside = seen.inside.as_deref().unwrap_or("nothing agreed on inside");
            checks.good("protocol", format!("{version}, {suite}, {inside}"));
        }
    }
}

/// Whether the chain leads to somebody who is trusted, whatever its dates.
fn trust(chain: &[Vec<u8>], facts: &[Facts], ca: Option<&Path>, client: bool, checks: &mut Checks) {
    let Some(leaf) = facts.first() else { return };
    let links: Vec<String> =
        facts.iter().map(|one| format!("{:?} by {:?}", one.common_name, one.issuer_name)).collect();
    let links = links.join(", ");
    let Some(ca) = ca else {
        checks.skipped("chain", format!("{links}; --cacert names whom to trust"));
        return;
    };
    // A moment at which all of them are valid, so that dates are told once, and by their own check.
    let moment = facts.iter().map(|one| one.not_before).max().unwrap_or_default();
    match verify_chain(chain, ca, client, moment) {
        Ok(()) => checks.good("chain", format!("{links}; trusted by {}", ca.display())),
        Err(ChainFault::UnknownIssuer) => {
            let trusted = context::certificates(ca).unwrap_or_default();
            let trusted: Vec<&str> = trusted.iter().map(|one| one.subject.as_str()).collect();
            let last = facts.last().unwrap_or(leaf);
            let detail = format!(
                "{links}; the last one's issuer is {:?} and {} holds {}",
                last.issuer,
                ca.display(),
                trusted.join(", ")
            );
            let fix = "give the root of that issuer (--cacert); if it is given already, the server \
                       does not show its issuer's certificate: append it to --cert-file";
            checks.bad("chain", detail, fix);
        }
        // These have their own checks.
        Err(ChainFault::Purpose) => {
            checks.skipped("chain", format!("{links}; not for this purpose, see below"));
        }
        Err(ChainFault::Dates) => {
            checks.skipped("chain", format!("{links}; never valid at one time, see below"));
        }
        Err(ChainFault::Other(why)) => {
            checks.bad("chain", format!("{links}: {why}"), "issue the certificate anew");
        }
    }
}

fn dates(chain: &[Facts], context: &Context, checks: &mut Checks) {
    let now = context.seconds();
    for facts in chain {
        let (name, until) = (&facts.common_name, moment(facts.not_after));
        let left = facts.not_after - now;
        if left < 0 {
            let detail = format!("{name:?} expired {} ago, at {until}", span(-left));
            checks.bad("dates", detail, "etcd cert renew, or have its authority issue a new one");
        } else if now < facts.not_before {
            let from = moment(facts.not_before);
            let detail = format!("{name:?} is not valid before {from}; here it is {}", moment(now));
            checks.bad("dates", detail, "set the clock of one of the machines right");
        } else {
            checks.good("dates", format!("{name:?} is valid until {until} ({})", span(left)));
        }
    }
}

/// Whether the certificate is one to serve with, under this name.
fn serving(leaf: &Facts, name: &str, checks: &mut Checks) {
    if leaf.serves {
        checks.good("purpose", "it may serve (serverAuth)");
    } else {
        checks.bad(
            "purpose",
            "it may not serve: its purposes (extended key usage) lack serverAuth",
            "give the server a server certificate: etcd cert issue server NAME",
        );
    }
    let hosts = if leaf.hosts.is_empty() { "nothing".to_owned() } else { leaf.hosts.join(", ") };
    if leaf.is_for(name) {
        checks.good("name", format!("{name} is among {hosts}"));
    } else {
        checks.bad(
            "name",
            format!("asked for: {name}; the certificate is valid for: {hosts}"),
            &format!("use one of its names, or etcd cert renew server --san {name} on the server"),
        );
    }
}

/// What the server makes of us.
fn client(seen: &Seen, shows: bool, checks: &mut Checks) {
    let name = "client";
    match (&seen.fault, seen.asks_for_certificate) {
        (Some(HandshakeFault::Certificate(why)), _) if !shows => checks.bad(
            name,
            format!("the server demands a client certificate and got none ({why})"),
            "give one: --cert and --key",
        ),
        (Some(HandshakeFault::Certificate(why)), _) => checks.bad(
            name,
            format!("the server refuses the client certificate ({why})"),
            "the server's log has the reason in a line `rejected connection`",
        ),
        (Some(fault), true) => checks.bad(
            name,
            format!("the server asked for a certificate and then ended the connection ({fault:?})"),
            "the server's log has the reason in a line `rejected connection`",
        ),
        (Some(fault), false) => checks.bad(
            name,
            format!("the connection did not live after the handshake ({fault:?})"),
            "look at the server's log",
        ),
        (None, true) if shows => checks.good(name, "the server took the client certificate"),
        (None, true) => checks.good(name, "the server asks for a certificate and goes on without"),
        (None, false) => checks.good(name, "the server asks for no client certificate"),
    }
}

fn pair(
    certificate: &Path,
    key: &Path,
    words: &Words,
    context: &Context,
) -> Result<Report, Refusal> {
    let mut checks = Checks::default();
    let chain = context::certificates(certificate);
    let chain = match chain {
        Ok(chain) => {
            let count = chain.len();
            checks.good("certificate", format!("{} holds {count}", certificate.display()));
            chain
        }
        Err(error) => {
            let fix = "name the certificate first, in PEM, and then its key";
            checks.bad("certificate", error.to_string(), fix);
            Vec::new()
        }
    };
    private_key(certificate, key, &mut checks);
    if let Some(leaf) = chain.first() {
        dates(&chain, context, &mut checks);
        let ca = match words.get("cacert") {
            None => nearby_root(certificate),
            Some(path) => Some(context::absolute(path)?),
        };
        let ders: Vec<Vec<u8>> = chain.iter().map(|facts| facts.der.clone()).collect();
        trust(&ders, &chain, ca.as_deref(), !leaf.serves, &mut checks);
        use_of(leaf, &mut checks);
    }
    Ok(checks.report())
}

/// What the certificate is good for, and for whom.
fn use_of(leaf: &Facts, checks: &mut Checks) {
    let may = match (leaf.serves, leaf.connects) {
        (true, true) => "it may serve and connect: a member's",
        (true, false) => "it may serve (serverAuth)",
        (false, true) => "it may connect (clientAuth)",
        (false, false) => "",
    };
    if may.is_empty() {
        let fix = "have it issued with serverAuth or clientAuth";
        checks.bad("purpose", "it may neither serve nor connect", fix);
    } else {
        checks.good("purpose", may);
    }
    let hosts = leaf.hosts.join(", ");
    match (leaf.serves, leaf.hosts.is_empty()) {
        (true, true) => checks.bad(
            "name",
            "it is valid for no host name and no address",
            "have it issued with subject alternative names: clients look at nothing else",
        ),
        (_, true) => checks.good("name", format!("it is {:?}", leaf.common_name)),
        (_, false) => checks.good("name", format!("it is valid for {hosts}")),
    }
}

/// Whether a server could use the pair, and who else could.
fn private_key(certificate: &Path, path: &Path, checks: &mut Checks) {
    let shown = path.display();
    match load_pair(certificate, path) {
        Ok(_) => checks.good("key", format!("{shown} belongs to the certificate")),
        Err(why @ TlsError::KeyMismatch { .. }) => checks.bad(
            "key",
            why.to_string(),
            "put the pair together again, or make both anew: etcd cert renew",
        ),
        Err(why) => checks.bad(
            "key",
            why.to_string(),
            "name the certificate first and then its key, and run this as the server's user",
        ),
    }
    if !path.exists() {
        return;
    }
    let mode = std::fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777);
    if mode & 0o077 == 0 {
        checks.good("mode", format!("{mode:04o}: for its owner only"));
    } else {
        let fix = format!("chmod 600 {shown}");
        checks.bad("mode", format!("{mode:04o}: others can read the key or change it"), &fix);
    }
}

/// The root in the directory of the certificate or the one above it.
fn nearby_root(certificate: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(certificate).ok()?;
    let places = absolute.ancestors().skip(1).take(3);
    places.map(|dir| crate::certs::Layout::of(dir).root()).find(|root| root.is_file())
}
