//! The service manager's end of the notify protocol.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use etcd::types::clock::Clock;
use tempfile::TempDir;

use super::wait::LIMIT;

/// A socket of its own. It is read as soon as something comes, as its queue is short.
pub(crate) struct Manager {
    path: PathBuf,
    _folder: Option<TempDir>,
    heard: Receiver<Vec<String>>,
}

impl Manager {
    /// One that nobody speaks to yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::bind(folder.path().join("notify"), Some(folder))
    }

    /// The same with its socket at this path.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self::bind(path, None)
    }

    fn bind(path: PathBuf, folder: Option<TempDir>) -> Self {
        let socket = UnixDatagram::bind(&path).unwrap();
        let (sender, heard) = channel();
        // An empty message, sent when this value goes, ends the thread.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if sender.send(text.lines().map(str::to_owned).collect()).is_err() {
                    return;
                }
            }
        });
        Self { path, _folder: folder, heard }
    }

    /// What `NOTIFY_SOCKET` is to be.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Waits for a message with this assignment among its lines and returns all of them, and what was
    /// said before it.
    pub(crate) fn hear_after(&self, wanted: &str) -> (Vec<String>, Vec<String>) {
        let mut before = Vec::new();
        // A pulse must not keep it waiting for ever for something else.
        while before.len() < 5_000 {
            let Ok(lines) = self.heard.recv_timeout(LIMIT) else { break };
            if lines.iter().any(|line| line.starts_with(wanted)) {
                return (lines, before);
            }
            before.extend(lines);
        }
        before.dedup();
        panic!("the service manager heard no {wanted}, only {before:?}");
    }

    /// The same without what was said before.
    pub(crate) fn hear(&self, wanted: &str) -> Vec<String> {
        self.hear_after(wanted).0
    }

    /// Whether `wanted` is said within this time from now on.
    pub(crate) fn hears_within(&self, time: Duration, wanted: &str) -> bool {
        while self.heard.try_recv().is_ok() {}
        let end = Clock.now() + time;
        loop {
            let left = end.saturating_duration_since(Clock.now());
            match self.heard.recv_timeout(left) {
                Ok(lines) if lines.iter().any(|line| line.starts_with(wanted)) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Ok(socket) = UnixDatagram::unbound() {
            let _gone = socket.send_to(&[], &self.path);
        }
    }
}
