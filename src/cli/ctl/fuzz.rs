//! What users type and write, for hostile bytes: a command line, a transaction, a file of settings.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::commands::Command;
use super::{flags, settings, txn, typed};
use crate::types::fuzz::Seed;

/// The words of a command line, parted by zero bytes, for every command there is.
pub(crate) fn words(bytes: &[u8]) {
    let words: Vec<OsString> = bytes
        .split(|byte| *byte == 0)
        .map(|word| std::ffi::OsStr::from_bytes(word).to_owned())
        .collect();
    for command in Command::all() {
        if let Ok(parsed) = flags::parse(&words, &command.all_flags()) {
            assert!(parsed.arguments.len() <= words.len());
        }
    }
}

/// A transaction and a line as they are typed.
pub(crate) fn typed(bytes: &[u8]) {
    let _ = (txn::read(&mut &*bytes, false), typed::words(bytes));
}

/// A file of settings.
pub(crate) fn settings(bytes: &[u8]) {
    settings::parse_file(Path::new("/etc/etcdctl.yml"), &String::from_utf8_lossy(bytes));
}

pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |target, name, text: &str| Seed::new(target, name, text.as_bytes().to_vec());
    vec![
        seed("ctl_words", "put", "put\0--lease=1f\0--prev-kv\0-w\0json\0key\0--\0-value"),
        seed("ctl_words", "get", "get\0--prefix\0--limit\x007\0--sort-by=KEY\0key"),
        seed("ctl_typed", "txn", "mod(\"k\") > \"0\"\n\nput k \"v\\x00\"\n\nget 'k' --prefix\n\n"),
        seed("ctl_settings", "usual", "endpoints: [http://a:1, b]\ncacert: ca.crt\nhex: true\n"),
    ]
}
