//! Keeps the floors: a file may use its own room and the rooms on strictly lower floors. The table in
//! `src/lib.rs` says which room is on which floor; this test holds the code to it, and keeps a few
//! libraries and texts in the one place that is allowed to know them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A library, and where under `src` it may be named. `ring` is a path, not a variable, where it
/// stands beside `::` or in a `use`.
const LIBRARIES: [(&str, &str); 4] = [
    ("openraft", "consensus/"),
    ("fjall", "storage/"),
    ("ring", "transport/provider.rs"),
    ("aws_lc_rs", "transport/provider.rs"),
];

/// How etcd's error texts begin, and where they may be written outside tests: on the wire, and in the
/// tool that recognises them.
const WIRE: (&str, [&str; 2]) = ("etcdserver: ", ["api/status.rs", "cli/"]);

type Floors = BTreeMap<String, u32>;

#[test]
fn imports_only_go_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut files = Vec::new();
    rust_files(&src, &mut files).unwrap();
    assert!(files.len() > floors.len(), "only {} files found in {}", files.len(), src.display());
    let mut faults = Vec::new();
    for path in files {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
        if name != "lib.rs" {
            faults.extend(check(&floors, name, &fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(faults.is_empty(), "{} broken rule(s):\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_broken_rule_is_found_and_a_kept_one_is_not() {
    let floors =
        floors("//! | 9 | `bin/`: x |\n//! | 7 | [`api`] |\n//! | 2 | [`storage`], [`certs`] |");
    for (file, text, faults) in [
        ("storage/a.rs", "use crate::api::X;", 1),
        ("storage/a.rs", "fn f() {}\nfn g() { crate::certs::h(); }", 1),
        ("api/a.rs", "use crate::{certs::{A, b::C}, api, attic};", 1),
        ("bin/etcd.rs", "fn main() { etcd::api::run(); another_etcd::x(); etcd::attic::f(); }", 1),
        ("attic/a.rs", "fn f() {}", 1),
        ("storage/a.rs", "let c = '\"'; use crate::api::X; let d = '\"';", 1),
        ("storage/a.rs", "let s = r#\"crate::api \"\"#; crate::attic::f();", 1),
        ("storage/a.rs", "let s = \"crate::api, \\\" openraft::\"; fjall::open();", 0),
        ("storage/a.rs", "// crate::api\n/* /**/ crate::api */ fn f<'a>(x: &'a str) {}", 0),
        ("storage/a.rs", "use openraft::Raft;", 1),
        ("api/a.rs", "use rustls::crypto::{CryptoProvider, ring};", 1),
        ("api/a.rs", "let ring = 1; self.ring.len();", 0),
        ("api/a.rs", "format!(\"etcdserver: {x}\")", 1),
        ("api/status.rs", "\"etcdserver: x\"", 0),
        ("api/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { f(\"etcdserver: x\"); }", 0),
        ("api/a/tests.rs", "use crate::storage; f(\"etcdserver: x\");", 0),
    ] {
        let found = check(&floors, file, text);
        assert_eq!(found.len(), faults, "{file}: {text}: {found:?}");
    }
}

/// The rows `//! | floor | [`room`] … |` of the house's table; `bin/` is a folder, not a module.
fn floors(lib: &str) -> Floors {
    let mut floors = Floors::new();
    for row in lib.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let Some((floor, rooms)) = row.split_once(" | ") else { continue };
        let Ok(floor) = floor.parse() else { continue };
        let rooms = rooms.replace("`bin/`", "[`bin`]").replace("`fuzzing`", "[`fuzzing`]");
        for (room, _) in rooms.split("[`").skip(1).filter_map(|rest| rest.split_once("`]")) {
            floors.insert(room.to_owned(), floor);
        }
    }
    floors
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Every broken rule of one file as `src/FILE:LINE: rule`.
fn check(floors: &Floors, file: &str, text: &str) -> Vec<String> {
    let room = file.split(['/', '.']).next().unwrap_or_default();
    let Some(&floor) = floors.get(room) else {
        return vec![format!("src/{file}:1: `{room}` is not in the table of src/lib.rs")];
    };
    let (code, texts) = split(text);
    let mut faults = Vec::new();
    let mut fault = |at: usize, rule: String| {
        faults.push(format!("src/{file}:{}: {rule}", text[..at].matches('\n').count() + 1));
    };
    for (at, other) in rooms_named(&code, if room == "bin" { "etcd" } else { "crate" }) {
        match floors.get(other) {
            Some(&below) if other == room || below < floor => {}
            Some(level) => fault(
                at,
                format!(
                    "`{room}` (floor {floor}) uses `{other}` (floor {level}); imports only go down"
                ),
            ),
            None => fault(at, format!("`{other}` is not in the table of src/lib.rs")),
        }
    }
    for (library, home) in LIBRARIES.iter().filter(|(_, home)| !file.starts_with(home)) {
        for at in words(&code, library).filter(|&at| in_path(&code, at, library.len())) {
            fault(at, format!("`{library}` may be named in src/{home} only"));
        }
    }
    let in_tests = file.ends_with("/tests.rs") || file.contains("/tests/");
    let tests = code.find("#[cfg(test)]\nmod tests").filter(|_| !in_tests);
    let end = if in_tests { 0 } else { tests.unwrap_or(code.len()) };
    let (prefix, homes) = WIRE;
    for (at, _) in texts.iter().filter(|(at, text)| *at < end && text.starts_with(prefix)) {
        if !homes.iter().any(|home| file.starts_with(home)) {
            fault(*at, format!("texts that begin with `{prefix}` belong in src/{}", homes[0]));
        }
    }
    faults
}

/// Every room named behind `root::`, also in (nested) braces, with its place.
fn rooms_named<'a>(code: &'a str, root: &'a str) -> Vec<(usize, &'a str)> {
    let mut rooms = Vec::new();
    for start in words(code, root) {
        let Some(rest) = code[start + root.len()..].strip_prefix("::") else { continue };
        let from = code.len() - rest.len();
        let (mut depth, mut wanted) = (0, true);
        for (at, letter) in rest.bytes().enumerate() {
            match letter {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b',' if depth == 1 => wanted = true,
                _ if wanted && in_word(letter) => {
                    rooms.push((
                        from + at,
                        rest[at..]
                            .split(|c: char| !c.is_alphanumeric() && c != '_')
                            .next()
                            .unwrap_or_default(),
                    ));
                    wanted = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms
}

fn in_word(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || letter == b'_'
}

/// Every place where `word` stands alone.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !bytes[..at].last().is_some_and(|&letter| in_word(letter))
            && !bytes.get(at + word.len()).is_some_and(|&letter| in_word(letter))
    })
}

/// Whether the word is a piece of a path: `word::…`, `…::word`, `use …word`.
fn in_path(code: &str, at: usize, length: usize) -> bool {
    let before = code[..at].rsplit(['\n', ';']).next().unwrap_or_default().trim_start();
    code[at + length..].starts_with("::") || before.ends_with("::") || before.starts_with("use ")
}

/// The code with comments and texts blanked out byte by byte, and the texts with their places.
fn split(text: &str) -> (String, Vec<(usize, &str)>) {
    let (mut code, mut texts, mut at) = (String::with_capacity(text.len()), Vec::new(), 0);
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '\'' if rest.starts_with("'\\") => 3 + rest[3..].find('\'').map_or(0, |end| end + 1),
            '\'' if rest.chars().nth(2) == Some('\'') => {
                rest.chars().take(3).map(char::len_utf8).sum()
            }
            '"' => quoted(&text[..at], rest),
            _ => 0,
        };
        if letter == '"' {
            texts.push((at, &rest[1..length]));
        }
        let blank = |c: char| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) };
        code.extend(rest[..length].chars().map(blank));
        if length == 0 {
            code.push(letter);
        }
        at = text.len().min(at + length.max(letter.len_utf8()));
    }
    (code, texts)
}

/// Length of a block comment; they nest.
fn comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..rest.len().min(at + 2)] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of a text: a raw one ends at a quote with as many `#` as before it, any other at the next
/// quote that is not escaped.
fn quoted(before: &str, rest: &str) -> usize {
    let bare = before.trim_end_matches('#');
    if bare.ends_with('r') {
        let close = format!("\"{}", &before[bare.len()..]);
        return rest[1..].find(&close).map_or(rest.len(), |end| 1 + end + close.len());
    }
    let mut escaped = false;
    let close = rest[1..].bytes().position(|letter| {
        let ends = letter == b'"' && !escaped;
        escaped = letter == b'\\' && !escaped;
        ends
    });
    close.map_or(rest.len(), |end| end + 2)
}
