//! `endpoint health`, `endpoint status` and `endpoint hashkv`.

use bytes::Bytes;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::expiry;
use super::failure::{Exit, Failure, describe};
use super::flags::Parsed;
use super::print::servers::{ServerStatus, hashes, statuses};
use super::print::{Format, Health, render_health};
use super::session::{Environment, Session};
use super::show;
use crate::cli::go;
use crate::client::Client;
use crate::proto::etcdserverpb::{
    AlarmRequest, AlarmType, HashKvRequest, MemberListRequest, RangeRequest, StatusRequest,
};
use crate::types::clock::Clock;

/// The key that is read to see whether a read goes through. It need not exist.
const PROBE: &[u8] = b"health";

pub(super) async fn health(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let session = Session::open(&mut parsed.values, environment).await?;
    let endpoints = asked(&session, parsed).await?;
    let session = std::sync::Arc::new(session);
    let mut probes = JoinSet::new();
    for endpoint in endpoints {
        let session = std::sync::Arc::clone(&session);
        probes.spawn(async move { probe(&session, endpoint).await });
    }
    // In the order they finish, as the original lists them.
    let mut all = Vec::new();
    while let Some(one) = probes.join_next().await {
        all.extend(one.ok());
    }
    show(render_health(session.format, &all)?.as_bytes())?;
    let mut sick = all.iter().filter(|one| !one.healthy).peekable();
    if sick.peek().is_none() {
        return Ok(());
    }
    if session.format == Format::Simple {
        for Health { endpoint, error, .. } in sick {
            eprintln!("{endpoint} is unhealthy: failed to commit proposal: {error}");
        }
    }
    Err(Failure::new(Exit::Error, "unhealthy cluster"))
}

/// The servers to ask: those given, or with `--cluster` all there are.
pub(super) async fn asked(session: &Session, parsed: &Parsed) -> Result<Vec<String>, Failure> {
    if parsed.values.on("cluster") {
        members(session).await
    } else {
        Ok(session.endpoints().to_vec())
    }
}

pub(super) async fn status(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let session = Session::open(&mut parsed.values, environment).await?;
    let mut all = Vec::new();
    let mut failed = false;
    for endpoint in asked(&session, parsed).await? {
        let client = session.at(&endpoint)?;
        match session.call(&client, client.maintenance().status(StatusRequest {})).await {
            Ok(status) => {
                let expiry = match session.format {
                    Format::Table => expiry::of(&client).await,
                    _ => None,
                };
                all.push(ServerStatus { endpoint, status, expiry });
            }
            Err(status) => {
                failed = true;
                let why = describe(&status);
                eprintln!("Failed to get the status of endpoint {endpoint} ({why})");
            }
        }
    }
    show(statuses(session.format, &all)?.as_bytes())?;
    if failed { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
}

pub(super) async fn hash(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let session = Session::open(&mut parsed.values, environment).await?;
    let revision = parsed.values.number("rev");
    let mut all = Vec::new();
    let mut last = None;
    for endpoint in asked(&session, parsed).await? {
        let client = session.at(&endpoint)?;
        let request = HashKvRequest { revision };
        match session.call(&client, client.maintenance().hash_kv(request)).await {
            Ok(answer) => all.push((endpoint, answer)),
            Err(status) => {
                let why = describe(&status);
                eprintln!("Failed to get the hash of endpoint {endpoint} ({why})");
                last = Some(why);
            }
        }
    }
    show(hashes(session.format, &all)?.as_bytes())?;
    last.map_or(Ok(()), |why| Err(Failure::new(Exit::Error, why)))
}

async fn members(session: &Session) -> Result<Vec<String>, Failure> {
    let request = MemberListRequest { linearizable: true };
    let mut cluster = session.client.cluster();
    let answer =
        session.call(&session.client, cluster.member_list(request)).await.map_err(|status| {
            let why = describe(&status);
            let text = format!("failed to fetch endpoints from etcd cluster member list: {why}");
            Failure::new(Exit::Error, text)
        })?;
    Ok(answer.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

async fn probe(session: &Session, endpoint: String) -> Health {
    let begun = Clock.now();
    let error = match session.at(&endpoint) {
        Ok(client) => check(session, &client).await.err().unwrap_or_default(),
        Err(failure) => failure.message.unwrap_or_default(),
    };
    let took = go::duration(Clock.now().duration_since(begun));
    Health { endpoint, healthy: error.is_empty(), took, error }
}

async fn check(session: &Session, client: &Client) -> Result<(), String> {
    let request = RangeRequest { key: Bytes::from_static(PROBE), ..RangeRequest::default() };
    match session.call(client, client.kv().range(request)).await {
        Ok(_) => {}
        // Being refused takes a vote as well, so the cluster works.
        Err(status) if is_denied(&status) => {}
        Err(status) => return Err(describe(&status)),
    }
    let answer = session.call(client, client.maintenance().alarm(AlarmRequest::default())).await;
    let alarms = answer.map_err(|_| "Unable to fetch the alarm list".to_owned())?.alarms;
    if alarms.is_empty() {
        return Ok(());
    }
    let names = alarms.iter().map(|alarm| match alarm.alarm() {
        AlarmType::Nospace => "NOSPACE ",
        AlarmType::Corrupt => "CORRUPT ",
        AlarmType::None => "UNKNOWN ",
    });
    Err(format!("Active Alarm(s): {}", names.collect::<String>()))
}

fn is_denied(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.message() == "etcdserver: permission denied"
}
