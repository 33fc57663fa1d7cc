//! What the runner plays. A table is one line in a group below.

mod forms;
mod help;
mod keys;
mod members;
mod tools;
mod users;
mod watches;

use super::script::{Keep, Order, Table};
use crate::compat::{ctl_keys, ctl_leases};

const SCRIPT: Table = Table::SCRIPT;

/// Members, whose ids have a time in them.
const MEMBERS: Table = Table {
    keeps: Some(Keep { command: "member add", name: "NEW", before: "Member " }),
    order: Order::ByMember,
    apart: Some("etcd's answer to an update forgets that the member is a learner"),
    ..SCRIPT
};

/// Leases, whose ids are chosen by the server.
const LEASES: Table = Table {
    keeps: Some(Keep { command: "lease grant", name: "LEASE", before: "lease " }),
    ..SCRIPT
};

/// Copies of all data.
const SNAPSHOTS: Table = Table { apart: Some("ours sends no snapshots yet"), ..SCRIPT };

/// Each group is played in its order, on servers that are fresh before its first line.
pub(super) const GROUPS: &[&[Table]] = &[
    &[
        Table { name: "keys", lines: keys::KEYS, ..SCRIPT },
        Table { name: "more", lines: keys::MORE, ..SCRIPT },
        Table { name: "users", lines: users::USERS, ..SCRIPT },
        Table { name: "members", lines: members::MEMBERS, ..MEMBERS },
    ],
    &[Table { name: "transactions", lines: ctl_keys::TRANSACTIONS, ..SCRIPT }],
    &[
        Table { name: "compactions", lines: ctl_keys::COMPACTIONS, ..SCRIPT },
        Table { name: "elections", lines: ctl_leases::ELECTIONS, ..SCRIPT },
        Table { name: "leases", lines: ctl_leases::LEASES, ..LEASES },
    ],
    &[
        Table { name: "forms", lines: forms::FORMS, ..SCRIPT },
        Table { name: "settings", lines: forms::SETTINGS, ..SCRIPT },
        Table { name: "help", lines: help::HELP, ..SCRIPT },
        Table { name: "tools", lines: tools::TOOLS, ..SCRIPT },
        Table { name: "snapshots", lines: tools::SNAPSHOTS, ..SNAPSHOTS },
    ],
    &[Table { name: "watches", lines: watches::WATCHES, ..SCRIPT }],
    &[Table { name: "protobuf", lines: tools::PROTOBUF, ..SCRIPT }],
];

/// Played on servers with hardly any room.
pub(super) const CRAMPED: &[Table] = &[Table { name: "alarms", lines: tools::ALARMS, ..SCRIPT }];

/// Asked of a running server with hardly any room.
pub(super) const ALARMED: &Table = &Table { name: "alarmed", lines: tools::ALARMED, ..SCRIPT };

/// Asked of a running server by both programs, one right after the other.
pub(super) const QUESTIONS: &[Table] =
    &[Table { name: "questions", lines: members::QUESTIONS, ..SCRIPT }];

/// Played over mutual TLS as well.
pub(super) const ENCRYPTED: &[Table] =
    &[Table { name: "keys over TLS", lines: keys::KEYS, ..SCRIPT }];
