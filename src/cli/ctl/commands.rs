//! The table of commands: what there is and which flags each takes.

use super::flags::{Flag, Kind};
use crate::proto::etcdserverpb::downgrade_request::DowngradeAction;

mod auth;
mod cluster;
mod leases;
mod tools;

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
    PowerShell,
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

static GET: &[Flag] = &[
    text("consistency", "l", "l: linearizable, s: serializable"),
    switch("count-only", "only count the keys"),
    switch("from-key", "all keys from this one on, in byte order"),
    switch("keys-only", "leave the values out"),
    number("limit", "most results wanted"),
    number("max-create-rev", "only keys created at this revision or before"),
    number("max-mod-rev", "only keys last changed at this revision or before"),
    number("min-create-rev", "only keys created at this revision or later"),
    number("min-mod-rev", "only keys last changed at this revision or later"),
    text("order", "", "ASCEND (default) or DESCEND"),
    switch("prefix", "all keys with this prefix"),
    switch("print-value-only", "leave the keys out (simple format only)"),
    number("rev", "revision to read at"),
    text("sort-by", "", "CREATE, KEY, MODIFY, VALUE or VERSION"),
    STREAM,
];

/// Means nothing inside a transaction.
pub(super) const STREAM: Flag =
    switch("stream", "receive the keys in pieces (etcd 3.7 and this project's servers)");

static TXN: &[Flag] = &[Flag {
    name: "interactive",
    short: Some('i'),
    kind: Kind::Switch,
    default: "false",
    help: "say what is wanted next",
}];

static PUT: &[Flag] = &[
    switch("ignore-lease", "keep the lease the key has"),
    switch("ignore-value", "keep the value the key has"),
    text("lease", "0", "lease to attach, in hex"),
    switch("prev-kv", "print what was there before"),
];

static DEL: &[Flag] = &[
    switch("from-key", "all keys from this one on, in byte order"),
    switch("prefix", "all keys with this prefix"),
    switch("prev-kv", "print what was deleted"),
    switch("range", "confirm that a range is meant"),
];

/// Flags of `watch`, also inside its interactive mode.
pub(super) static WATCH: &[Flag] = &[
    Flag {
        name: "interactive",
        short: Some('i'),
        kind: Kind::Switch,
        default: "false",
        help: "read watch commands from standard input",
    },
    switch("prefix", "all keys with this prefix"),
    switch("prev-kv", "also print what was there before each event"),
    switch("progress-notify", "let the server report progress from time to time"),
    number("rev", "revision to begin with"),
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
    &[COMMANDS, leases::COMMANDS, cluster::COMMANDS, auth::COMMANDS, tools::COMMANDS];

/// The tool itself and what works on keys.
static COMMANDS: &[Command] = &[
    command("", "[flags]", "command-line client for etcd"),
    Command {
        flags: &[switch("physical", "return only when the old revisions are gone from the disk")],
        run: Some(Verb::Compaction),
        example: "compaction 1000",
        description: "Forgets what was before this revision: older ones can no longer be read or watched.\n\
                      The current value of every key stays. `endpoint status -w json` tells revisions.",
        ..command("compaction", "[options] <revision> [flags]", "Forgets old revisions")
    },
    Command {
        flags: DEL,
        run: Some(Verb::Del),
        example: "del /config/ --prefix --prev-kv",
        ..command("del", "[options] <key> [range_end] [flags]", "Deletes a key or a range of keys")
    },
    Command {
        flags: GET,
        run: Some(Verb::Get),
        example: "get /config/ --prefix --limit=10",
        ..command("get", "[options] <key> [range_end] [flags]", "Reads a key or a range of keys")
    },
    Command {
        run: Some(Verb::Help),
        example: "help member add",
        ..command("help", "[command] [flags]", "Explains a command")
    },
    Command {
        flags: PUT,
        run: Some(Verb::Put),
        example: "put /config/colour green",
        description: "Writes a key. Without a value on the command line it is read from standard input\n\
                      to the end, as in\n\n    etcdctl put key < file\n\nA value that begins with a dash \
                      goes behind two dashes:\n\n    etcdctl put key -- -1",
        ..command(
            "put",
            "[options] <key> <value> (<value> can also be given from stdin) [flags]",
            "Writes a key",
        )
    },
    Command {
        run: Some(Verb::Options),
        example: "options",
        ..command("options", "[flags]", "Lists the flags of all commands")
    },
    Command {
        flags: TXN,
        run: Some(Verb::Txn),
        example: "txn < changes",
        description: "Reads a transaction from standard input: conditions, what to do if all of them hold, and\n\
                      what to do if one does not. An empty line ends each of the three parts:\n\n    \
                      mod(\"colour\") = \"7\"\n    value(\"shape\") = \"round\"\n\n    put colour green\n    \
                      get shape\n\n    get colour\n\n\
                      A condition compares version, create, mod (revisions), value or lease (in hex) of a\n\
                      key by =, !=, < or >; key and value stand in double quotes. Changes are get, put and\n\
                      del with their flags.",
        ..command("txn", "[options] [flags]", "Makes several changes at once, under conditions")
    },
    Command {
        run: Some(Verb::Version),
        description: "Prints the release of etcd whose commands, texts and formats these are, and the version\n\
                      of the API.",
        example: "version",
        ..command("version", "[flags]", "Prints the version")
    },
    Command {
        flags: WATCH,
        run: Some(Verb::Watch),
        example: "watch /config/ --prefix -- sh -c 'echo $ETCD_WATCH_KEY'",
        ..command(
            "watch",
            "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...] [flags]",
            "Prints changes as they happen",
        )
    },
];

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
