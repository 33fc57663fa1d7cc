//! Members, their servers and their upkeep.

use super::{Command, Verb, command, number, switch, text};
use crate::cli::ctl::flags::Flag;
use crate::proto::etcdserverpb::downgrade_request::DowngradeAction;

static ALL_MEMBERS: &[Flag] = &[switch("cluster", "ask every member of the cluster")];

static MEMBER_ADD: &[Flag] = &[
    switch("learner", "let it receive everything and not vote"),
    text("peer-urls", "", "where the others reach it, separated by commas"),
];

static PEER_URLS: &[Flag] =
    &[text("peer-urls", "", "where the others reach it, separated by commas")];

static DEFRAG: &[Flag] = &[
    switch("cluster", "tidy every member of the cluster"),
    text("data-dir", "", "folder of a server that does not run (etcdutl works on those)"),
];

/// Flags of `snapshot restore`, which is another tool's: known, so that whoever uses them is told.
static RESTORE: &[Flag] = &[
    number("bump-revision", "by how much the revision grows"),
    text("data-dir", "", "folder to restore into"),
    text(
        "initial-advertise-peer-urls",
        "http://localhost:2380",
        "where the other members reach this one",
    ),
    text("initial-cluster", "default=http://localhost:2380", "the members to begin with"),
    text("initial-cluster-token", "etcd-cluster", "what tells clusters apart"),
    number("initial-memory-map-size", "bytes mapped at first"),
    switch("mark-compacted", "what was before the new revision counts as compacted"),
    text("name", "default", "name of this member"),
    switch("skip-hash-check", "do not compare the checksum"),
    text("wal-dir", "", "folder of the log, if it is another"),
];

/// The commands.
pub(super) static COMMANDS: &[Command] = &[
    command("alarm", "<subcommand> [flags]", "Shows and clears alarms"),
    Command {
        run: Some(Verb::AlarmDisarm),
        description: "Clears every alarm. Make room first: a server without room raises it again.",
        example: "alarm disarm",
        ..command("alarm disarm", "[flags]", "Clears all alarms")
    },
    Command {
        run: Some(Verb::AlarmList),
        example: "alarm list",
        ..command("alarm list", "[flags]", "Lists the alarms that are raised")
    },
    Command {
        flags: DEFRAG,
        run: Some(Verb::Defrag),
        description: "Gives room that deleted data took back to the file system, one server after the\n\
                      other. A server may answer nobody meanwhile.",
        example: "defrag --cluster",
        ..command("defrag", "[flags]", "Tidies the stores of the servers named by --endpoints")
    },
    command("downgrade", "<subcommand> [flags]", "Lets a cluster go back to an older version"),
    Command {
        run: Some(Verb::Downgrade(DowngradeAction::Cancel)),
        example: "downgrade cancel",
        ..command("downgrade cancel", "[flags]", "Calls a downgrade off")
    },
    Command {
        run: Some(Verb::Downgrade(DowngradeAction::Enable)),
        example: "downgrade enable 3.5",
        ..command("downgrade enable", "<TARGET_VERSION> [flags]", "Begins a downgrade")
    },
    Command {
        run: Some(Verb::Downgrade(DowngradeAction::Validate)),
        example: "downgrade validate 3.5",
        ..command(
            "downgrade validate",
            "<TARGET_VERSION> [flags]",
            "Asks whether the cluster could go back to that version",
        )
    },
    Command {
        inherited: ALL_MEMBERS,
        ..command("endpoint", "<subcommand> [flags]", "Asks the servers themselves")
    },
    Command {
        flags: &[number("rev", "revision up to which to hash; 0 is the newest")],
        run: Some(Verb::EndpointHashKv),
        description: "Members that hold the same data print the same hash for the same revision.",
        example: "endpoint hashkv --cluster --rev=1000",
        ..command("endpoint hashkv", "[flags]", "Prints a hash over the keys each server holds")
    },
    Command {
        run: Some(Verb::EndpointHealth),
        description: "Reads a key through each server. Ends with 1 when one of them cannot.",
        example: "endpoint health --cluster",
        ..command("endpoint health", "[flags]", "Tells whether each server takes requests")
    },
    Command {
        run: Some(Verb::EndpointStatus),
        description: "Prints for each server: endpoint, id, version, size of its store, whether it leads,\n\
                      whether it is a learner, term, index, applied index, and what is wrong. The\n\
                      table also tells when the certificate of a server reached by TLS expires.",
        example: "endpoint status --cluster -w table",
        ..command("endpoint status", "[flags]", "Prints how each server does")
    },
    command("member", "<subcommand> [flags]", "Shows and changes the members of the cluster"),
    Command {
        flags: MEMBER_ADD,
        run: Some(Verb::MemberAdd),
        description: "Tells the cluster about a new member and prints the settings to start it with. Start\n\
                      it soon: until then the cluster counts a member that does not answer.",
        example: "member add node4 --peer-urls=https://10.0.0.4:2380 --learner",
        ..command("member add", "<memberName> [options] [flags]", "Adds a member")
    },
    Command {
        flags: &[text(
            "consistency",
            "l",
            "l: what the cluster agrees on, s: what this member knows",
        )],
        run: Some(Verb::MemberList),
        description: "Prints for each member: id, whether it was started, name, peer URLs, client URLs,\n\
                      whether it is a learner.",
        example: "member list -w table",
        ..command("member list", "[flags]", "Lists the members")
    },
    Command {
        run: Some(Verb::MemberPromote),
        description: "A learner that has caught up begins to vote.",
        example: "member promote 8e9e05c52164694d",
        ..command("member promote", "<memberID> [flags]", "Lets a learner vote")
    },
    Command {
        run: Some(Verb::MemberRemove),
        example: "member remove 8e9e05c52164694d",
        ..command("member remove", "<memberID> [flags]", "Removes a member")
    },
    Command {
        flags: PEER_URLS,
        run: Some(Verb::MemberReplace),
        description: "Adds a member that takes the place of another, which may be dead, as soon as it has\n\
                      caught up; nothing else need be asked. Prints the settings to start it with.\n\
                      Removing the new member calls the replacement off. Other servers than this\n\
                      project's do not offer it.",
        example: "member replace 8e9e05c52164694d --peer-urls=https://10.0.0.4:2380",
        ..command(
            "member replace",
            "<memberID> [options] [flags]",
            "Puts a new member in the place of one",
        )
    },
    Command {
        flags: PEER_URLS,
        run: Some(Verb::MemberUpdate),
        example: "member update 8e9e05c52164694d --peer-urls=https://10.0.0.5:2380",
        ..command(
            "member update",
            "<memberID> [options] [flags]",
            "Changes where a member is reached",
        )
    },
    Command {
        run: Some(Verb::MoveLeader),
        description: "The leader must be among --endpoints, because only it can hand over.",
        example: "move-leader 8e9e05c52164694d --endpoints=https://10.0.0.1:2379",
        ..command("move-leader", "<transferee-member-id> [flags]", "Hands the leadership over")
    },
    command("snapshot", "<subcommand> [flags]", "Saves the data of a server"),
    Command {
        flags: RESTORE,
        run: Some(Verb::SnapshotFile),
        description: "Said here to whoever is used to it; as of etcd 3.6 it is\n\n    etcdutl snapshot restore \
                      backup.db --data-dir /var/lib/etcd",
        ..command(
            "snapshot restore",
            "<filename> [options] [flags]",
            "Restores a snapshot (etcdutl does it)",
        )
    },
    Command {
        run: Some(Verb::SnapshotSave),
        description: "Saves all data of one server into a file that only its owner may read. Until all is\n\
                      there and its checksum is right the file ends in .part.",
        example: "snapshot save backup.db",
        ..command("snapshot save", "<filename> [flags]", "Saves all data of a server into a file")
    },
    Command {
        run: Some(Verb::SnapshotFile),
        description: "Said here to whoever is used to it; as of etcd 3.6 it is\n\n    etcdutl snapshot status \
                      backup.db -w table",
        ..command("snapshot status", "<filename> [flags]", "Describes a snapshot (etcdutl does it)")
    },
];
