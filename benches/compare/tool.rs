//! One command of `etcdctl` after another, as scripts run it: how long a run takes from start to end, what
//! it costs, and how large the program is. Both programs ask the same server, real etcd.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etcd::types::clock::Clock;

use crate::Error;
use crate::figures::{Figure, Sample};
use crate::identity::Identity;
use crate::process::Usage;
use crate::server::Server;

/// A value of the size that the other workloads put.
const VALUE: usize = 256;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
}

/// Runs the command until the time is up.
///
/// # Errors
/// If it cannot be run or does not succeed.
pub(crate) fn run(
    verb: Verb,
    tool: &Path,
    server: &Server,
    identity: &Identity,
    length: Duration,
) -> Result<Sample, Error> {
    let value = "v".repeat(VALUE);
    let mut command = Command::new(tool);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.args(identity.tool_flags(server.address()?));
    match verb {
        Verb::Get => command.args(["get", "key"]),
        Verb::Put => command.args(["put", "key", &value]),
    };
    // The first run brings the program into memory.
    once(&mut command)?;
    let mut took = Vec::new();
    let (start, before) = (Clock.now(), Usage::of_children()?);
    while start.elapsed() < length {
        let begun = Clock.now();
        once(&mut command)?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (Usage::of_children()? - before).as_secs_f64() * 1e3;
    took.sort_by(f64::total_cmp);
    Ok(Sample::from([
        (Figure::RunTook, took.get(took.len() / 2).copied().unwrap_or(f64::NAN)),
        (Figure::RunCpu, cpu / took.len() as f64),
        (Figure::ProgramSize, stripped(tool)? as f64 / 1e6),
    ]))
}

fn once(command: &mut Command) -> Result<(), Error> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// Bytes of the program without symbols, which is how packages install it.
fn stripped(tool: &Path) -> Result<u64, Error> {
    let folder = tempfile::tempdir()?;
    let copy: PathBuf = folder.path().join("stripped");
    let mut strip = Command::new("strip");
    once(strip.arg("-o").arg(&copy).arg(tool))?;
    Ok(std::fs::metadata(copy)?.len())
}
