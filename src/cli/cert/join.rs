//! `etcd cert join TOKEN`: from a string to a machine that can start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Words;
use super::context::{self, Context, dir_flag};
use super::report::{Refusal, Report};
use super::settings::{self, Settings};
use crate::certs::{
    Action, Facts, Files, Key, Layout, Leaf, New, Owner, Purpose, Step, Validity, check_name,
    own_names, read, write_all,
};
use crate::enrol::{AskError, Asker, Enrolled, Known, Role, Token, Wanted};
use crate::types::clock::Clock;
use crate::types::url::Url;

/// How long to wait for a place in the cluster.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How often to ask for it.
const PAUSE: Duration = Duration::from_secs(1);

/// What this machine will be.
struct Plan {
    token: Token,
    known: Known,
    layout: Layout,
    config: PathBuf,
    client_urls: Vec<Url>,
    peer_urls: Vec<Url>,
    hosts: Vec<String>,
    patience: Duration,
    force: bool,
}

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let plan = plan(words)?;
    if plan.token.role == Role::Member {
        settings::check(&plan.config, plan.force)?;
    }
    let owner = make_dirs(&plan)?;
    let mut steps = Vec::new();
    let wanted = wanted(&plan, owner, context, &mut steps)?;
    let initial_cluster = context::block_on(ask(&plan, &wanted, owner, &mut steps))??;
    let mut report = Report::default();
    if let Some(initial_cluster) = &initial_cluster {
        let settings = settings(&plan, words, initial_cluster.clone())?;
        steps.push(settings.write(&plan.config, &plan.layout, plan.force)?);
        report.set("initial_cluster", initial_cluster.clone().into());
        report.set("config", plan.config.display().to_string().into());
    }
    report.steps(&steps);
    report.set("name", plan.token.name.clone().into());
    report.set("role", plan.token.role.as_str().into());
    report.next(&next(&plan));
    Ok(report)
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn plan(words: &Words) -> Result<Plan, Refusal> {
    let [text] = words.rest.as_slice() else {
        let hint = "give the token: etcd cert join TOKEN; `etcd cert token create` makes one";
        return Err(Refusal::Misuse(hint.to_owned()));
    };
    let token = Token::parse(text).map_err(|error| Refusal::Misuse(error.to_string()))?;
    check_name(&token.name)?;
    let known = Known::of(&token);
    let layout = context::layout(words)?;
    let address = known.own_address();
    let urls = |flag: &str, port: u16| -> Result<Vec<Url>, Refusal> {
        let fault = |text: String| Refusal::Misuse(format!("--{flag}: {text}"));
        let text = match (words.get(flag), address) {
            (Some(text), _) => text.to_owned(),
            (None, Some(IpAddr::V6(own))) => format!("https://[{own}]:{port}"),
            (None, Some(own)) => format!("https://{own}:{port}"),
            (None, None) => {
                let hint = "this machine's address is not known; give the URL others reach it at";
                return Err(fault(hint.to_owned()));
            }
        };
        let urls = Url::parse_list(&text).map_err(|error| fault(error.to_string()))?;
        match urls.iter().find(|url| url.scheme.as_str() != "https") {
            Some(plain) => Err(fault(format!("{plain} is not https"))),
            None => Ok(urls),
        }
    };
    let (client_urls, peer_urls) = match token.role {
        Role::Member => (urls("client-url", 2379)?, urls("peer-url", 2380)?),
        Role::Client => (Vec::new(), Vec::new()),
    };
    // The address others see, beside the names: members are asked to show their certificates from
    // one they name.
    let hosts = own_names()
        .into_iter()
        .chain(address.map(|own| own.to_string()))
        .chain(context::sans(words)?)
        .collect();
    let config = settings::place(words.get("config-out"), &layout)?;
    let (patience, force) = (words.pause("timeout", PATIENCE)?, words.on("force"));
    Ok(Plan { token, known, layout, config, client_urls, peer_urls, hosts, patience, force })
}

/// Makes what is missing, and tells whom the files are to belong to.
fn make_dirs(plan: &Plan) -> Result<Option<Owner>, Refusal> {
    let layout = &plan.layout;
    let owner = context::make_dir(layout, layout.dir())?;
    if plan.token.role == Role::Client {
        context::make_dir(layout, &layout.clients_dir())?;
    }
    Ok(owner)
}

/// The keys, kept from an earlier attempt or made now, with what their certificates are to say.
fn wanted(
    plan: &Plan,
    owner: Option<Owner>,
    context: &Context,
    steps: &mut Vec<Step>,
) -> Result<Vec<Wanted>, Refusal> {
    let name = &plan.token.name;
    let purposes: &[(Purpose, &[Url])] = match plan.token.role {
        Role::Member => &[(Purpose::Server, &plan.client_urls), (Purpose::Peer, &plan.peer_urls)],
        Role::Client => &[(Purpose::Client, &[])],
    };
    let mut all = Vec::new();
    for (purpose, urls) in purposes {
        let files = plan.layout.pair(*purpose, name);
        let key = key(&files, owner, plan.force, steps)?;
        let mut hosts = Vec::new();
        if *purpose != Purpose::Client {
            let letter = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
            hosts.extend(plan.hosts.iter().cloned());
            hosts.extend(name.chars().all(letter).then(|| name.clone()));
            hosts.extend(urls.iter().map(|url| url.host().to_owned()));
            let mut seen = std::collections::HashSet::new();
            hosts.retain(|host| seen.insert(host.clone()));
        }
        let validity = Validity::starting(context.now, Duration::from_secs(60));
        let leaf = Leaf { common_name: name.clone(), hosts, purpose: *purpose, validity };
        all.push(Wanted { key, leaf });
    }
    Ok(all)
}

fn key(
    files: &Files,
    owner: Option<Owner>,
    force: bool,
    steps: &mut Vec<Step>,
) -> Result<Key, Refusal> {
    let what = "the key: stays here".to_owned();
    if !force && let Some(key) = Key::read(&files.key)? {
        steps.push(Step { path: files.key.clone(), action: Action::Kept, what });
        return Ok(key);
    }
    let replaced = files.key.exists();
    let key = Key::generate()?;
    write_all(&[New::private(&files.key, key.secret().expose(), owner)])?;
    let action = if replaced { Action::Replaced } else { Action::Made };
    steps.push(Step { path: files.key.clone(), action, what });
    Ok(key)
}

/// Gets the certificates, writes them, and for a member waits for its place; tells the cluster then.
async fn ask(
    plan: &Plan,
    wanted: &[Wanted],
    owner: Option<Owner>,
    steps: &mut Vec<Step>,
) -> Result<Option<String>, Refusal> {
    let mut asker = Asker::of(&plan.known)?;
    let enrolled = asker.enrol(&plan.token, wanted).await?;
    write(plan, wanted, &enrolled, owner, steps)?;
    if plan.token.role == Role::Client {
        return Ok(None);
    }
    let deadline = Clock.now() + plan.patience;
    let mut said = String::new();
    loop {
        match asker.register(&plan.token, &plan.peer_urls).await {
            Ok(initial_cluster) => return Ok(Some(initial_cluster)),
            Err(AskError::Later(why)) if Clock.now() < deadline => {
                if why != said {
                    eprintln!("waiting for a place in the cluster: {why}");
                    said = why;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(AskError::Later(why)) => {
                return Err(Refusal::Failed(format!(
                    "the certificates are here, but there was no place in the cluster for {:?}: \
                     {why}; repeat the command, --timeout lets it wait longer",
                    plan.patience
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes what was received: whom to trust first, so that an attempt in a directory of another
/// authority leaves its certificates alone.
fn write(
    plan: &Plan,
    wanted: &[Wanted],
    enrolled: &Enrolled,
    owner: Option<Owner>,
    steps: &mut Vec<Step>,
) -> Result<(), Refusal> {
    let (layout, trust) = (&plan.layout, &enrolled.trust);
    let issuer = plan.known.going_by(trust)?.to_text();
    let mut files = vec![
        (layout.root(), &trust.root, "root certificate: what clients trust"),
        (layout.issuer(), &issuer, "where certificates are renewed"),
    ];
    if plan.token.role == Role::Member {
        use crate::certs::Side::{Client, Peer};
        files.extend([
            (layout.authority(Client), &trust.client_authority, "what client ports trust"),
            (layout.authority(Peer), &trust.peer_authority, "what peer ports trust"),
            (layout.revocations(Client), &trust.client_revocations, "clients taken back"),
            (layout.revocations(Peer), &trust.peer_revocations, "members taken back"),
        ]);
    }
    let mut new = Vec::new();
    for (path, text, what) in files {
        let there = read(&path)?;
        let is_other = there.as_ref().is_some_and(|there| !shares(there, text));
        if is_other && path == layout.root() && !plan.force {
            return Err(Refusal::Failed(format!(
                "{} is of another authority; --force replaces it, --pki-dir names another directory",
                path.display()
            )));
        }
        steps.push(step(&path, there.as_ref(), text, what));
        new.push(New::public(&path, text, owner));
    }
    for (Wanted { leaf, .. }, certificate) in wanted.iter().zip(&enrolled.certificates) {
        let files = layout.pair(leaf.purpose, &leaf.common_name);
        let there = read(&files.certificate)?;
        let what = format!("{} {:?}", leaf.purpose.describe(), leaf.common_name);
        steps.push(step(&files.certificate, there.as_ref(), certificate, &what));
        new.push(New::public(&files.certificate, certificate, owner));
    }
    write_all(&new)?;
    Ok(())
}

/// Whether two texts have a certificate in common: one of two roots may have gone or come meanwhile.
fn shares(there: &str, text: &str) -> bool {
    let read = |text: &str| Facts::from_pem("", text).unwrap_or_default();
    let new = read(text);
    read(there).iter().any(|facts| new.contains(facts))
}

fn step(path: &Path, there: Option<&String>, text: &str, what: &str) -> Step {
    let action = match there {
        None => Action::Made,
        Some(there) if there == text => Action::Kept,
        Some(_) => Action::Replaced,
    };
    Step { path: path.to_owned(), action, what: what.to_owned() }
}

fn settings(plan: &Plan, words: &Words, initial_cluster: String) -> Result<Settings, Refusal> {
    let name = plan.token.name.clone();
    let data_dir = match words.get("data-dir") {
        Some(dir) => context::absolute(dir)?,
        None => data_dir(&plan.layout, &name),
    };
    let urls = |urls: &[Url]| urls.iter().map(ToString::to_string).collect::<Vec<_>>();
    let listen = |told: &[Url], local: bool| {
        let mut urls: Vec<String> = told.iter().flat_map(|url| listening(url, local)).collect();
        urls.sort_unstable();
        urls.dedup();
        urls
    };
    Ok(Settings {
        command: "join",
        name,
        data_dir,
        urls: [
            listen(&plan.client_urls, true),
            urls(&plan.client_urls),
            listen(&plan.peer_urls, false),
            urls(&plan.peer_urls),
        ],
        initial_cluster,
        existing: true,
    })
}

/// Where packages keep data; beside the certificates of a directory of one's own.
pub(super) fn data_dir(layout: &Layout, name: &str) -> PathBuf {
    if dir_flag(layout).is_empty() {
        return PathBuf::from("/var/lib/etcd").join(name);
    }
    layout.dir().with_file_name(format!("{name}.etcd"))
}

/// Where to listen for what others are told: at the address, or at all where they are told a name;
/// and for tools on this machine at the local one.
fn listening(url: &Url, local: bool) -> Vec<String> {
    let port = url.port().unwrap_or_default();
    match url.host().parse::<IpAddr>() {
        Ok(address) if local && !address.is_loopback() && !address.is_unspecified() => {
            vec![url.to_string(), format!("https://127.0.0.1:{port}")]
        }
        Ok(_) => vec![url.to_string()],
        Err(_) if url.host() == "localhost" => vec![url.to_string()],
        Err(_) => vec![format!("https://0.0.0.0:{port}")],
    }
}

fn next(plan: &Plan) -> Vec<String> {
    let layout = &plan.layout;
    match plan.token.role {
        Role::Member => vec![format!(
            "start the member; it votes by itself once it has caught up:\netcd --config-file {}",
            plan.config.display()
        )],
        Role::Client => {
            let files = layout.pair(Purpose::Client, &plan.token.name);
            vec![format!(
                "use it:\netcdctl --cacert {} --cert {} --key {} get foo",
                layout.root().display(),
                files.certificate.display(),
                files.key.display()
            )]
        }
    }
}
