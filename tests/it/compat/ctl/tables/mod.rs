//! What the runner plays. A table is one line in a group below.

mod keys;
mod members;
mod users;

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

/// Users and roles.
const USERS: Table = Table { apart: Some("ours has no users and roles yet"), ..SCRIPT };

/// Each group is played in its order, on servers that are fresh before its first line.
pub(super) const GROUPS: &[&[Table]] = &[
    &[
        Table { name: "keys", lines: keys::KEYS, ..SCRIPT },
        Table { name: "more", lines: keys::MORE, ..SCRIPT },
        Table { name: "users", lines: users::USERS, ..USERS },
        Table { name: "members", lines: members::MEMBERS, ..MEMBERS },
    ],
    &[Table { name: "transactions", lines: ctl_keys::TRANSACTIONS, ..SCRIPT }],
    &[
        Table { name: "compactions", lines: ctl_keys::COMPACTIONS, ..SCRIPT },
        Table { name: "elections", lines: ctl_leases::ELECTIONS, ..SCRIPT },
        Table { name: "leases", lines: ctl_leases::LEASES, ..LEASES },
    ],
];

/// Asked of a running server by both programs, one right after the other.
pub(super) const QUESTIONS: &[Table] =
    &[Table { name: "questions", lines: members::QUESTIONS, ..SCRIPT }];

/// Played over mutual TLS as well.
pub(super) const ENCRYPTED: &[Table] =
    &[Table { name: "keys over TLS", lines: keys::KEYS, ..SCRIPT }];
