//! How the program ends before it begins: texts and exit codes etcd's users know.

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::check::UNADVERTISED;
use crate::types::clock::Clock;
use crate::types::version;

/// The program ends before it begins: help, version, or faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of the process.
    pub code: i32,
    /// What to print on standard output.
    pub stdout: String,
    /// What to print on standard error.
    pub stderr: String,
}

/// Exit code of a command line that cannot be read, and of what etcd panics at.
const MISUSE: i32 = 2;

const USAGE: &str = "\
Usage:

  etcd [flags]
    Start a server.

  etcd --version
    Tell the version.

  etcd -h | --help
    Explain every flag.

  etcd --config-file FILE
    Start a server with the settings of FILE; variables and flags go on top of them.

  etcd config show [flags]
    Show the settings a server would start with, and where each comes from.

  etcd config check FILE
    Name every fault of a configuration file.

  etcd cert COMMAND
    Make, check, renew and take back certificates; `etcd cert --help` has the commands.

";

impl Exit {
    /// A good end with something to read.
    pub(super) fn told(stdout: String) -> Self {
        Self { code: 0, stdout, stderr: String::new() }
    }

    /// Help on standard output, the short form on standard error, as etcd does.
    pub(super) fn help(text: String) -> Self {
        Self { code: 0, stdout: text, stderr: USAGE.into() }
    }

    /// A command line Go's flag package would not read.
    pub(super) fn misuse(fault: &str) -> Self {
        Self { code: MISUSE, stdout: String::new(), stderr: format!("{fault}\n{USAGE}") }
    }

    /// One sentence and exit code 1.
    pub(super) fn refused(sentence: &str) -> Self {
        Self { code: 1, stdout: String::new(), stderr: format!("{sentence}\n") }
    }

    /// Faults of the configuration, one log line for each.
    pub(super) fn faults(faults: &[String]) -> Self {
        let mut stderr = String::new();
        for fault in faults {
            stderr.push_str(&line("failed to verify flags", fault));
            if fault == UNADVERTISED {
                stderr.push_str(&line("advertise client URLs are not set", fault));
            }
        }
        let panics = faults.iter().any(|fault| fault.starts_with("unrecognized level"));
        Self { code: if panics { MISUSE } else { 1 }, stdout: String::new(), stderr }
    }
}

/// A warning in etcd's log format; logging itself is not set up yet.
fn line(message: &str, error: &str) -> String {
    let nanoseconds = i128::try_from(Clock.unix().as_nanos()).unwrap_or_default();
    let layout =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .ok()
        .and_then(|time| time.format(layout).ok())
        .unwrap_or_default();
    format!(
        "{{\"level\":\"warn\",\"ts\":\"{time}\",\"caller\":\"config/exit.rs\",\
         \"msg\":{},\"error\":{}}}\n",
        Value::from(message),
        Value::from(error)
    )
}

/// What `etcd --version` prints: etcd's four lines, then who this is.
pub(super) fn version() -> String {
    format!(
        "etcd Version: {}\nGit SHA: {}\nGo Version: none (Rust {} or later)\nGo OS/Arch: {}/{}\n\
         Implementation: {} {}\n",
        version::ETCD_API,
        option_env!("ETCD_GIT_SHA").unwrap_or("Not provided"),
        env!("CARGO_PKG_RUST_VERSION"),
        std::env::consts::OS,
        architecture(),
        version::IMPLEMENTATION,
        version::OURS,
    )
}

/// The machine in Go's spelling.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_has_the_four_lines_of_etcd_and_one_of_ours() {
        let text = version();
        let lines: Vec<&str> = text.lines().collect();
        let starts = [
            "etcd Version: 3.5.21",
            "Git SHA: ",
            "Go Version: none (Rust 1.",
            "Go OS/Arch: linux/",
        ];
        assert_eq!(lines.len(), 5);
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
        assert!(lines[4].contains(version::OURS));
    }

    #[test]
    fn faults_are_log_lines_of_etcd() {
        let exit = Exit::faults(&["a \"b\"".into(), UNADVERTISED.into()]);
        let parsed: Vec<Value> =
            exit.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((exit.code, parsed.len()), (1, 3));
        assert_eq!(parsed[0]["error"], "a \"b\"");
        assert_eq!(parsed[0]["msg"], "failed to verify flags");
        assert_eq!(parsed[2]["msg"], "advertise client URLs are not set");
        assert_eq!(Exit::faults(&["unrecognized level: \"x\"".into()]).code, 2);
    }
}
