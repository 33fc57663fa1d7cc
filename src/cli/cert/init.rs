//! `etcd cert init`: from an empty directory to everything one node needs.

mod first_start;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Words;
use super::context::{self, Context, dir_flag};
use super::join;
use super::report::{Refusal, Report};
use super::set::Set;
use super::settings::{self, Settings};
use crate::certs::{
    Action, Layout, Leaf, Lives, Pki, Purpose, Step, full_name, host_name, own_names, write_all,
};
use crate::config::{self, Config};
use crate::enrol::{Known, PORT};
use crate::types::url::{Scheme, Url};

/// The client certificate a new directory has.
const FIRST_CLIENT: &str = "admin";

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    if words.on("if-needed") {
        return first_start::run(words, context);
    }
    let set = Set::of(words)?;
    let layout = context::layout(words)?;
    let layout = if set.insecure { layout.insecure() } else { layout };
    let config = configuration(&layout, words, context)?;
    let usual = Lives::default();
    let life = |name: &str, described: Option<Duration>, usual: Duration| {
        let given = words.life(name).map_err(Refusal::Misuse)?;
        Ok::<_, Refusal>(given.or(described).unwrap_or(usual))
    };
    let lives = Lives {
        authority: life("ca-ttl", set.authority_life, usual.authority)?,
        leaf: life("ttl", set.leaf_life, usual.leaf)?,
    };
    let force = words.on("force");
    let config_out = words.get("config-out").map(context::absolute).transpose()?;
    if let Some(path) = &config_out {
        settings::check(path, force)?;
    }
    let pki = Pki::create(layout, context::owner(words)?, context.now)?;
    let mut report = Report::default();
    let mut steps = make(&pki, &config, words, lives, &mut report)?;
    steps.extend(set.make(&pki, lives.leaf, force)?);
    if let Some(path) = &config_out {
        let settings = settings(&pki, &config, words)?;
        steps.push(settings.write(path, pki.layout(), force)?);
        report.set("config", path.display().to_string().into());
    }
    tell(&pki, &config, &steps, (report, config_out))
}

/// Makes what every directory has: authorities, a pair each for server, member and first client, and
/// where they are renewed.
fn make(
    pki: &Pki,
    config: &Config,
    words: &Words,
    lives: Lives,
    report: &mut Report,
) -> Result<Vec<Step>, Refusal> {
    let force = words.on("force");
    let mut steps = pki.ensure_authorities(lives.authority, force)?;
    let name = full_name().or_else(host_name).unwrap_or_else(|| "localhost".to_owned());
    for (purpose, hosts) in wanted(config, &context::sans(words)?) {
        let common_name =
            if purpose == Purpose::Client { FIRST_CLIENT } else { short(&name) }.to_owned();
        let files = pki.layout().pair(purpose, &common_name);
        let leaf =
            Leaf { common_name, hosts: hosts.clone(), purpose, validity: pki.validity(lives.leaf) };
        let done = pki.ensure_leaf(&files, &leaf, force)?;
        if let [Step { path, action: Action::Kept, .. }] = done.as_slice() {
            look_at_kept(path, pki, &hosts, report)?;
        }
        steps.extend(done);
        if purpose != Purpose::Client {
            let word = if purpose == Purpose::Server { "server" } else { "peer" };
            report.set(&format!("{word}_names"), hosts.into());
        }
    }
    steps.push(write_issuer(pki, words, force)?);
    Ok(steps)
}

/// Where the server of this machine asks for renewal.
fn write_issuer(pki: &Pki, words: &Words, force: bool) -> Result<Step, Refusal> {
    let path = pki.layout().issuer();
    let issuers = context::issuers(words, format!("https://127.0.0.1:{PORT}"))?;
    let root = context::pin(pki.layout())?;
    let what = "where certificates are renewed (`etcd cert serve`)".to_owned();
    let there = path.exists();
    if there && !force {
        return Ok(Step { path, action: Action::Kept, what });
    }
    write_all(&[
        Known { issuers, root, generation: pki.trusted()?.generation }.file(&path, pki.owner())
    ])?;
    let action = if there { Action::Replaced } else { Action::Made };
    Ok(Step { path, action, what })
}

/// What the first member starts with.
fn settings(pki: &Pki, config: &Config, words: &Words) -> Result<Settings, Refusal> {
    let member = &config.member;
    let texts = |urls: &[Url]| urls.iter().map(|url| secure(url).to_string()).collect();
    let given = words.rest.iter().any(|word| word.starts_with("--data-dir"));
    let data_dir = if given {
        std::path::absolute(&member.data_dir)
            .map_err(|error| Refusal::Failed(format!("--data-dir: {error}")))?
    } else {
        join::data_dir(pki.layout(), &member.name)
    };
    Ok(Settings {
        command: "init",
        name: member.name.clone(),
        data_dir,
        urls: [
            texts(&member.listen_client_urls),
            texts(&member.advertise_client_urls),
            texts(&member.listen_peer_urls),
            texts(&member.initial_advertise_peer_urls),
        ],
        initial_cluster: initial_cluster(config),
        existing: false,
    })
}

/// A common name has at most 64 characters; a longer host name is among the other names anyway.
fn short(name: &str) -> &str {
    if name.len() <= 64 { name } else { "etcd" }
}

/// The server's configuration, as far as the server would start with these files.
fn configuration(layout: &Layout, words: &Words, context: &Context) -> Result<Config, Refusal> {
    let flags = flags(layout).into_iter().chain(words.rest.iter().cloned());
    let flags: Vec<_> = flags.map(Into::into).collect();
    let loaded = config::load(&flags, context.env.iter().cloned()).map_err(Refusal::Ended)?;
    Ok(loaded.config)
}

/// What each certificate is to be valid for: the names of this machine, those other machines are
/// told, and those asked for.
fn wanted(config: &Config, more: &[String]) -> [(Purpose, Vec<String>); 3] {
    let member = &config.member;
    let hosts = |urls: [&[Url]; 2]| {
        let mut hosts = own_names();
        hosts.extend(urls.concat().iter().filter_map(named_host));
        hosts.extend(more.iter().cloned());
        let mut seen = std::collections::HashSet::new();
        hosts.retain(|host| seen.insert(host.clone()));
        hosts
    };
    [
        (Purpose::Server, hosts([&member.advertise_client_urls, &member.listen_client_urls])),
        (Purpose::Peer, hosts([&member.initial_advertise_peer_urls, &member.listen_peer_urls])),
        (Purpose::Client, Vec::new()),
    ]
}

/// The host of a URL, unless it stands for every address or for a file.
fn named_host(url: &Url) -> Option<String> {
    let host = url.host().trim_matches(['[', ']']);
    let everywhere = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    (!url.scheme.is_unix() && !host.is_empty() && !everywhere).then(|| host.to_owned())
}

/// A certificate that stays may be of another authority, or lack a name.
fn look_at_kept(
    path: &std::path::Path,
    pki: &Pki,
    hosts: &[String],
    report: &mut Report,
) -> Result<(), Refusal> {
    let facts = context::certificates(path)?;
    let Some(facts) = facts.first() else { return Ok(()) };
    if pki.purpose(facts)?.is_none() {
        report.warn(format!(
            "{} was issued by {:?}, which is no authority here; it was kept",
            path.display(),
            facts.issuer
        ));
        return Ok(());
    }
    let missing: Vec<&str> =
        hosts.iter().filter(|host| !facts.is_for(host)).map(String::as_str).collect();
    if !missing.is_empty() {
        let stem = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = stem.split('.').next().unwrap_or_default().to_owned();
        let missing = missing.join(",");
        let dir = dir_flag(pki.layout());
        report.warn(format!(
            "{} was kept and is not valid for {missing}; to add that: etcd cert renew {stem} --san \
             {missing}{dir}",
            path.display()
        ));
    }
    Ok(())
}

fn tell(
    pki: &Pki,
    config: &Config,
    steps: &[Step],
    (mut report, config_out): (Report, Option<PathBuf>),
) -> Result<Report, Refusal> {
    report.steps(steps);
    if steps.iter().all(|step| step.action == Action::Kept) {
        report.say("\nEverything is there already; nothing was changed.");
    }
    let layout = pki.layout();
    for (word, purpose) in [("server", Purpose::Server), ("peer", Purpose::Peer)] {
        let facts = context::certificates(&layout.pair(purpose, "").certificate)?;
        let hosts = facts.first().map(|facts| facts.hosts.join(", ")).unwrap_or_default();
        report.say(format!(
            "{}{word}.crt is valid for {hosts}",
            if word == "server" { "\n" } else { "" }
        ));
    }
    let all: Vec<String> = flags(layout).into_iter().chain(url_flags(config)).collect();
    let url = config.member.advertise_client_urls.first().map(|url| secure(url).to_string());
    let client = layout.pair(Purpose::Client, FIRST_CLIENT);
    let ctl = format!(
        "etcdctl --endpoints {} --cacert {} --cert {} --key {} put foo bar",
        url.unwrap_or_default(),
        layout.root().display(),
        client.certificate.display(),
        client.key.display()
    );
    let start = match &config_out {
        Some(path) => format!("start the server:\netcd --config-file {}", path.display()),
        None => format!("start the server:\netcd {}", all.join(" \\\n  ")),
    };
    let mut next = vec![start, format!("use it:\n{ctl}")];
    if layout.root_key().exists() {
        next.push(format!(
            "keep a copy of {} in a safe place, then take it off this machine: it is needed only to \
             make new issuing authorities",
            layout.root_key().display()
        ));
    }
    if pki.owner().is_some_and(|owner| owner.uid == 0) {
        next.push(
            "keys belong to root; a server that runs as another user cannot read them: give them \
             to it with --owner USER, or by the owner of the directory"
                .to_owned(),
        );
    }
    report.next(&next);
    report.set("flags", all.clone().into());
    report.set("environment", environment(&all));
    report.set("etcdctl", ctl.into());
    Ok(report)
}

/// The flags that make a server use the files.
pub(super) fn flags(layout: &Layout) -> Vec<String> {
    let mut flags = Vec::new();
    for (prefix, purpose, crl) in
        [("", Purpose::Server, "client-crl-file"), ("peer-", Purpose::Peer, "peer-crl-file")]
    {
        let (pair, side) = (layout.pair(purpose, ""), purpose.side());
        flags.push(format!("--{prefix}cert-file={}", pair.certificate.display()));
        flags.push(format!("--{prefix}key-file={}", pair.key.display()));
        flags.push(format!("--{prefix}client-cert-auth"));
        flags.push(format!("--{prefix}trusted-ca-file={}", layout.authority(side).display()));
        flags.push(format!("--{crl}={}", layout.revocations(side).display()));
    }
    flags
}

/// The server's URLs, encrypted.
fn url_flags(config: &Config) -> Vec<String> {
    let member = &config.member;
    let lists = [
        ("listen-client-urls", &member.listen_client_urls),
        ("advertise-client-urls", &member.advertise_client_urls),
        ("listen-peer-urls", &member.listen_peer_urls),
        ("initial-advertise-peer-urls", &member.initial_advertise_peer_urls),
    ];
    let text = |urls: &[Url]| {
        let urls: Vec<String> = urls.iter().map(|url| secure(url).to_string()).collect();
        urls.join(",")
    };
    let mut flags: Vec<String> =
        lists.iter().map(|(name, urls)| format!("--{name}={}", text(urls))).collect();
    flags.push(format!("--initial-cluster={}", initial_cluster(config)));
    if member.name != "default" {
        flags.insert(0, format!("--name={}", member.name));
    }
    flags
}

fn initial_cluster(config: &Config) -> String {
    let members = config.cluster.initial_members.iter();
    let members = members
        .flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={}", secure(url))));
    members.collect::<Vec<_>>().join(",")
}

fn secure(url: &Url) -> Url {
    let scheme = if url.scheme.is_unix() { Scheme::Unixs } else { Scheme::Https };
    Url { scheme, authority: url.authority.clone() }
}

fn environment(flags: &[String]) -> Value {
    let mut lines = serde_json::Map::new();
    for flag in flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
        let name = name.trim_start_matches('-').replace('-', "_").to_uppercase();
        lines.insert(format!("ETCD_{name}"), json!(value));
    }
    Value::Object(lines)
}
