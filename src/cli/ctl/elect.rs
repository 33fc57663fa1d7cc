//! `elect`: stands for an election or watches who wins it.

use bytes::Bytes;

use super::claim::{Claim, failed};
use super::failure::Failure;
use super::flags::Parsed;
use super::kv::bytes;
use super::lock::SESSION_TTL;
use super::print::{Answer, Look, render};
use super::queue::{first_event, oldest, prefix, revision};
use super::session::{Environment, Session};
use super::show;
use crate::proto::etcdserverpb::{RangeResponse, ResponseHeader, WatchCreateRequest};
use crate::proto::mvccpb::KeyValue;
use crate::proto::mvccpb::event::EventType;
use crate::tasks::Signals;
use crate::types::range::prefix_end;

pub(super) async fn elect(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let listen = parsed.values.on("listen");
    match parsed.arguments.as_slice() {
        [_] if !listen => Err(Failure::bad_args("no proposal argument but -l not set")),
        [_, _] if listen => Err(Failure::bad_args("proposal given but -l is set")),
        [name] => {
            let name = bytes(name);
            let session = Session::open(&mut parsed.values, environment).await?;
            let session = session.unhurried(&parsed.values);
            let mut signals = Signals::listen()
                .map_err(|error| failed(format!("cannot listen to signals: {error}")))?;
            tokio::select! {
                ended = observe(&session, &name) => ended,
                _ = signals.next() => Ok(()),
            }
        }
        [name, proposal] => {
            let (name, proposal) = (bytes(name), bytes(proposal));
            let expired = "elect: session expired";
            let mut claim = Claim::begin(parsed, environment, SESSION_TTL, expired).await?;
            let outcome = lead(&mut claim, &name, proposal).await;
            claim.end(outcome).await
        }
        _ => {
            let text = "elect takes one election name argument and an optional proposal argument";
            Err(Failure::bad_args(text))
        }
    }
}

async fn lead(claim: &mut Claim, name: &[u8], proposal: Bytes) -> Result<(), Failure> {
    let place = claim.wait_for(name, proposal).await?;
    claim.print(&place, "elect: session expired").await?;
    claim.hold().await
}

/// Prints each leader, and each new proposal of a leader.
async fn observe(session: &Session, name: &[u8]) -> Result<(), Failure> {
    let prefix = prefix(name);
    let client = &session.client;
    loop {
        let answer = session.ask(client.kv().range(oldest(&prefix))).await?;
        let now = answer.header.unwrap_or_default();
        let (mut header, mut leader) = match answer.kvs.into_iter().next() {
            Some(leader) => (now, leader),
            None => match first_put(session, &prefix, now.revision).await? {
                Some(elected) => elected,
                None => continue,
            },
        };
        loop {
            print(session, header, &leader)?;
            let request = WatchCreateRequest {
                key: leader.key.clone(),
                start_revision: revision(Some(&header)) + 1,
                ..WatchCreateRequest::default()
            };
            let next = first_event(client, request, |_| true).await?;
            let Some((seen, event)) = next else { break };
            match (event.r#type(), event.kv) {
                (EventType::Put, Some(kv)) => {
                    // The header may tell of later changes, which are still to come.
                    header = ResponseHeader { revision: kv.mod_revision, ..seen };
                    leader = kv;
                }
                _ => break,
            }
        }
    }
}

/// Waits for the first to come after a revision.
async fn first_put(
    session: &Session,
    prefix: &Bytes,
    since: i64,
) -> Result<Option<(ResponseHeader, KeyValue)>, Failure> {
    let request = WatchCreateRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix).unwrap_or_default(),
        start_revision: since + 1,
        ..WatchCreateRequest::default()
    };
    let put = |event: &crate::proto::mvccpb::Event| event.r#type() == EventType::Put;
    let found = first_event(&session.client, request, put).await?;
    Ok(found.and_then(|(header, event)| {
        let kv = event.kv?;
        Some((ResponseHeader { revision: kv.mod_revision, ..header }, kv))
    }))
}

fn print(session: &Session, header: ResponseHeader, leader: &KeyValue) -> Result<(), Failure> {
    let kvs = vec![leader.clone()];
    let answer = RangeResponse { header: Some(header), kvs, ..RangeResponse::default() };
    let look = Look { hex: session.hex, value_only: false };
    show(&render(session.format, look, &Answer::Get(&answer))?)
}
