//! `lease …`.

use std::ffi::OsString;
use std::time::Duration;

use tonic::{Response, Status};

use super::commands::LeaseVerb;
use super::failure::{Exit, Failure, describe};
use super::flags::Parsed;
use super::keeper::Keeper;
use super::print::Format;
use super::print::lease::Told;
use super::session::{Environment, Session, log_failed_call};
use super::show;
use crate::cli::go;
use crate::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
};

/// What etcd's client waits longer than for a connection before it gives a lease up.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn lease(
    verb: LeaseVerb,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    match verb {
        LeaseVerb::Grant => grant(parsed, environment).await,
        LeaseVerb::Revoke => revoke(parsed, environment).await,
        LeaseVerb::TimeToLive => time_to_live(parsed, environment).await,
        LeaseVerb::List => list(parsed, environment).await,
        LeaseVerb::KeepAlive => keep_alive(parsed, environment).await,
    }
}

async fn grant(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let ttl = one(&parsed.arguments, "lease grant command needs TTL argument")?;
    let ttl =
        go::parse_int(&ttl, 10).map_err(|why| Failure::bad_args(format!("bad TTL ({why})")))?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = LeaseGrantRequest { ttl, id: 0 };
    let granted = session.call(&session.client, session.client.lease().lease_grant(request)).await;
    let answer = granted.map_err(|status| {
        Failure::new(Exit::Error, format!("failed to grant lease ({})", describe(&status)))
    })?;
    show(&Told::grant(&answer).render(session.format)?)
}

async fn revoke(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let id = lease_id(&one(&parsed.arguments, "lease revoke command needs 1 argument")?)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = LeaseRevokeRequest { id };
    let revoked = session.call(&session.client, session.client.lease().lease_revoke(request)).await;
    let answer = revoked.map_err(|status| {
        Failure::new(Exit::Error, format!("failed to revoke lease ({})", describe(&status)))
    })?;
    show(&Told::revoke(id, &answer).render(session.format)?)
}

async fn time_to_live(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let id = one(&parsed.arguments, "lease timetolive command needs lease ID as argument")?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let session = session.unhurried(&parsed.values);
    let keys = parsed.values.on("keys");
    let request = LeaseTimeToLiveRequest { id: lease_id(&id)?, keys };
    let mut client = session.client.lease();
    let asked = session.call(&session.client, client.lease_time_to_live(request)).await;
    let answer = asked.map_err(|status| refused(&status))?;
    show(&Told::time_to_live(&answer, keys).render(session.format)?)
}

async fn list(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let session = Session::open(&mut parsed.values, environment).await?;
    let session = session.unhurried(&parsed.values);
    let mut client = session.client.lease();
    let asked = session.call(&session.client, client.lease_leases(LeaseLeasesRequest {})).await;
    let answer = asked.map_err(|status| refused(&status))?;
    show(&Told::list(&answer).render(session.format)?)
}

/// Renews a lease until it is gone, or a single time.
async fn keep_alive(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let id = one(&parsed.arguments, "lease keep-alive command needs lease ID as argument")?;
    let id = lease_id(&id)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let session = session.unhurried(&parsed.values);
    if parsed.values.on("once") {
        return keep_alive_once(&session, id).await;
    }
    let patience = parsed.values.span("dial-timeout").saturating_add(PATIENCE);
    let mut keeper = Keeper::new(session.client.clone(), id, patience);
    loop {
        let renewed = keeper.next().await;
        let renewed = renewed.inspect_err(|status| log_failed_call(&session.client, status));
        match renewed.map_err(|status| refused(&status))? {
            Some(answer) => show(&Told::renewal(&answer).render(session.format)?)?,
            None if session.format == Format::Simple => {
                let text = format!("lease {} expired or revoked.\n", go::hex_id(id));
                return show(text.as_bytes());
            }
            None => return Ok(()),
        }
    }
}

async fn keep_alive_once(session: &Session, id: i64) -> Result<(), Failure> {
    let request = tokio_stream::iter([LeaseKeepAliveRequest { id }]);
    let renewing = async {
        let mut answers = session.client.lease().lease_keep_alive(request).await?.into_inner();
        let answer = answers.message().await?;
        Ok(Response::new(answer.ok_or_else(|| Status::unavailable("the stream ended"))?))
    };
    let renewed = session.call(&session.client, renewing).await;
    let answer = renewed.map_err(|status| refused(&status))?;
    if answer.ttl <= 0 {
        let text = "etcdserver: requested lease not found";
        return Err(Failure::new(Exit::BadConnection, text));
    }
    show(&Told::renewal(&answer).render(session.format)?)
}

/// The only argument of a command.
fn one(arguments: &[OsString], fault: &str) -> Result<String, Failure> {
    match arguments {
        [only] => Ok(only.to_string_lossy().into_owned()),
        _ => Err(Failure::bad_args(fault)),
    }
}

fn lease_id(text: &str) -> Result<i64, Failure> {
    go::parse_int(text, 16)
        .map_err(|why| Failure::bad_args(format!("bad lease ID arg ({why}), expecting ID in Hex")))
}

/// The original tells of every failed call about leases as if there were no connection.
fn refused(status: &Status) -> Failure {
    Failure::new(Exit::BadConnection, describe(status))
}
