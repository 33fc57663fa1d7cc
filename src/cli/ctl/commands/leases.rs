//! Leases, and what is held as long as one lives.

use super::{Command, LeaseVerb, Verb, command, switch};
use crate::cli::ctl::flags::{Flag, Kind};

const fn lease(verb: LeaseVerb) -> Option<Verb> {
    Some(Verb::Lease(verb))
}

static LOCK: &[Flag] = &[Flag {
    name: "ttl",
    short: None,
    kind: Kind::Number,
    default: "10",
    help: "seconds after which the lock of somebody who died is free",
}];

static ELECT: &[Flag] = &[Flag {
    name: "listen",
    short: Some('l'),
    kind: Kind::Switch,
    default: "false",
    help: "print who leads instead of standing",
}];

/// The commands.
pub(super) static COMMANDS: &[Command] = &[
    Command {
        flags: ELECT,
        run: Some(Verb::Elect),
        description: "Stands for an election with a proposal, waits until it wins, prints the key it won\n\
                      with, and leads until it is stopped. With -l it prints each new leader instead.",
        example: "elect scheduler host-1",
        ..command(
            "elect",
            "<election-name> [proposal] [flags]",
            "Stands for an election or watches it",
        )
    },
    command("lease", "<subcommand> [flags]", "Shows and changes leases"),
    Command {
        run: lease(LeaseVerb::Grant),
        description: "Prints the id of a new lease. Keys that `put --lease` attaches to it are deleted when it\n\
                      has not been renewed for so many seconds.",
        example: "lease grant 60",
        ..command("lease grant", "<ttl> [flags]", "Makes a lease")
    },
    Command {
        flags: &[switch("once", "renew it a single time and return")],
        run: lease(LeaseVerb::KeepAlive),
        example: "lease keep-alive 694d8e9e05c52164",
        description: "Renews a lease each third of its time, until it is stopped or the lease is gone.",
        ..command("lease keep-alive", "[options] <leaseID> [flags]", "Renews a lease")
    },
    Command {
        run: lease(LeaseVerb::List),
        example: "lease list",
        ..command("lease list", "[flags]", "Lists the leases")
    },
    Command {
        run: lease(LeaseVerb::Revoke),
        example: "lease revoke 694d8e9e05c52164",
        description: "Ends a lease at once and deletes the keys attached to it.",
        ..command("lease revoke", "<leaseID> [flags]", "Ends a lease")
    },
    Command {
        flags: &[switch("keys", "also list the keys attached to it")],
        run: lease(LeaseVerb::TimeToLive),
        example: "lease timetolive 694d8e9e05c52164 --keys",
        ..command(
            "lease timetolive",
            "<leaseID> [options] [flags]",
            "Tells how long a lease still has",
        )
    },
    Command {
        flags: LOCK,
        run: Some(Verb::Lock),
        description: "Waits for the lock. With a command it runs it while it holds the lock and ends as it\n\
                      does; without one it prints the key of the lock and holds it until it is stopped.\n\
                      The command finds the key in ETCD_LOCK_KEY and in ETCD_LOCK_REV the revision from\n\
                      which on it holds the lock. Flags of the command go behind two dashes.",
        example: "lock backup -- sh -c 'tar -cf /backup/data.tar /data'",
        ..command(
            "lock",
            "<lockname> [exec-command arg1 arg2 ...] [flags]",
            "Holds a lock, alone or for a command",
        )
    },
];
