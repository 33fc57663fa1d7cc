//! The commands, their flags and their help.

use std::fmt;
use std::fmt::Write as _;

use super::args::Words;
use super::context::Context;
use super::init;
use super::report::{Refusal, Report};

/// A flag of a command.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its name without dashes.
    pub(super) name: &'static str,
    /// What its value is; a switch has none.
    pub(super) value: Option<&'static str>,
    help: &'static str,
}

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some(value), help }
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, value: None, help }
}

/// Flags every command takes.
const COMMON: &[Flag] = &[
    flag("pki-dir", "DIR", "Where certificates and keys are; /etc/etcd/pki if not given."),
    flag("output", "text|json", "How to answer."),
    switch("help", "Show this help."),
];

const FORCE: Flag = switch("force", "Replace what is there already.");
const SAN: Flag =
    flag("san", "NAME,…", "More host names and addresses the certificate is to be valid for.");
const TTL: Flag = flag("ttl", "90d", "How long it is to be valid: days, years (10y), hours (12h).");

/// One command.
pub(super) struct Command {
    /// The word that names it.
    pub(super) name: &'static str,
    words: &'static str,
    about: &'static str,
    text: &'static str,
    example: &'static str,
    flags: &'static [Flag],
    /// Whether it reads the server's configuration and so takes the server's flags.
    pub(super) takes_server_flags: bool,
    /// Does it.
    pub(super) run: fn(&Words, &Context) -> Result<Report, Refusal>,
}

impl fmt::Display for Command {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

impl Command {
    /// The flag of that name.
    pub(super) fn flag(&self, name: &str) -> Option<&'static Flag> {
        let name = if name == "h" { "help" } else { name };
        self.flags.iter().chain(COMMON).find(|flag| flag.name == name)
    }

    /// Everything a person may want to know.
    pub(super) fn help(&self) -> String {
        let mut out = format!("{}.\n\n", self.about);
        let more = if self.takes_server_flags { " [flags of the server]" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "Usage:\n\n  etcd cert {}{} [flags]{more}\n", self.name, self.words);
        let _ = writeln!(out, "{}\n", self.text);
        let _ = writeln!(out, "Example:\n\n{}\n\nFlags:\n", self.example);
        for Flag { name, value, help } in self.flags.iter().chain(COMMON) {
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            let _ = writeln!(out, "  --{name}{value}\n    {help}");
        }
        out
    }
}

/// The command of that name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What `etcd cert --help` shows.
pub(super) fn overview() -> String {
    let mut out = String::from(
        "Certificates for etcd, its members and its clients: made, checked, renewed, taken back.\n\n\
         Usage:\n\n  etcd cert COMMAND [flags]\n\nCommands:\n\n",
    );
    for command in COMMANDS {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {:13} {}.", command.name, command.about);
    }
    out.push_str(
        "\nOne directory (--pki-dir, /etc/etcd/pki if not given) holds everything:\n\n\
         \x20 ca.crt                  the root: what clients trust\n\
         \x20 client-ca.crt           signs servers and clients: what client ports trust\n\
         \x20 peer-ca.crt             signs members: what peer ports trust\n\
         \x20 client.crl, peer.crl    what was taken back\n\
         \x20 server.crt, server.key  what this machine shows to clients\n\
         \x20 peer.crt, peer.key      what it shows to other members\n\
         \x20 clients/NAME.crt, .key  what clients show\n\
         \x20 nodes/NAME/             the same for another machine, to be copied there\n\
         \x20 ca/                     keys of the authorities; nobody else may read them\n\n\
         No command replaces a file unless it says so, each may be run again, and\n\
         `etcd cert COMMAND --help` explains it. Exit codes: 0 well, 1 failed or needs attention,\n\
         2 expired (status), or a command line that makes no sense.\n",
    );
    out
}

/// In the order of the overview.
pub(super) static COMMANDS: &[Command] = &[Command {
    name: "init",
    words: "",
    about: "Makes an authority and everything one node needs",
    text: "\
Makes a root, two issuing authorities (one for servers and clients, one for members), certificates
for this machine's server and member, and one for a first client, `admin`. Names and addresses are
found: localhost, the host name, the full name, and the hosts of the server's URLs, which are taken
from the flags, the variables and the file a server would be started with; --san adds more.

What is there is kept, so it may be run again: it then continues where an earlier run stopped, or
says that nothing is missing. --force makes everything anew, authorities included, after which
nothing trusts what was issued before.",
    example: "  etcd cert init --listen-client-urls https://0.0.0.0:2379 \\
    --advertise-client-urls https://10.0.0.5:2379 --san db1.example.org",
    flags: &[
        SAN,
        TTL,
        flag("ca-ttl", "10y", "How long the authorities are to be valid."),
        flag(
            "owner",
            "USER",
            "Who is to read the keys: the user the server runs as. If not given, whoever owns the \
             directory.",
        ),
        FORCE,
    ],
    takes_server_flags: true,
    run: init::run,
}];
