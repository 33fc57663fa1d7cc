//! A child process whose output is kept and which dies with its handle.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Once};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::SIGINT;

use crate::support::wait::{LIMIT, eventually, eventually_for};

/// Which output a line came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Lets what is started from now on be interrupted. A shell that starts the tests in the background makes them
/// ignore that signal; what is ignored stays so in every program they start, and what is handled does not.
pub(crate) fn heed_interrupts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, always).unwrap();
    });
}

/// A running child. Dropping it kills it; a test that panics meanwhile shows its output.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<(Stream, String)>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` with both outputs collected line by line.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_on(command, Stdio::null())
    }

    /// The same with something to read.
    pub(crate) fn start_on(command: &mut Command, stdin: Stdio) -> Self {
        heed_interrupts();
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let outputs: [(Stream, Option<Box<dyn Read + Send>>); 2] = [
            (Stream::Out, child.stdout.take().map(|pipe| Box::new(pipe) as _)),
            (Stream::Err, child.stderr.take().map(|pipe| Box::new(pipe) as _)),
        ];
        let readers = outputs
            .into_iter()
            .filter_map(|(stream, pipe)| Some((stream, pipe?)))
            .map(|(stream, pipe)| {
                let lines = Arc::clone(&lines);
                std::thread::spawn(move || {
                    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                        lines.lock().unwrap().push((stream, line));
                    }
                })
            })
            .collect();
        Self { child, lines, readers }
    }

    /// Everything printed so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// What was printed on the standard output so far.
    pub(crate) fn printed(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let printed = lines.iter().filter(|(stream, _)| *stream == Stream::Out);
        printed.map(|(_, line)| line.clone()).collect()
    }

    /// Waits for a line that `pick` accepts.
    pub(crate) fn wait_line<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, || {
            let found = self.lines.lock().unwrap().iter().find_map(|(_, line)| pick(line));
            if found.is_none()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!("ended with {status} before: {what}\n{}", self.output().join("\n"));
            }
            found
        })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()
            .unwrap_or_else(|error| panic!("cannot run kill: {error}"));
        assert!(status.success(), "no process {} to send {name} to", self.pid());
    }

    /// Kills without warning, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _already_dead = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Whether it has ended by itself or been killed.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end and all output.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        self.wait_end_for(LIMIT)
    }

    /// The same for a process that has much to do.
    pub(crate) fn wait_end_for(&mut self, limit: Duration) -> ExitStatus {
        let status = eventually_for(limit, "the process to end", || self.child.try_wait().unwrap());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- output of process {} ---", self.child.id());
            for line in self.output() {
                eprintln!("{line}");
            }
        }
    }
}
