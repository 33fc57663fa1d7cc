//! Help, laid out as the original lays it out.

use std::fmt::Write as _;

use super::commands::{Command, GLOBAL};
use super::flags::{Flag, Kind};
use crate::types::version;

/// `--help`, which every command takes.
pub(super) static HELP: Flag =
    Flag { name: "help", short: Some('h'), kind: Kind::Switch, default: "false", help: "" };

/// The help of a command.
pub(super) fn render(command: &Command) -> String {
    let mut out = String::new();
    let name = if command.path.is_empty() { "etcdctl" } else { command.path };
    let words = format!("etcdctl {} {}", command.path, command.usage).replace("  ", " ");
    let words = words.trim_end();
    push(&mut out, &format!("NAME:\n\t{name} - {}\n\nUSAGE:\n\t{words}\n\n", command.about));
    if !command.description.is_empty() {
        let text = command.description.replace('\n', "\n\t");
        push(&mut out, &format!("DESCRIPTION:\n\t{text}\n\n"));
    }
    if !command.example.is_empty() {
        let lines = command.example.lines().map(|line| format!("\tetcdctl {line}\n"));
        push(&mut out, &format!("EXAMPLE:\n{}\n", lines.collect::<String>()));
    }
    if command.run.is_none() {
        push_commands(&mut out, command);
    }
    let local = if command.path.is_empty() { GLOBAL } else { command.flags };
    let local: Vec<&Flag> = local.iter().chain(command.inherited).chain([&HELP]).collect();
    push(&mut out, "OPTIONS:\n");
    push_flags(&mut out, &local, name);
    if !command.path.is_empty() {
        let inherited = command.parent().map_or(&[][..], |parent| parent.inherited);
        let global: Vec<&Flag> = inherited.iter().chain(GLOBAL).collect();
        push(&mut out, "\nGLOBAL OPTIONS:\n");
        push_flags(&mut out, &global, name);
    }
    out.push('\n');
    out
}

/// The flags of all commands.
pub(super) fn options() -> String {
    let mut out = String::from("GLOBAL OPTIONS:\n");
    push_flags(&mut out, &GLOBAL.iter().collect::<Vec<_>>(), "");
    out
}

fn push(out: &mut String, text: &str) {
    out.push_str(text);
}

fn push_commands(out: &mut String, group: &Command) {
    let api = api_version();
    if group.path.is_empty() {
        push(out, &format!("VERSION:\n\t{}\n\n", version::ETCD_API));
    }
    push(out, &format!("API VERSION:\n\t{api}\n\n\nCOMMANDS:\n"));
    let skip = if group.path.is_empty() { 0 } else { group.path.len() + 1 };
    let rows = group.children().into_iter().map(|child| {
        (child.path.get(skip..).unwrap_or_default().to_owned(), child.about.to_owned())
    });
    push_columns(out, "\t", &rows.collect::<Vec<_>>());
    out.push('\n');
}

/// Major and minor of the API spoken.
pub(super) fn api_version() -> &'static str {
    version::ETCD_API.rsplit_once('.').map_or(version::ETCD_API, |(minor, _)| minor)
}

fn push_flags(out: &mut String, flags: &[&Flag], command: &str) {
    let mut flags = flags.to_vec();
    flags.sort_by_key(|flag| flag.name);
    let rows: Vec<(String, String)> = flags
        .iter()
        .map(|flag| {
            let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
            let default = match flag.kind {
                Kind::Switch => format!("[={}]", flag.default),
                Kind::Text => format!("=\"{}\"", flag.default),
                Kind::List => format!("=[{}]", flag.default),
                Kind::Number | Kind::Span => format!("={}", flag.default),
            };
            let last = command.rsplit(' ').next().unwrap_or(command);
            let help =
                if flag.name == "help" { format!("help for {last}") } else { flag.help.into() };
            (format!("  {short}--{}{default}", flag.name), help)
        })
        .collect();
    push_columns(out, "", &rows);
}

/// Two columns, the first filled with tabs of eight.
fn push_columns(out: &mut String, indent: &str, rows: &[(String, String)]) {
    let widest = rows.iter().map(|(first, _)| first.chars().count()).max().unwrap_or(0);
    let stops = widest / 8 + 1;
    for (first, second) in rows {
        let tabs = "\t".repeat(stops - first.chars().count() / 8);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{indent}{first}{tabs}{second}");
    }
}

/// What is said about a word that is no command: the likely ones, in the original's order.
pub(super) fn suggestions(word: &str, known: &[&'static str]) -> Vec<&'static str> {
    let near = |name: &&'static str| name.starts_with(word) || distance(word, name) <= 2;
    known.iter().copied().filter(near).collect()
}

/// How many letters must be put in, taken out or replaced to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        let mut diagonal = place;
        let mut left = place + 1;
        let mut next = vec![left];
        for (other, above) in to.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(letter != *other);
            left = replaced.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_at_tab_stops() {
        let mut out = String::new();
        let rows = [("a".repeat(40), "x".to_owned()), ("b".repeat(17), "y".to_owned())];
        push_columns(&mut out, "", &rows);
        assert_eq!(out, format!("{}\tx\n{}\t\t\t\ty\n", "a".repeat(40), "b".repeat(17)));
    }

    #[test]
    fn help_has_the_sections_scripts_look_for() {
        let root = render(Command::find("").unwrap());
        assert!(root.starts_with("NAME:\n\tetcdctl - "), "{root}");
        assert!(root.contains("\nCOMMANDS:\n\talarm disarm\t"), "{root}");
        assert!(root.contains("\n\tendpoint health\t\tTells"), "{root}");
        let get = render(Command::find("get").unwrap());
        assert!(
            get.contains("USAGE:\n\tetcdctl get [options] <key> [range_end] [flags]\n"),
            "{get}"
        );
        assert!(get.contains("EXAMPLE:\n\tetcdctl get "), "{get}");
        assert!(!root.contains("\tman\t"), "hidden: {root}");
        assert!(get.contains("\n  -h, --help[=false]\t\t\thelp for get\n"), "{get}");
        assert!(get.contains("\n      --consistency=\"l\"\t\t\t"), "{get}");
        let health = render(Command::find("endpoint health").unwrap());
        assert!(health.contains("GLOBAL OPTIONS:\n      --auth-jwt-token=\"\""), "{health}");
        assert!(health.contains("      --cluster[=false]"), "{health}");
    }

    #[test]
    fn likely_commands_are_suggested() {
        assert_eq!(distance("ge", "get"), 1);
        assert_eq!(distance("", "get"), 3);
        assert_eq!(distance("dle", "del"), 2);
        assert_eq!(
            suggestions("e", &["get", "put", "del", "endpoint", "elect"]),
            ["get", "del", "endpoint", "elect"]
        );
    }
}
