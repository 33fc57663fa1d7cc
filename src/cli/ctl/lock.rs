//! `lock`: a lock held until a signal comes or as long as a command runs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, ExitStatus, Stdio};

use bytes::Bytes;
use rustix::process::{Pid, Signal as Raw, kill_process};

use super::child;
use super::claim::{Claim, failed};
use super::failure::{Exit, Failure};
use super::flags::Parsed;
use super::kv::bytes;
use super::queue::Place;
use super::session::Environment;
use crate::tasks::Signal;

/// Time of the lease when the flag asks for none, in seconds.
pub(super) const SESSION_TTL: i64 = 60;

pub(super) async fn lock(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let [name, command @ ..] = parsed.arguments.as_slice() else {
        let text = "lock takes a lock name argument and an optional command to execute";
        return Err(Failure::bad_args(text));
    };
    let (name, command) = (bytes(name), command.to_vec());
    let ttl = match parsed.values.number("ttl") {
        ttl if ttl > 0 => ttl,
        _ => SESSION_TTL,
    };
    let mut claim = Claim::begin(parsed, environment, ttl, "session expired").await?;
    let outcome = locked(&mut claim, &name, &command).await;
    claim.end(outcome).await
}

async fn locked(claim: &mut Claim, name: &[u8], command: &[OsString]) -> Result<(), Failure> {
    let place = claim.wait_for(name, Bytes::new()).await?;
    if let [program, arguments @ ..] = command {
        return run(claim, &place, program, arguments).await;
    }
    claim.print(&place, "lock lost on init").await?;
    claim.hold().await
}

/// Runs a command to its end. The lock is held as long as it runs, so a signal does not end us
/// first: what was sent to us alone is passed on, and an interrupt from the terminal reached the
/// command anyway.
async fn run(
    claim: &mut Claim,
    place: &Place,
    program: &OsStr,
    arguments: &[OsString],
) -> Result<(), Failure> {
    let started = Command::new(program)
        .args(arguments)
        .env("ETCD_LOCK_KEY", OsStr::from_bytes(&place.key))
        .env("ETCD_LOCK_REV", place.revision.to_string())
        .stdin(Stdio::null())
        .spawn();
    let mut running = started.map_err(|error| failed(child::start_fault(program, &error)))?;
    let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw);
    let mut waiting = tokio::task::spawn_blocking(move || running.wait());
    let status: ExitStatus = loop {
        tokio::select! {
            ended = &mut waiting => {
                let status = ended.map_err(|error| failed(error.to_string()))?;
                break status.map_err(|error| failed(error.to_string()))?;
            }
            signal = claim.next() => match (signal, pid) {
                (Some(Signal::Terminate), Some(pid)) => pass_on(pid, Raw::TERM),
                (Some(Signal::Reload), Some(pid)) => pass_on(pid, Raw::HUP),
                (Some(_), _) => {}
                (None, _) => eprintln!("the lock was lost while the command still runs"),
            },
        }
    };
    match child::end_fault(status) {
        None => Ok(()),
        Some(fault) => Err(Failure::new(Exit::Child(child::code(status)), fault)),
    }
}

fn pass_on(pid: Pid, signal: Raw) {
    // It may have ended this very moment.
    let _ = kill_process(pid, signal);
}
