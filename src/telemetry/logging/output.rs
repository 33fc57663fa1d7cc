//! Where lines go: the standard streams, files, the journal.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;

use super::LogError;
use super::queue::Line;
use super::rotate::{Rotating, Rotation};
use crate::types::clock::Clock;

/// Where the journal listens for its own protocol.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// One destination of the log. A line that cannot be written is lost: there is nowhere to say so.
pub(super) enum Output {
    Stderr { journal: bool },
    Stdout { journal: bool },
    File { path: PathBuf, file: File },
    Rotating(Rotating),
    Journal { socket: UnixDatagram, identifier: String },
}

impl Output {
    /// Whether this name among the outputs means a file.
    pub(super) fn is_file(name: &str) -> bool {
        !matches!(name, "default" | "stderr" | "stdout" | "systemd/journal")
    }

    /// Opens the output of that name; files are appended to.
    pub(super) fn open(
        name: &str,
        rotation: Option<&Rotation>,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LogError::Open { path, source }
        };
        let path = Path::new(name);
        Ok(match (name, rotation) {
            ("default" | "stderr", _) => Self::Stderr { journal: is_journal(io::stderr()) },
            ("stdout", _) => Self::Stdout { journal: is_journal(io::stdout()) },
            ("systemd/journal", _) => {
                journal(Path::new(JOURNAL)).map_err(failed(JOURNAL.as_ref()))?
            }
            (_, Some(rotation)) => {
                let file = Rotating::open(path, rotation, clock).map_err(failed(path))?;
                Self::Rotating(file)
            }
            (_, None) => {
                let file = append(path).map_err(failed(path))?;
                Self::File { path: path.to_path_buf(), file }
            }
        })
    }

    /// Writes one line.
    pub(super) fn write(&mut self, line: &Line, clock: Clock) {
        let text = line.text.as_bytes();
        let _ = match self {
            Self::Stderr { journal } => io::stderr().lock().write_all(&for_stream(line, *journal)),
            Self::Stdout { journal } => {
                let mut out = io::stdout().lock();
                out.write_all(&for_stream(line, *journal)).and_then(|()| out.flush())
            }
            Self::File { file, .. } => file.write_all(text),
            Self::Rotating(file) => file.write(text, clock),
            Self::Journal { socket, identifier } => {
                socket.send(&journal_entry(line, identifier)).map(drop)
            }
        };
    }

    /// Opens a file again under its name; if that fails the old one is kept.
    pub(super) fn reopen(&mut self) {
        if let Self::File { path, file } = self
            && let Ok(new) = append(path)
        {
            *file = new;
        } else if let Self::Rotating(file) = self {
            file.reopen();
        }
    }
}

/// Whether a standard stream leads to the journal, which then says so by the device and inode of the
/// stream in `JOURNAL_STREAM` (systemd.exec(5)).
fn is_journal(stream: impl AsFd) -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(stream).is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}

/// What a standard stream is given: to the journal with the priority in front of each line (sd-daemon(3)).
fn for_stream(line: &Line, journal: bool) -> Cow<'_, [u8]> {
    if !journal {
        return Cow::Borrowed(line.text.as_bytes());
    }
    let priority = line.severity.priority();
    let lines = line.text.lines().map(|text| format!("<{priority}>{text}\n"));
    Cow::Owned(lines.collect::<String>().into_bytes())
}

/// Opens `path` for appending, with the mode the umask leaves.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn journal(path: &Path) -> io::Result<Output> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Output::Journal { socket, identifier: name.unwrap_or_else(|| String::from("etcd")) })
}

/// The journal's fields, one per line; the message may hold line breaks and so has a length.
fn journal_entry(line: &Line, identifier: &str) -> Vec<u8> {
    let message = line.text.trim_end_matches('\n').as_bytes();
    let mut entry = Vec::with_capacity(message.len() + 128);
    entry.extend_from_slice(b"MESSAGE\n");
    entry.extend_from_slice(&u64::try_from(message.len()).unwrap_or_default().to_le_bytes());
    entry.extend_from_slice(message);
    let (priority, package) = (line.severity.priority(), line.package.as_str());
    let rest =
        format!("\nPRIORITY={priority}\nPACKAGE={package}\nSYSLOG_IDENTIFIER={identifier}\n");
    entry.extend_from_slice(rest.as_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::logging::Severity;

    #[test]
    fn a_stream_to_the_journal_has_priorities() {
        let line = Line {
            severity: Severity::Error,
            package: String::new(),
            text: String::from("it failed\nat once\n"),
        };
        assert_eq!(&*for_stream(&line, true), b"<3>it failed\n<3>at once\n");
        assert_eq!(&*for_stream(&line, false), b"it failed\nat once\n");
        assert!(!is_journal(io::stderr()), "JOURNAL_STREAM is not of this process");
    }

    #[test]
    fn the_journal_gets_message_priority_and_caller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut output = journal(&path).unwrap();
        let line = Line {
            severity: Severity::Warn,
            package: String::from("server"),
            text: String::from("{\"level\":\"warn\"}\n"),
        };
        output.write(&line, Clock);
        let mut buffer = [0; 256];
        let n = listener.recv(&mut buffer).unwrap();
        let start =
            b"MESSAGE\n\x10\0\0\0\0\0\0\0{\"level\":\"warn\"}\nPRIORITY=4\nPACKAGE=server\n";
        assert_eq!(&buffer[..start.len()], start);
        assert!(buffer[..n].ends_with(b"\n"));
    }
}
