//! The servers' side: a process, its directory, how it starts, ends and starts again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd::types::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Error;
use crate::identity::Identity;
use crate::keys;
use crate::process::Usage;
use crate::wire::Wire;

/// Room for the largest load on either side: real etcd stops at 2 GB otherwise.
const QUOTA: &str = "--quota-backend-bytes=17179869184";
/// Seconds without work after which memory has settled, and how long that may take.
const QUIET_SECONDS: u32 = 3;
const LONGEST_SETTLE_SECONDS: u32 = 90;
/// Less of one core than this is no work.
const QUIET_CPU: Duration = Duration::from_millis(50);

/// Which program is measured.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// How the tables call it.
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

impl Program {
    /// The first line it tells of itself.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(crate) fn version(&self) -> Result<String, Error> {
        let told = Command::new(&self.path).arg("--version").env_clear().output()?;
        let told = String::from_utf8(told.stdout)?;
        Ok(told.lines().next().unwrap_or_default().to_owned())
    }
}

/// A running server; dropping it kills it and removes its directory.
pub(crate) struct Server {
    program: Program,
    flags: Vec<String>,
    folder: TempDir,
    child: Child,
    address: String,
}

impl Server {
    /// Starts it on an empty directory and waits until it says where it serves.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(program: &Program, identity: &Identity) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let client = format!("{}://127.0.0.1:0", identity.scheme());
        let peer = "http://127.0.0.1:0";
        let mut flags = identity.server_flags();
        flags.extend([
            "--data-dir=data".to_owned(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            QUOTA.to_owned(),
        ]);
        let (child, address) = launch(program, folder.path(), &flags)?;
        Ok(Self { program: program.clone(), flags, folder, child, address })
    }

    /// Ends it with this signal and starts it again on its data. Tells how long it took from the
    /// start of the program to the first linearizable answer.
    ///
    /// # Errors
    /// If it does not end, start or answer.
    pub(crate) async fn restart(
        &mut self,
        signal: Signal,
        identity: &Identity,
    ) -> Result<Duration, Error> {
        let id = Pid::from_raw(self.child.id().try_into()?).ok_or("no process")?;
        kill_process(id, signal)?;
        self.child.wait()?;
        let start = Clock.now();
        (self.child, self.address) = launch(&self.program, self.folder.path(), &self.flags)?;
        loop {
            let answer = match identity.connect(&self.address, 1).await {
                Ok(wires) => first_answer(&wires).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => return Ok(start.elapsed()),
                Err(error) if self.child.try_wait()?.is_some() => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// `host:port` of its client listener.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        Usage::of(&self.child.id().to_string())
    }

    /// Waits until it has nothing to do any more, or for so long that it never will.
    pub(crate) async fn settle(&self, quick: bool) -> Result<Usage, Error> {
        let mut before = self.usage()?;
        let mut quiet = 0;
        for _ in 0..if quick { 1 } else { LONGEST_SETTLE_SECONDS } {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.usage()?;
            quiet = if now.cpu.saturating_sub(before.cpu) < QUIET_CPU { quiet + 1 } else { 0 };
            before = now;
            if quiet == QUIET_SECONDS {
                break;
            }
        }
        Ok(before)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have died already; either way it is gone afterwards.
        let _dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

async fn first_answer(wires: &[Wire]) -> Result<(), Error> {
    let mut client = wires.first().ok_or("no connection")?.kv();
    client.range(keys::get(0)).await?;
    Ok(())
}

fn launch(program: &Program, folder: &Path, flags: &[String]) -> Result<(Child, String), Error> {
    let mut child = Command::new(&program.path)
        .current_dir(folder)
        .env_clear()
        .args(flags)
        .stderr(Stdio::piped())
        .spawn()?;
    let log = child.stderr.take().ok_or("no log")?;
    let mut lines = BufReader::new(log).lines();
    let mut said = Vec::new();
    for line in lines.by_ref() {
        let line = line?;
        if let Some(address) = serving_address(&line) {
            // Keeps the pipe empty, so that the server never waits for us.
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            return Ok((child, address));
        }
        said.push(line);
    }
    child.wait()?;
    let last = said.iter().rev().take(3).rev().cloned().collect::<Vec<_>>().join("\n");
    Err(format!("{} did not start:\n{last}", program.name).into())
}

fn serving_address(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let serving = value["msg"].as_str()?.starts_with("serving client traffic");
    serving.then(|| value["address"].as_str().map(str::to_owned)).flatten()
}
