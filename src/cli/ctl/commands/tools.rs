//! What is not about one request: copies, measurements, shells.

use super::{Command, Shell, Verb, command, number, span, switch, text};
use crate::cli::ctl::flags::{Flag, Kind};

static MIRROR: &[Flag] = &[
    text("dest-cacert", "", "CA bundle that the destination's certificates must lead to"),
    text("dest-cert", "", "certificate shown to the destination"),
    Flag {
        name: "dest-insecure-transport",
        short: None,
        kind: Kind::Switch,
        default: "true",
        help: "allow a connection to the destination without TLS",
    },
    text("dest-key", "", "private key of --dest-cert"),
    text("dest-password", "", "password of --dest-user, which is then taken whole"),
    text("dest-prefix", "", "what the prefix becomes in the destination"),
    text("dest-user", "", "user[:password] of the destination; asks if it is left out"),
    Flag {
        name: "max-txn-ops",
        short: None,
        kind: Kind::Number,
        default: "128",
        help: "most changes sent in one transaction",
    },
    switch("no-dest-prefix", "leave the prefix out in the destination"),
    text("prefix", "", "copy only keys with this prefix"),
    number("rev", "begin with the changes of this revision instead of a copy of all keys"),
];

const LOAD: Flag = text("load", "s", "s, m, l or xl (small, medium, large, xLarge)");
const COMPACT: Flag = switch("auto-compact", "forget the history of the test when it is over");
const DEFRAG: Flag = switch("auto-defrag", "tidy the stores when it is over");

static PERF: &[Flag] = &[
    COMPACT,
    DEFRAG,
    span("duration", "1m0s", "how long to write"),
    LOAD,
    text("prefix", "/etcdctl-check-perf/", "prefix of the keys written"),
];

static DATASCALE: &[Flag] = &[
    COMPACT,
    DEFRAG,
    LOAD,
    text("prefix", "/etcdctl-check-datascale/", "prefix of the keys written"),
];

static COMPLETION: &[Flag] = &[switch("no-descriptions", "offer names alone")];

/// The commands.
pub(super) static COMMANDS: &[Command] = &[
    command("check", "<subcommand> [flags]", "Measures a cluster"),
    Command {
        flags: DATASCALE,
        run: Some(Verb::CheckDatascale),
        description: "Writes many keys, removes them again and tells by how much the server's memory grew:\n\
                      10000 pairs of 1 kB with s, 100000 with m, a million with l, three with xl.\n\
                      Needs one endpoint, which must serve /metrics.",
        example: "check datascale --load=m --auto-compact --auto-defrag",
        ..command("check datascale", "[options] [flags]", "Tells how much memory data takes")
    },
    Command {
        flags: PERF,
        run: Some(Verb::CheckPerf),
        description: "Writes at a fixed rate for a minute, removes what was written and tells whether the\n\
                      cluster kept up: 150 writes/s with s, 1000 with m, 8000 with l, 15000 with xl.\n\
                      Ends with 1 if it did not.",
        example: "check perf --load=m --auto-compact --auto-defrag",
        ..command("check perf", "[options] [flags]", "Tells whether a cluster is fast enough")
    },
    command("completion", "[flags]", "Prints what lets a shell complete commands"),
    Command {
        flags: COMPLETION,
        run: Some(Verb::Completion(Shell::Bash)),
        description: "To have it in every new shell:\n\n    etcdctl completion bash > \
                      /etc/bash_completion.d/etcdctl",
        example: "completion bash > ~/.local/share/bash-completion/completions/etcdctl",
        ..command("completion bash", "", "Completion for bash")
    },
    Command {
        flags: COMPLETION,
        run: Some(Verb::Completion(Shell::Fish)),
        example: "completion fish > ~/.config/fish/completions/etcdctl.fish",
        ..command("completion fish", "[flags]", "Completion for fish")
    },
    Command {
        flags: COMPLETION,
        run: Some(Verb::Completion(Shell::Pwsh)),
        example: "completion bash",
        ..command("completion powershell", "[flags]", "Not offered: this tool is for Linux")
    },
    Command {
        flags: COMPLETION,
        run: Some(Verb::Completion(Shell::Zsh)),
        description: "The file must lie in a folder of $fpath.",
        example: "completion zsh > /usr/share/zsh/site-functions/_etcdctl",
        ..command("completion zsh", "[flags]", "Completion for zsh")
    },
    Command {
        flags: MIRROR,
        run: Some(Verb::MakeMirror),
        description: "Copies all keys and then every change, until it is stopped. Prints how many keys it\n\
                      has copied every 30 seconds. Leases are not copied.",
        example: "make-mirror --prefix=/config/ https://10.0.1.1:2379 --dest-cacert=other.crt",
        ..command(
            "make-mirror",
            "[options] <destination> [flags]",
            "Keeps a copy in another cluster",
        )
    },
    Command {
        run: Some(Verb::Man),
        description: "Writes the manual pages of etcd, etcdctl and etcdutl into a folder, or that of etcdctl\n\
                      to standard output.",
        example: "man /usr/share/man/man1",
        ..command("man", "[folder] [flags]", "Writes manual pages")
    },
];
