//! What must differ between two plays of the same commands, covered up.

use crate::support::server::Server;

/// Terms, times, versions and the address differ between servers; all else must not. Member and
/// cluster ids are the same on purpose: they derive from the same flags.
pub(in crate::compat) fn output(text: &str, server: &Server) -> String {
    let mut masked = without_descriptions(text).replace(server.address(), "ADDRESS");
    for (field, end) in [
        ("\"raft_term\":", &['}', ','][..]),
        ("\"RaftTerm\" : ", &['\n']),
        // A lease id the server chose.
        ("\"ID\" : ", &['\n']),
        ("took = ", &['\n']),
        ("\"took\":\"", &['"']),
        ("\"Took\" : ", &['\n']),
        ("etcdctl version: ", &['\n']),
        ("remaining(", &[')']),
        ("\"ttl\":", &[',']),
        ("\"TTL\" : ", &['\n']),
    ] {
        masked = cover(&masked, field, end);
    }
    probes(&masked)
}

/// The client library of the original logs failed calls as JSON with addresses and times; ours adds
/// hints. What is left are the messages.
pub(in crate::compat) fn errors(text: &str, server: &Server) -> String {
    let is_message = |line: &&str| {
        let logged = line.starts_with("{\"level\":");
        // The original asks for secrets with a tool that complains when there is no terminal.
        let complaint = line.starts_with("stty: ");
        !logged && !complaint && !line.starts_with("hint: ")
    };
    let kept: Vec<&str> = text.lines().filter(is_message).collect();
    output(&kept.join("\n"), server)
}

/// Help lists the same flags and commands in the same layout; what it says about them is its own, and
/// so are its examples.
fn without_descriptions(text: &str) -> String {
    if !text.starts_with("NAME:\n") {
        return text.to_owned();
    }
    // Each of the two parts ends where the flags or the next part begin.
    let without = |text: String, title: &str| match text.split_once(title) {
        Some((before, after)) => {
            let ends = ["EXAMPLE:\n", "API VERSION:\n", "OPTIONS:\n"].map(|end| after.find(end));
            let end = ends.into_iter().flatten().min().unwrap_or(after.len());
            format!("{before}{}", &after[end..])
        }
        None => text,
    };
    let text = without(without(text.to_owned(), "DESCRIPTION:\n"), "EXAMPLE:\n");
    let name_only = |line: &str| {
        let indented = line.starts_with(' ') || line.starts_with('\t');
        let end = line.trim_start().find(['\t']).or_else(|| line.trim_start().find(" - "));
        let start = line.len() - line.trim_start().len();
        let end = end.filter(|_| indented).map_or(line.len(), |end| start + end);
        format!("{}\n", &line[..end])
    };
    let later: Vec<&str> = LATER_FLAGS
        .iter()
        .filter(|(command, _)| text.starts_with(&format!("NAME:\n\t{command}")))
        .map(|(_, flag)| *flag)
        .collect();
    let older = |line: &&str| !later.iter().any(|flag| line.contains(flag));
    let named: String = text.lines().filter(older).map(name_only).collect();
    cover(&named, "VERSION:\n\t", &['\n'])
}

/// Flags and commands that came after the release compared with, and whose help lists them: all of them
/// stand in the reference of 3.6 or 3.7, but for `--duration` of `check perf` and `member replace`, which
/// are ours.
const LATER_FLAGS: [(&str, &str); 18] = [
    ("", "--auth-jwt-token"),
    ("", "--max-recv-bytes"),
    ("", "--max-request-bytes"),
    ("check perf", "--duration"),
    ("etcdctl", "\tdowngrade cancel"),
    ("etcdctl", "\tdowngrade enable"),
    ("etcdctl", "\tdowngrade validate"),
    ("etcdctl", "\tmember replace"),
    ("etcdctl", "\toptions"),
    ("get", "--max-create-rev"),
    ("get", "--max-mod-rev"),
    ("get", "--min-create-rev"),
    ("get", "--min-mod-rev"),
    ("get", "--stream"),
    ("make-mirror", "--max-txn-ops"),
    ("make-mirror", "--rev"),
    ("member - ", "\treplace"),
    ("member list", "--consistency"),
];

/// An encoded answer without the term, which is the last number of the header it begins with. That of
/// leases is a header alone.
pub(super) fn term(answer: &[u8]) -> Vec<u8> {
    let mut masked = answer.to_vec();
    // A user in detail has its name in front, in text.
    let text = match answer.starts_with(b"User: ") {
        true => answer.windows(3).position(|three| three == b"\n\n\n").map_or(0, |at| at + 2),
        false => 0,
    };
    let end = match answer.get(text..).unwrap_or_default() {
        [0x0a, length, ..] => text + 2 + usize::from(*length),
        _ => answer.len(),
    };
    if let Some([0x20, term]) = masked.get_mut(end.saturating_sub(2)..end) {
        *term = b'_';
    }
    masked
}

pub(in crate::compat) fn cover(text: &str, field: &str, end: &[char]) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(field) {
        let value = at + field.len();
        masked.push_str(&rest[..value]);
        masked.push('_');
        rest = &rest[value..];
        rest = &rest[rest.find(end).unwrap_or(rest.len())..];
    }
    masked.push_str(rest);
    masked
}

/// How long a probe took in a table, whose columns are as wide as it is long.
fn probes(text: &str) -> String {
    if !text.contains("| HEALTH |") {
        return text.to_owned();
    }
    let covered = |line: &str| {
        let cells: Vec<&str> = line.split('|').collect();
        match cells.as_slice() {
            ["", endpoint, " HEALTH " | "   true " | "  false ", _, error, ""] => {
                format!("|{endpoint}|_|{error}|\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().filter(|line| !line.starts_with('+')).map(covered).collect()
}
