//! One member: a process in a directory of its own, how it starts, ends and starts again.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::process::Usage;
use crate::server::Program;

/// A running member; dropping it kills it.
pub(crate) struct Member {
    child: Child,
    home: PathBuf,
    flags: Vec<String>,
    address: String,
}

/// A member that has not said yet where it serves: one of several does so only once the others are
/// there.
pub(crate) struct Starting {
    member: Member,
    log: BufReader<ChildStderr>,
}

impl Starting {
    /// Starts the program in the folder `home`.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(crate) fn new(program: &Program, home: PathBuf, flags: Vec<String>) -> Result<Self, Error> {
        let mut child = Command::new(&program.path)
            .current_dir(&home)
            .env_clear()
            .args(&flags)
            .stderr(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(child.stderr.take().ok_or("no log")?);
        Ok(Self { member: Member { child, home, flags, address: String::new() }, log })
    }

    /// Waits until it says where it serves.
    ///
    /// # Errors
    /// If it ends before that.
    pub(crate) fn serving(mut self) -> Result<Member, Error> {
        let mut lines = self.log.lines();
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let line = line?;
            if let Some(address) = serving_address(&line) {
                // Keeps the pipe empty, so that the member never waits for us.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                self.member.address = address;
                return Ok(self.member);
            }
            said.push(line);
        }
        let last = said.iter().rev().take(3).rev().cloned().collect::<Vec<_>>().join("\n");
        Err(format!("a member did not start:\n{last}").into())
    }
}

impl Member {
    /// Ends it by a signal and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub(crate) fn end(&mut self, signal: Signal) -> Result<(), Error> {
        let id = Pid::from_raw(self.child.id().try_into()?).ok_or("no process")?;
        kill_process(id, signal)?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on its data.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(crate) fn again(&self, program: &Program) -> Result<Starting, Error> {
        Starting::new(program, self.home.clone(), self.flags.clone())
    }

    /// Whether it is gone.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Error> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// `host:port` of its client listener.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// If it is gone.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        Usage::of(&self.child.id().to_string())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have died already; either way it is gone afterwards.
        let _dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn serving_address(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let serving = value["msg"].as_str()?.starts_with("serving client traffic");
    serving.then(|| value["address"].as_str().map(str::to_owned)).flatten()
}
