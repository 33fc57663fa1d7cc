//! The readers of configuration for hostile text.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{auth, file, flags, golang, table, value};
use crate::types::fuzz::Seed;

/// A configuration file.
pub(crate) fn file(bytes: &[u8]) {
    let _ = file::parse("etcd.yaml", &String::from_utf8_lossy(bytes));
}

/// A command line, its words parted by zero bytes.
pub(crate) fn flags(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == 0).map(std::ffi::OsStr::from_bytes);
    let words: Vec<OsString> = words.map(ToOwned::to_owned).collect();
    let _ = flags::parse(&words);
}

/// One value in every form a setting may have; a duration that reads is shown so that it reads again.
pub(crate) fn value(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for setting in table::all() {
        let _ = value::parse(setting.kind, &text);
    }
    let _ = auth::token(&text);
    let _ = (value::gates(&text), golang::boolean(&text), golang::unsigned(&text));
    let _ = golang::integer(&text);
    if let Ok(duration) = golang::duration(&text) {
        assert_eq!(golang::duration(&golang::show_duration(duration)), Ok(duration), "{text:?}");
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let file = "name: one\nlisten-client-urls: http://127.0.0.1:2379,https://[::1]:1\n\
                client-transport-security:\n  cert-file: 'a'\n  client-cert-auth: true\n\
                snapshot-count: 10\n# end\n";
    let flags =
        "--name=one\0--listen-client-urls\0http://a:1\0-pre-vote=false\0--heartbeat-interval=7";
    let seed = |target, name, text: &str| Seed::new(target, name, text.as_bytes().to_vec());
    vec![
        seed("config_file", "usual", file),
        seed("flags", "usual", flags),
        seed("setting", "duration", "1h2m3.5s"),
        seed("setting", "urls", "http://127.0.0.1:2379,unix:///a"),
        seed("setting", "number", "0x1F"),
        seed("setting", "gates", "A=true,B=false"),
    ]
}
