//! A command at a terminal, which util-linux's `script` makes out of two pipes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::process::heed_interrupts;
use crate::support::wait::eventually;

/// A running command. Dropping it kills it.
pub(crate) struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// How much of what is shown was waited for.
    seen: usize,
}

impl Terminal {
    /// Starts a line of shell in a directory.
    pub(crate) fn start(line: &str, directory: &Path) -> Self {
        heed_interrupts();
        let mut child = Command::new("script")
            .args(["-qec", line, "/dev/null"])
            .current_dir(directory)
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut pipe, kept) = (child.stdout.take().unwrap(), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                kept.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self { child, shown, reader: Some(reader), seen: 0 }
    }

    /// Everything shown so far.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until this is shown behind what was waited for before.
    pub(crate) fn wait(&mut self, text: &str) {
        let from = self.seen;
        self.seen = eventually(&format!("{text:?} at the terminal"), || {
            let shown = self.shown.lock().unwrap();
            let place = shown[from..].windows(text.len()).position(|part| part == text.as_bytes());
            place.map(|place| from + place + text.len())
        });
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, text: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    }

    /// Waits for the end: everything that was shown, and the code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let status = eventually("the end of the command", || self.child.try_wait().unwrap());
        self.reader.take().unwrap().join().unwrap();
        (self.shown(), status.code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already. The command loses its terminal with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("at the terminal: {:?}", self.shown());
        }
    }
}
