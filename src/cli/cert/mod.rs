//! `etcd cert …`: everything about certificates, on the machine with the authorities and on others.

mod args;
mod checks;
mod commands;
mod context;
mod csr;
mod init;
mod issue;
mod join;
mod remote;
mod renew;
mod report;
mod revoke;
mod rotate;
mod serve;
mod set;
mod settings;
mod status;
mod token;
mod trust;
mod verify;

use std::ffi::OsString;

use args::Words;
use commands::Command;
use context::Context;
use report::{MISUSE, Output, Refusal};

use crate::config::Exit;
use crate::types::clock::Clock;

/// Does what `args`, the words behind `etcd cert`, ask for; `env` is the environment.
pub fn run(args: &[OsString], env: impl IntoIterator<Item = (String, String)>) -> Exit {
    let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let told = |stdout: String| Exit { code: 0, stdout, stderr: String::new() };
    // What makes no sense is told in the form that was asked for, as far as that can be seen.
    let misuse = |sentence: String| Refusal::Misuse(sentence).finish(Output::asked(&words));
    match words.split_first() {
        None => Exit { code: MISUSE, stdout: String::new(), stderr: commands::overview() },
        Some((word, [])) if matches!(word.as_str(), "help" | "--help" | "-help" | "-h") => {
            told(commands::overview())
        }
        Some((word, [name])) if word == "help" => match commands::find(name) {
            Some(command) => told(command.help()),
            None => misuse(unknown(name)),
        },
        Some((name, rest)) => match commands::find(name) {
            Some(command) => match Words::read(command, rest) {
                Ok(words) if words.on("help") => told(command.help()),
                Ok(words) => perform(command, &words, env),
                Err(sentence) => misuse(sentence),
            },
            None => misuse(unknown(name)),
        },
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = commands::COMMANDS.iter().map(|command| command.name).collect();
    format!("there is no command {name:?}; there are {}", known.join(", "))
}

fn perform(
    command: &Command,
    words: &Words,
    env: impl IntoIterator<Item = (String, String)>,
) -> Exit {
    let output = match Output::of(words) {
        Ok(output) => output,
        Err(sentence) => return Refusal::Misuse(sentence).finish(Output::Text),
    };
    let context = Context { now: Clock.unix(), env: env.into_iter().collect() };
    match (command.run)(words, &context) {
        Ok(report) => report.finish(output),
        Err(refusal) => refusal.finish(output),
    }
}
