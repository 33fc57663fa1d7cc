//! What the runner plays. A table of lines is one line in a list below.

mod keys;
mod members;
mod users;

use super::script::{Keep, Order, Table};

/// Members, whose ids have a time in them.
const MEMBERS: Table = Table {
    keeps: Some(Keep { command: "member add", name: "NEW", before: "Member " }),
    order: Order::ByMember,
    ..Table::SCRIPT
};

/// Played in this order on servers that are fresh before the first.
pub(super) const SCRIPTS: &[Table] = &[
    Table { name: "keys", lines: keys::KEYS, ..Table::SCRIPT },
    Table {
        name: "users",
        lines: users::USERS,
        apart: Some("ours has no users and roles yet"),
        ..Table::SCRIPT
    },
    Table { name: "members", lines: members::MEMBERS, ..MEMBERS },
];

/// Asked of a running server by both programs, one right after the other.
pub(super) const QUESTIONS: &[Table] =
    &[Table { name: "questions", lines: members::QUESTIONS, ..Table::SCRIPT }];

/// Played by the original on both servers, because ours does not have the commands yet.
pub(super) const ORIGINAL: &[Table] =
    &[Table { name: "later", lines: keys::LATER, ..Table::SCRIPT }];

/// Played over mutual TLS as well.
pub(super) const ENCRYPTED: &[Table] =
    &[Table { name: "keys over TLS", lines: keys::KEYS, ..Table::SCRIPT }];
