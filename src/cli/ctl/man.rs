//! Manual pages, written from the table of commands and from the daemon's help.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::commands::{Command, GLOBAL};
use super::failure::{Exit, Failure};
use super::flags::{Flag, Kind};
use super::show;
use crate::types::version;

/// Writes them into the folder given, or the tool's own to standard output.
pub(super) fn man(arguments: &[OsString]) -> Result<(), Failure> {
    match arguments {
        [] => show(etcdctl().as_bytes()),
        [folder] => {
            let folder = Path::new(folder);
            let pages = [
                ("etcd.1", plain("etcd", "distributed key-value store", &crate::config::help())),
                ("etcdctl.1", etcdctl()),
                ("etcdutl.1", plain("etcdutl", "work on data at rest", crate::cli::utl::HELP)),
            ];
            for (name, page) in pages {
                let path = folder.join(name);
                std::fs::write(&path, page).map_err(|error| {
                    let text = format!("cannot write {}: {error}", path.display());
                    Failure::new(Exit::Error, text)
                })?;
            }
            Ok(())
        }
        _ => Err(Failure::bad_args("man takes at most one argument, the folder to write into")),
    }
}

/// A text that roff leaves alone.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let guarded = |line: &str| {
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
    };
    text.lines().map(guarded).collect::<Vec<_>>().join("\n")
}

fn head(name: &str, about: &str) -> String {
    let (upper, release) = (name.to_uppercase(), version::ETCD_API);
    format!(
        ".TH {upper} 1 \"\" \"etcd {release}\" \"User Commands\"\n.SH NAME\n{name} \\- {}\n",
        escape(about)
    )
}

fn etcdctl() -> String {
    let mut out = head("etcdctl", "command-line client for etcd");
    out.push_str(
        ".SH SYNOPSIS\n.B etcdctl\n[\\fIflags\\fR] \\fIcommand\\fR [\\fIarguments\\fR]\n.SH DESCRIPTION\n",
    );
    out.push_str(&escape(
        "Asks and changes an etcd cluster. Flags may stand anywhere; two dashes end them. Names of \
         commands may be shortened as long as they are unique. Each flag of all commands can also \
         come from a variable (--write-out is ETCDCTL_WRITE_OUT) or from a line of \
         ~/.config/etcdctl/config.yml or /etc/etcd/etcdctl.yml (write-out: json); each of them holds over those \
         behind it. When nothing says where the servers are and how to reach them, and the key of the client \
         admin in /etc/etcd/pki may be read, the server of this machine is reached with it.\n",
    ));
    out.push_str("\n.SH COMMANDS\n");
    let root = Command::find("");
    for command in root.map(Command::children).unwrap_or_default() {
        section(&mut out, command);
    }
    out.push_str(".SH FLAGS OF ALL COMMANDS\n");
    flags(&mut out, &GLOBAL.iter().collect::<Vec<_>>());
    out.push_str(".SH EXIT STATUS\n");
    for (code, meaning) in [
        ("0", "all went well"),
        ("1", "a request failed, or the command line is not known"),
        ("2", "no connection, or the user was refused"),
        ("3", "input read while running cannot be used"),
        ("4", "an option or format this command does not have"),
        ("5", "ended from outside"),
        ("128", "the arguments cannot be used"),
    ] {
        let _ = writeln!(out, ".TP\n{code}\n{meaning}");
    }
    out.push_str(".SH SEE ALSO\n.BR etcd (1),\n.BR etcdutl (1)\n");
    out
}

fn section(out: &mut String, command: &Command) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        ".SS {}\n.B etcdctl {}{}\n.PP\n{}.",
        escape(command.path),
        escape(command.path),
        if command.usage.is_empty() {
            String::new()
        } else {
            format!("\n{}", escape(command.usage))
        },
        escape(command.about)
    );
    if !command.description.is_empty() {
        let _ = writeln!(out, ".PP\n{}", paragraphs(command.description));
    }
    let mut own: Vec<&Flag> = command.flags.iter().collect();
    own.extend(command.parent().map_or(&[][..], |parent| parent.inherited));
    flags(out, &own);
    if !command.example.is_empty() {
        let lines = command.example.lines().map(|line| format!("etcdctl {line}"));
        let lines = escape(&lines.collect::<Vec<_>>().join("\n"));
        let _ = writeln!(out, ".PP\nExample:\n.PP\n.RS 4\n.nf\n{lines}\n.fi\n.RE");
    }
}

/// Text with indented lines, which stay as they are.
fn paragraphs(text: &str) -> String {
    let mut out = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(code) => out.push(format!(".RS 4\n.nf\n{}\n.fi\n.RE", escape(code))),
            None if line.is_empty() => out.push(".PP".to_owned()),
            None => out.push(escape(line)),
        }
    }
    out.join("\n")
}

fn flags(out: &mut String, flags: &[&Flag]) {
    let mut flags = flags.to_vec();
    flags.sort_by_key(|flag| flag.name);
    for flag in flags {
        let short = flag.short.map(|letter| format!("\\-{letter}, ")).unwrap_or_default();
        let value = match flag.kind {
            Kind::Switch if flag.default == "false" => String::new(),
            Kind::Switch | Kind::Number | Kind::Span => format!("={}", flag.default),
            Kind::Text | Kind::List => format!("=\"{}\"", flag.default),
        };
        let (name, value) = (escape(flag.name), escape(&value));
        let _ = writeln!(out, ".TP\n{short}\\-\\-{name}{value}\n{}", escape(flag.help));
    }
}

/// A page from a help text: lines that end with a colon are titles, indented lines are flags or
/// commands, more indented ones say what they do.
fn plain(name: &str, about: &str, text: &str) -> String {
    let mut out = head(name, about);
    out.push_str(".SH DESCRIPTION\n");
    for line in text.lines() {
        let word = line.trim_start();
        match line.len() - word.len() {
            _ if word.is_empty() => out.push_str(".PP\n"),
            0 if line.ends_with(':') => {
                let title = escape(line.trim_end_matches(':')).to_uppercase();
                let _ = writeln!(out, ".SH {title}");
            }
            1..=3 => {
                let (first, rest) = word.split_once("   ").unwrap_or((word, ""));
                let _ = writeln!(out, ".TP\n{}\n{}", escape(first), escape(rest.trim_start()));
            }
            _ => {
                let _ = writeln!(out, "{}", escape(word));
            }
        }
    }
    // A term without a text would swallow what follows it.
    out.replace("\n\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_section_and_every_flag_its_entry() {
        let page = etcdctl();
        for command in Command::find("").unwrap().children() {
            assert!(page.contains(&format!(".SS {}\n", escape(command.path))), "{}", command.path);
            for flag in command.flags {
                let entry = format!("\\-\\-{}", escape(flag.name));
                assert!(page.contains(&entry), "{} {}", command.path, flag.name);
            }
        }
        assert_eq!(escape(".a -b\\c"), "\\&.a \\-b\\ec");
    }
}
