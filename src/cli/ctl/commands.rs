//! The table of commands: what there is and which flags each takes.

use super::flags::{Flag, Kind};
use crate::proto::etcdserverpb::downgrade_request::DowngradeAction;

mod auth;
mod cluster;
mod keys;
mod leases;
mod tools;

pub(super) use keys::{STREAM, WATCH};

/// A command or a group of them.
#[derive(Debug)]
pub(super) struct Command {
    /// Its words, such as `endpoint health`.
    pub(super) path: &'static str,
    /// What stands behind the words in the usage line.
    pub(super) usage: &'static str,
    /// One line about it.
    pub(super) about: &'static str,
    /// More about it; nothing when the line says it all.
    pub(super) description: &'static str,
    /// A command line that shows it at work, without the tool's name.
    pub(super) example: &'static str,
    pub(super) flags: &'static [Flag],
    /// Flags its commands have as well.
    pub(super) inherited: &'static [Flag],
    pub(super) run: Option<Verb>,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
    Del,
    Txn,
    Compaction,
    Watch,
    Lease(LeaseVerb),
    Lock,
    Elect,
    EndpointHealth,
    EndpointStatus,
    EndpointHashKv,
    MemberList,
    MemberAdd,
    MemberRemove,
    MemberUpdate,
    MemberPromote,
    MemberReplace,
    AlarmList,
    AlarmDisarm,
    Defrag,
    MoveLeader,
    SnapshotSave,
    /// Work on snapshot files, which is another tool's.
    SnapshotFile,
    Downgrade(DowngradeAction),
    AuthEnable,
    AuthDisable,
    AuthStatus,
    User(UserVerb),
    Role(RoleVerb),
    MakeMirror,
    CheckPerf,
    CheckDatascale,
    Completion(Shell),
    Man,
    Version,
    Options,
    Help,
}

/// What is done to leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseVerb {
    Grant,
    Revoke,
    TimeToLive,
    List,
    KeepAlive,
}

/// What is done to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserVerb {
    Add,
    Delete,
    Get,
    List,
    Passwd,
    GrantRole,
    RevokeRole,
}

/// What is done to roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoleVerb {
    Add,
    Delete,
    Get,
    List,
    Grant,
    Revoke,
}

/// Shells that complete commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    /// Known and refused: it cannot be tried where this tool runs.
    Pwsh,
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind: Kind::Switch, default: "false", help }
}

const fn number(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind: Kind::Number, default: "0", help }
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind: Kind::Text, default, help }
}

const fn span(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, kind: Kind::Span, default, help }
}

/// Flags of every command, also read from `ETCDCTL_*`.
pub(super) static GLOBAL: &[Flag] = &[
    text("auth-jwt-token", "", "token to show instead of --user, of whoever has one already"),
    text("cacert", "", "CA bundle that server certificates must lead to"),
    text("cert", "", "certificate this client presents"),
    span("command-timeout", "5s", "time limit of short commands, dialling excluded"),
    switch("debug", "print the settings in effect"),
    span("dial-timeout", "2s", "time limit of one connection attempt"),
    Flag {
        name: "discovery-srv",
        short: Some('d'),
        kind: Kind::Text,
        default: "",
        help: "domain whose SRV records list the endpoints",
    },
    text("discovery-srv-name", "", "service name used in that look-up"),
    Flag {
        name: "endpoints",
        short: None,
        kind: Kind::List,
        default: "127.0.0.1:2379",
        help: "addresses of the servers",
    },
    switch("hex", "print keys and values as hex escapes"),
    Flag {
        name: "insecure-discovery",
        short: None,
        kind: Kind::Switch,
        default: "true",
        help: "accept plaintext endpoints from SRV records",
    },
    switch("insecure-skip-tls-verify", "do not verify the server (for tests only)"),
    Flag {
        name: "insecure-transport",
        short: None,
        kind: Kind::Switch,
        default: "true",
        help: "allow connections without TLS",
    },
    span("keepalive-time", "2s", "silence after which the connection is probed"),
    span("keepalive-timeout", "6s", "time to answer the probe"),
    text("key", "", "private key of --cert"),
    number("max-recv-bytes", "largest answer taken; 0 is 2 GiB"),
    number("max-request-bytes", "largest request sent; 0 is 2 MiB"),
    text("password", "", "password of --user, which is then taken whole"),
    text("user", "", "user[:password]; asks for the password if it is left out"),
    Flag {
        name: "write-out",
        short: Some('w'),
        kind: Kind::Text,
        default: "simple",
        help: "output format: fields, json, protobuf, simple or table",
    },
];

const fn command(path: &'static str, usage: &'static str, about: &'static str) -> Command {
    Command {
        path,
        usage,
        about,
        description: "",
        example: "",
        flags: &[],
        inherited: &[],
        run: None,
    }
}

/// The whole tool, in parts.
static TABLES: &[&[Command]] =
    &[keys::COMMANDS, leases::COMMANDS, cluster::COMMANDS, auth::COMMANDS, tools::COMMANDS];

/// Every command the original has, in its order: a shortened word must mean here what it means
/// there, and suggestions come in that order.
pub(super) static KNOWN: &[&str] = &[
    "get",
    "put",
    "del",
    "txn",
    "compaction",
    "alarm",
    "defrag",
    "endpoint",
    "move-leader",
    "watch",
    "version",
    "lease",
    "member",
    "snapshot",
    "make-mirror",
    "lock",
    "elect",
    "auth",
    "user",
    "role",
    "check",
    "completion",
    "downgrade",
    "options",
    "help",
];

/// Commands that need not be known to use the tool: they are found by their whole name only and no
/// list shows them.
pub(super) static HIDDEN: &[&str] = &["man"];

impl Command {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        TABLES.iter().copied().flatten()
    }

    /// The command with these words.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        Self::all().find(|command| command.path == path)
    }

    /// The group it belongs to.
    pub(super) fn parent(&self) -> Option<&'static Self> {
        let (group, _) = self.path.rsplit_once(' ')?;
        Self::find(group)
    }

    /// Its last word.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit(' ').next().unwrap_or(self.path)
    }

    /// What can be run below it, in alphabetical order.
    pub(super) fn children(&self) -> Vec<&'static Self> {
        let start = if self.path.is_empty() { String::new() } else { format!("{} ", self.path) };
        let below = |command: &&Self| {
            command.run.is_some()
                && command.path.starts_with(&start)
                && !HIDDEN.contains(&command.path)
        };
        let mut children: Vec<_> = Self::all().filter(below).collect();
        children.sort_by_key(|command| command.path);
        children
    }

    /// Every flag it takes but `--help`.
    pub(super) fn all_flags(&self) -> Vec<&'static Flag> {
        let inherited = self.parent().map_or(&[][..], |parent| parent.inherited);
        self.flags.iter().chain(self.inherited).chain(inherited).chain(GLOBAL).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_explained_with_an_example() {
        for command in Command::all() {
            // Groups show their commands, and what another tool does is shown with that tool.
            let shown = match command.run {
                None => !command.children().is_empty(),
                Some(Verb::SnapshotFile) => {
                    command.description.contains("\n\n    etcdutl snapshot ")
                }
                Some(_) => !command.example.is_empty(),
            };
            assert!(shown, "`{}` has no example", command.path);
        }
    }

    #[test]
    fn no_two_commands_share_their_words() {
        for command in Command::all() {
            let same = Command::all().filter(|other| other.path == command.path);
            assert_eq!(same.count(), 1, "{}", command.path);
        }
    }
}
