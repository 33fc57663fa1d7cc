//! `etcdctl`: finds the command, runs it, and ends with the exit code scripts expect.

mod auth;
mod check;
mod child;
mod claim;
mod cluster;
mod commands;
mod completion;
mod discovery;
mod elect;
mod endpoint;
mod expiry;
mod failure;
mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod help;
mod hint;
mod keeper;
mod kv;
mod lease;
mod load;
mod locate;
mod lock;
mod maintain;
mod man;
mod mirror;
mod print;
mod progress;
mod queue;
mod resident;
mod session;
mod settings;
mod stopwatch;
mod txn;
mod typed;
mod watch;
mod watch_args;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use commands::{Command, Verb};
use failure::{Exit, Failure};
use flags::Parsed;
use locate::Found;
use session::Environment;

use crate::types::version;

/// Runs one command line, without the program's name, and tells how it ended.
pub fn run(
    arguments: &[OsString],
    environment: impl IntoIterator<Item = (String, String)>,
) -> ExitCode {
    let environment: Environment = environment.into_iter().collect();
    let ended = check_api(&environment).and_then(|()| dispatch(arguments, &environment));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message {
                eprintln!("Error: {message}");
            }
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Scripts for old versions ask for the API of their time.
fn check_api(environment: &Environment) -> Result<(), Failure> {
    match environment.get("ETCDCTL_API").map(String::as_str) {
        None | Some("" | "3") => Ok(()),
        Some(other) => {
            eprintln!("unsupported API version: {other}");
            if other == "2" {
                eprintln!("{}", locate::OLD_API);
            }
            Err(Failure::silent(Exit::Error))
        }
    }
}

fn dispatch(arguments: &[OsString], environment: &Environment) -> Result<(), Failure> {
    let (command, words) = match locate::locate(arguments) {
        Found::Command(command, words) => (command, words),
        Found::Unknown(failure) => return Err(failure),
    };
    let mut flags = command.all_flags();
    flags.push(&help::HELP);
    let parsed = match flags::parse(&words, &flags).and_then(|parsed| no_more(command, parsed)) {
        Ok(parsed) => parsed,
        Err(fault) => {
            show(help::render(command).as_bytes())?;
            // The original says it twice, and scripts that compare know it so.
            eprintln!("Error: {fault}\n");
            return Err(Failure::new(Exit::Error, fault));
        }
    };
    match command.run {
        Some(verb) if !parsed.values.on("help") => perform(verb, parsed, environment),
        _ => show(help::render(command).as_bytes()),
    }
}

/// The commands that take no arguments and refuse them as if they were commands.
fn no_more(command: &Command, parsed: Parsed) -> Result<Parsed, String> {
    match (command.run, parsed.arguments.first()) {
        (Some(Verb::Completion(_)), Some(word)) => {
            let (word, path) = (word.to_string_lossy(), command.path);
            Err(format!("unknown command \"{word}\" for \"etcdctl {path}\""))
        }
        _ => Ok(parsed),
    }
}

fn perform(verb: Verb, parsed: Parsed, environment: &Environment) -> Result<(), Failure> {
    match verb {
        Verb::Version => {
            let (release, api) = (version::ETCD_API, help::api_version());
            show(format!("etcdctl version: {release}\nAPI version: {api}\n").as_bytes())
        }
        Verb::Options => show(help::options().as_bytes()),
        Verb::Help => explain(&parsed.arguments),
        Verb::Completion(shell) => completion::print(shell, &parsed),
        Verb::Man => man::man(&parsed.arguments),
        asking => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| {
                Failure::new(Exit::Error, format!("cannot start the runtime: {error}"))
            })?;
            let ended = runtime.block_on(ask(asking, parsed, environment));
            // A thread may still wait for standard input, and nobody waits for it.
            runtime.shutdown_background();
            ended
        }
    }
}

async fn ask(verb: Verb, mut parsed: Parsed, environment: &Environment) -> Result<(), Failure> {
    match verb {
        Verb::Get => kv::get(&mut parsed, environment).await,
        Verb::Put => kv::put(&mut parsed, environment).await,
        Verb::Del => kv::del(&mut parsed, environment).await,
        Verb::Txn => txn::txn(&mut parsed, environment).await,
        Verb::Compaction => kv::compaction(&mut parsed, environment).await,
        Verb::Watch => watch::watch(&mut parsed, environment).await,
        Verb::Lease(verb) => lease::lease(verb, &mut parsed, environment).await,
        Verb::Lock => lock::lock(&mut parsed, environment).await,
        Verb::Elect => elect::elect(&mut parsed, environment).await,
        Verb::EndpointHealth => endpoint::health(&mut parsed, environment).await,
        Verb::EndpointStatus => endpoint::status(&mut parsed, environment).await,
        Verb::EndpointHashKv => endpoint::hash(&mut parsed, environment).await,
        Verb::AlarmList | Verb::AlarmDisarm => cluster::alarm(verb, &mut parsed, environment).await,
        Verb::Defrag => maintain::defrag(&mut parsed, environment).await,
        Verb::MoveLeader => cluster::move_leader(&mut parsed, environment).await,
        Verb::SnapshotSave => maintain::snapshot_save(&mut parsed, environment).await,
        Verb::SnapshotFile => Err(maintain::snapshot_file()),
        Verb::Downgrade(action) => cluster::downgrade(action, &mut parsed, environment).await,
        Verb::AuthEnable | Verb::AuthDisable | Verb::AuthStatus => {
            auth::auth(verb, &mut parsed, environment).await
        }
        Verb::User(verb) => auth::user(verb, &mut parsed, environment).await,
        Verb::Role(verb) => auth::role(verb, &mut parsed, environment).await,
        Verb::MemberList
        | Verb::MemberAdd
        | Verb::MemberRemove
        | Verb::MemberUpdate
        | Verb::MemberPromote
        | Verb::MemberReplace => cluster::member(verb, &mut parsed, environment).await,
        Verb::MakeMirror => mirror::make_mirror(&mut parsed, environment).await,
        Verb::CheckPerf => check::perf(&mut parsed, environment).await,
        Verb::CheckDatascale => check::datascale(&mut parsed, environment).await,
        Verb::Version | Verb::Options | Verb::Help | Verb::Completion(_) | Verb::Man => Ok(()),
    }
}

fn explain(topic: &[OsString]) -> Result<(), Failure> {
    let words: Vec<_> = topic.iter().map(|word| word.to_string_lossy()).collect();
    match Command::find(&words.join(" ")) {
        Some(command) => show(help::render(command).as_bytes()),
        None => {
            eprintln!("Unknown help topic [`{}`]", words.join(" "));
            let root = Command::find("").map(help::render).unwrap_or_default();
            show(root.as_bytes())
        }
    }
}

/// Writes to standard output. Whoever reads it may have gone, as `head` does: then the command is
/// over, and nothing went wrong.
fn show(text: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Error, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
