//! The daemon, and the commands that share its name: `etcd config …`, `etcd cert …`.

use std::ffi::OsString;
use std::process::ExitCode;

use etcd::cli;
use etcd::config::{self, Exit};
use etcd::server::{self, Ending};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let environment = || {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
    };
    match arguments.split_first() {
        Some((first, rest)) if first == "config" => {
            return say(&cli::config::run(rest, environment()));
        }
        Some((first, rest)) if first == "cert" => {
            return say(&cli::cert::run(rest, environment()));
        }
        _ => {}
    }
    let load = || config::load(&arguments, environment());
    match load().map(|loaded| server::run(loaded, &load)) {
        Err(exit) => say(&exit),
        Ok(Ok(Ending::Signal(signal))) => end_by(signal.number()),
        Ok(Ok(Ending::Removed)) => ExitCode::SUCCESS,
        Ok(Ok(Ending::Failed)) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            eprintln!("etcd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(exit: &Exit) -> ExitCode {
    print!("{}", exit.stdout);
    eprint!("{}", exit.stderr);
    ExitCode::from(u8::try_from(exit.code).unwrap_or(u8::MAX))
}

/// Ends as if nobody had handled the signal, which is how etcd ends and what service managers and
/// shells look at.
fn end_by(signal: i32) -> ExitCode {
    // Returns only if the signal cannot be sent, and then the usual code says it.
    let _unsent = signal_hook::low_level::emulate_default_handler(signal);
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}
