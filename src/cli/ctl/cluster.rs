//! `member`, `alarm`, `move-leader` and `downgrade`.

use tonic::Code;

use super::commands::Verb;
use super::failure::{Exit, Failure, describe};
use super::flags::Parsed;
use super::print::Format;
use super::print::cluster::{self as print, Change};
use super::session::{Environment, Session};
use super::show;
use crate::cli::go;
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::downgrade_request::DowngradeAction;
use crate::proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, DowngradeRequest, Member, MemberAddRequest,
    MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
    MoveLeaderRequest, ResponseHeader, StatusRequest,
};
use crate::proto::members::ReplaceRequest;
use crate::types::url::Url;

/// `member …`.
pub(super) async fn member(
    verb: Verb,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    match verb {
        Verb::MemberAdd => add(parsed, environment).await,
        Verb::MemberUpdate => update(parsed, environment).await,
        Verb::MemberReplace => replace(parsed, environment).await,
        Verb::MemberRemove => {
            let id = only_id(parsed)?;
            let session = Session::open(&mut parsed.values, environment).await?;
            let request = MemberRemoveRequest { id };
            let answer = session.ask(session.client.cluster().member_remove(request)).await?;
            let (header, members) = (answer.header.as_ref(), answer.members.as_slice());
            let sentence = sentence(id, "removed from", header);
            let change = Change { answer: &answer, header, member: None, members, sentence };
            show(&print::change(session.format, &change)?)
        }
        Verb::MemberPromote => {
            let id = only_id(parsed)?;
            let session = Session::open(&mut parsed.values, environment).await?;
            let request = MemberPromoteRequest { id };
            let answer = session.ask(session.client.cluster().member_promote(request)).await?;
            let (header, members) = (answer.header.as_ref(), answer.members.as_slice());
            let sentence = sentence(id, "promoted in", header);
            let change = Change { answer: &answer, header, member: None, members, sentence };
            show(&print::change(session.format, &change)?)
        }
        _ => list(parsed, environment).await,
    }
}

/// Ids are padded with blanks here, as the original does it.
fn sentence(id: u64, done: &str, header: Option<&ResponseHeader>) -> String {
    let cluster = header.map_or(0, |header| header.cluster_id);
    format!("Member {id:16x} {done} cluster {cluster:16x}\n")
}

async fn list(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let linearizable = match parsed.values.text("consistency") {
        "l" => true,
        "s" => false,
        other => {
            let text = format!("unknown consistency flag {}", go::quote(other.as_bytes()));
            return Err(Failure::new(Exit::BadFeature, text));
        }
    };
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = MemberListRequest { linearizable };
    let answer = session.ask(session.client.cluster().member_list(request)).await?;
    show(&print::members(session.format, session.hex, &answer))
}

fn only_id(parsed: &Parsed) -> Result<u64, Failure> {
    let [word] = parsed.arguments.as_slice() else {
        return Err(Failure::bad_args("member ID is not provided"));
    };
    go::parse_uint(&word.to_string_lossy(), 16)
        .map_err(|why| Failure::bad_args(format!("bad member ID arg ({why}), expecting ID in Hex")))
}

/// Peer URLs, refused in the words of the original if one cannot be one.
fn peer_urls(parsed: &Parsed) -> Result<Vec<String>, Failure> {
    let text = parsed.values.text("peer-urls");
    if text.is_empty() {
        return Err(Failure::bad_args("member peer urls not provided"));
    }
    let urls: Vec<String> = text.split(',').map(str::to_owned).collect();
    for url in &urls {
        Url::parse(url.trim()).map_err(|fault| Failure::new(Exit::Error, fault.to_string()))?;
    }
    Ok(urls)
}

async fn add(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let words: Vec<String> =
        parsed.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let [name] = words.as_slice() else { return Err(not_one_name(&words)) };
    let peer_ur_ls = peer_urls(parsed)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = MemberAddRequest { peer_ur_ls, is_learner: parsed.values.on("learner") };
    let answer = session.ask(session.client.cluster().member_add(request)).await?;
    let (header, member) = (answer.header.as_ref(), answer.member.as_ref());
    let id = member.map_or(0, |member| member.id);
    let settings = settings(name, id, &answer.members, parsed.values.text("peer-urls"));
    let sentence = format!("{}\n{settings}", sentence(id, "added to", header));
    let members = answer.members.as_slice();
    let change = Change { answer: &answer, header, member, members, sentence };
    show(&print::change(session.format, &change)?)
}

fn not_one_name(words: &[String]) -> Failure {
    if words.is_empty() {
        return Failure::bad_args("member name not provided");
    }
    let urls = words.iter().filter(|word| word.to_lowercase().starts_with("http"));
    let hint = urls.map(|url| format!(", did you mean --peer-urls={url}"));
    Failure::bad_args(format!("too many arguments{}", hint.collect::<String>()))
}

/// What the new member is to be started with.
fn settings(name: &str, id: u64, members: &[Member], peer_urls: &str) -> String {
    let name_of = |member: &Member| {
        if member.id == id { name.to_owned() } else { member.name.clone() }
    };
    let cluster: Vec<String> = members
        .iter()
        .flat_map(|member| {
            let name = name_of(member);
            member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    let quoted = |text: &str| go::quote(text.as_bytes());
    format!(
        "ETCD_NAME={}\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_ADVERTISE_PEER_URLS={}\n\
         ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        quoted(name),
        quoted(&cluster.join(",")),
        quoted(peer_urls)
    )
}

async fn update(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let id = only_id(parsed)?;
    let peer_ur_ls = peer_urls(parsed)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = MemberUpdateRequest { id, peer_ur_ls };
    let answer = session.ask(session.client.cluster().member_update(request)).await?;
    let (header, members) = (answer.header.as_ref(), answer.members.as_slice());
    let sentence = sentence(id, "updated in", header);
    let change = Change { answer: &answer, header, member: None, members, sentence };
    show(&print::change(session.format, &change)?)
}

/// The service is this project's own; others are told from it by their answer.
async fn replace(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let id = only_id(parsed)?;
    let peer_urls = peer_urls(parsed)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = ReplaceRequest { id, peer_urls };
    let answer = session.call(&session.client, session.client.members().replace(request)).await;
    let answer = answer.map_err(|status| match status.code() {
        Code::Unimplemented => Failure::new(
            Exit::BadFeature,
            "this server cannot replace a member in one step: add the new one with `member add \
             --learner`, promote it once it has caught up, then remove the old one",
        ),
        _ => Failure::new(Exit::Error, describe(&status)),
    })?;
    let (header, member) = (answer.header.as_ref(), answer.member.as_ref());
    let new = member.map_or(0, |member| member.id);
    // It takes the name of its own start; the old one's is the likely choice.
    let name = answer.members.iter().find(|member| member.id == id);
    let name = name.map_or("", |member| member.name.as_str());
    let settings = settings(name, new, &answer.members, parsed.values.text("peer-urls"));
    let sentence = format!(
        "Member {new:16x} will take the place of {id:16x} once it has caught up\n\n{settings}"
    );
    let members = answer.members.as_slice();
    let change = Change { answer: &answer, header, member, members, sentence };
    show(&print::change(session.format, &change)?)
}

/// `alarm list` and `alarm disarm`.
pub(super) async fn alarm(
    verb: Verb,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let disarm = verb == Verb::AlarmDisarm;
    if !parsed.arguments.is_empty() {
        let name = if disarm { "disarm" } else { "list" };
        return Err(Failure::bad_args(format!("alarm {name} command accepts no arguments")));
    }
    let session = Session::open(&mut parsed.values, environment).await?;
    let raised = session.ask(session.client.maintenance().alarm(AlarmRequest::default())).await?;
    if !disarm {
        return show(&print::alarms(session.format, &raised)?);
    }
    // Only the fields need the header, where the original, which has none, breaks down.
    let header = raised.header.filter(|_| session.format == Format::Fields);
    let mut cleared = AlarmResponse { header, alarms: Vec::new() };
    for AlarmMember { member_id, alarm } in raised.alarms {
        let request = AlarmRequest { action: AlarmAction::Deactivate.into(), member_id, alarm };
        let answer = session.ask(session.client.maintenance().alarm(request)).await?;
        cleared.alarms.extend(answer.alarms);
    }
    show(&print::alarms(session.format, &cleared)?)
}

pub(super) async fn move_leader(
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let [word] = parsed.arguments.as_slice() else {
        return Err(Failure::bad_args("move-leader command needs 1 argument"));
    };
    let target_id = go::parse_uint(&word.to_string_lossy(), 16).map_err(Failure::bad_args)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    for endpoint in session.endpoints() {
        let client = session.at(endpoint)?;
        let refused = |status: &tonic::Status| Failure::new(Exit::Error, describe(status));
        let status = session.call(&client, client.maintenance().status(StatusRequest {})).await;
        let status = status.map_err(|status| refused(&status))?;
        let id = status.header.map_or(0, |header| header.member_id);
        if id != status.leader {
            continue;
        }
        let request = MoveLeaderRequest { target_id };
        let answer = session.call(&client, client.maintenance().move_leader(request)).await;
        answer.map_err(|status| refused(&status))?;
        return match session.format {
            Format::Simple => {
                show(format!("Leadership transferred from {id:x} to {target_id:x}\n").as_bytes())
            }
            // Its header is left out: scripts know the empty object.
            Format::Json => show(b"{}\n"),
            Format::Protobuf => Ok(()),
            Format::Fields => Err(Failure::unsupported("fields")),
            Format::Table => Err(Failure::unsupported("table")),
        };
    }
    let all = session.endpoints().join(" ");
    Err(Failure::bad_args(format!("no leader endpoint given at [{all}]")))
}

/// `downgrade …`, as of version 3.6.
pub(super) async fn downgrade(
    action: DowngradeAction,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let cancel = action == DowngradeAction::Cancel;
    let version = match parsed.arguments.as_slice() {
        [] if cancel => String::new(),
        [version] if !cancel => version.to_string_lossy().into_owned(),
        [] => return Err(Failure::bad_args("TARGET_VERSION not provided")),
        _ => return Err(Failure::bad_args("too many arguments")),
    };
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = DowngradeRequest { action: action.into(), version };
    let answer = session.ask(session.client.maintenance().downgrade(request)).await?;
    let done = match action {
        DowngradeAction::Validate => "validate",
        DowngradeAction::Enable => "enable",
        DowngradeAction::Cancel => "cancel",
    };
    let sentence = format!("Downgrade {done} success, cluster version {}", answer.version);
    show(&print::downgrade(session.format, &answer, &sentence)?)
}
