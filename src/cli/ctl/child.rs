//! How a command ended that was run for the user, in the words of Go.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::session::go_error;
use crate::cli::go;

/// Why it could not be started.
pub(super) fn start_fault(program: &OsStr, error: &std::io::Error) -> String {
    let name = program.to_string_lossy();
    if name.contains('/') {
        format!("fork/exec {name}: {}", go_error(error))
    } else {
        let name = go::quote(program.as_bytes());
        format!("exec: {name}: executable file not found in $PATH")
    }
}

/// What was wrong with its end; `None` if nothing was.
pub(super) fn end_fault(status: ExitStatus) -> Option<String> {
    let Some(signal) = status.signal() else {
        return status.code().filter(|code| *code != 0).map(|code| format!("exit status {code}"));
    };
    let name = SIGNALS.iter().find(|(number, _)| *number == signal);
    let name = name.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned());
    let dumped = if status.core_dumped() { " (core dumped)" } else { "" };
    Some(format!("signal: {name}{dumped}"))
}

/// The code to end with in its place: Go takes an end by a signal for -1.
pub(super) fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Names of signals on Linux.
const SIGNALS: &[(i32, &str)] = &[
    (1, "hangup"),
    (2, "interrupt"),
    (3, "quit"),
    (4, "illegal instruction"),
    (5, "trace/breakpoint trap"),
    (6, "aborted"),
    (7, "bus error"),
    (8, "floating point exception"),
    (9, "killed"),
    (10, "user defined signal 1"),
    (11, "segmentation fault"),
    (12, "user defined signal 2"),
    (13, "broken pipe"),
    (14, "alarm clock"),
    (15, "terminated"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_as_go_tells_them() {
        let ended = |raw| ExitStatus::from_raw(raw);
        assert_eq!(end_fault(ended(0)), None);
        assert_eq!(end_fault(ended(3 << 8)), Some("exit status 3".into()));
        assert_eq!(end_fault(ended(9)), Some("signal: killed".into()));
        assert_eq!(
            end_fault(ended(11 | 0x80)),
            Some("signal: segmentation fault (core dumped)".into())
        );
        assert_eq!(end_fault(ended(40)), Some("signal: signal 40".into()));
        assert_eq!((code(ended(3 << 8)), code(ended(9))), (3, 255));
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let fault = start_fault(OsStr::new("/no/x"), &missing);
        assert_eq!(fault, "fork/exec /no/x: no such file or directory");
    }
}
