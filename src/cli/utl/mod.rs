//! `etcdutl`: work on data that no server is using. So far it only tells its version.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::types::version;

/// Commands of the original that work on its own file format.
const NOT_YET: [&str; 7] =
    ["backup", "check", "completion", "defrag", "hashkv", "migrate", "snapshot"];

/// What it can do.
pub(crate) const HELP: &str = "Usage:
  etcdutl [command]

Available Commands:
  help        Explains the commands
  version     Prints the version

Flags:
  -h, --help               help for etcdutl
  -w, --write-out string   output format (accepted; no command here uses it)
";

/// Runs one command line, without the program's name, and tells how it ended.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let mut words = words.iter().map(AsRef::as_ref).skip_while(|word: &&str| word.starts_with('-'));
    let command: Option<&str> = words.next();
    match command {
        None | Some("help") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some(word) if !word.is_empty() && "version".starts_with(word) => {
            let api = version::ETCD_API;
            let minor = api.rsplit_once('.').map_or(api, |(minor, _)| minor);
            println!("etcdutl version: {api}\nAPI version: {minor}");
            ExitCode::SUCCESS
        }
        Some(word) => refuse(word),
    }
}

fn refuse(word: &str) -> ExitCode {
    let known = NOT_YET.iter().find(|name| name.starts_with(word) && !word.is_empty());
    match known {
        Some(name) => eprintln!(
            "Error: this version of etcdutl does not have the command \"{name}\" yet: it would have to read \
             this implementation's own data directory"
        ),
        None => eprintln!(
            "Error: unknown command \"{word}\" for \"etcdutl\"\nRun 'etcdutl --help' for usage.\nError: \
             unknown command \"{word}\" for \"etcdutl\""
        ),
    }
    ExitCode::FAILURE
}
