//! The signals the daemon listens to, as values.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What the operating system asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop gracefully.
    Terminate,
    /// SIGINT: stop gracefully.
    Interrupt,
    /// SIGHUP: read configuration and credentials again.
    Reload,
}

impl Signal {
    /// The name etcd logs for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "terminated",
            Self::Interrupt => "interrupt",
            Self::Reload => "hangup",
        }
    }

    /// Its number on Linux.
    pub fn number(self) -> i32 {
        match self {
            Self::Terminate => 15,
            Self::Interrupt => 2,
            Self::Reload => 1,
        }
    }
}

/// A stream of signals; from its creation on they no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

impl Signals {
    /// Starts listening; must be called inside the runtime.
    ///
    /// # Errors
    /// If the operating system refuses a signal handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal; a request to stop is told before a request to reload.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Raw, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_hangup_arrives_as_reload() {
        let mut signals = Signals::listen().unwrap();
        kill_process(getpid(), Raw::HUP).unwrap();
        assert_eq!(signals.next().await, Signal::Reload);
    }
}
