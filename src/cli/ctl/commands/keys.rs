//! The tool itself and what works on keys.

use super::{Command, Verb, command, number, switch, text};
use crate::cli::ctl::flags::{Flag, Kind};

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
pub(in crate::cli::ctl) const STREAM: Flag =
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
pub(in crate::cli::ctl) static WATCH: &[Flag] = &[
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

/// The commands.
pub(super) static COMMANDS: &[Command] = &[
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
