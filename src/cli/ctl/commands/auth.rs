//! Users, roles and whether they matter.

use super::{Command, RoleVerb, UserVerb, Verb, command, switch, text};
use crate::cli::ctl::flags::{Flag, Kind};

const INTERACTIVE: Flag = Flag {
    name: "interactive",
    short: None,
    kind: Kind::Switch,
    default: "true",
    help: "ask on the terminal; with =false read one word from standard input",
};

static RANGE: &[Flag] = &[
    switch("from-key", "all keys from this one on, in byte order"),
    switch("prefix", "all keys with this prefix"),
];

const fn user(verb: UserVerb) -> Option<Verb> {
    Some(Verb::User(verb))
}

const fn role(verb: RoleVerb) -> Option<Verb> {
    Some(Verb::Role(verb))
}

/// The commands.
pub(super) static COMMANDS: &[Command] = &[
    command("auth", "<enable or disable> [flags]", "Turns users and roles on and off"),
    Command {
        run: Some(Verb::AuthDisable),
        example: "--user root auth disable",
        ..command("auth disable", "[flags]", "Lets everybody in")
    },
    Command {
        run: Some(Verb::AuthEnable),
        description: "From then on every request needs a user. The user root must exist; it gets the role\n\
                      root if it has not got it.",
        example: "auth enable",
        ..command("auth enable", "[flags]", "Lets only users in")
    },
    Command {
        run: Some(Verb::AuthStatus),
        example: "auth status",
        ..command("auth status", "[flags]", "Tells whether users are asked for")
    },
    command("role", "<subcommand> [flags]", "Shows and changes roles"),
    Command {
        run: role(RoleVerb::Add),
        example: "role add reader",
        ..command("role add", "<role name> [flags]", "Adds a role")
    },
    Command {
        run: role(RoleVerb::Delete),
        example: "role delete reader",
        ..command("role delete", "<role name> [flags]", "Deletes a role")
    },
    Command {
        run: role(RoleVerb::Get),
        example: "role get reader",
        ..command("role get", "<role name> [flags]", "Lists what a role may do")
    },
    Command {
        flags: RANGE,
        run: role(RoleVerb::Grant),
        example: "role grant-permission reader read /config/ --prefix",
        ..command(
            "role grant-permission",
            "[options] <role name> <permission type> <key> [endkey] [flags]",
            "Lets a role read, write or readwrite keys",
        )
    },
    Command {
        run: role(RoleVerb::List),
        example: "role list",
        ..command("role list", "[flags]", "Lists the roles")
    },
    Command {
        flags: RANGE,
        run: role(RoleVerb::Revoke),
        example: "role revoke-permission reader /config/ --prefix",
        ..command(
            "role revoke-permission",
            "<role name> <key> [endkey] [flags]",
            "Takes a permission from a role",
        )
    },
    command("user", "<subcommand> [flags]", "Shows and changes users"),
    Command {
        flags: &[
            INTERACTIVE,
            text("new-user-password", "", "the password, where others may see it"),
            switch("no-password", "let it in by its certificate only"),
        ],
        run: user(UserVerb::Add),
        example: "user add alice",
        ..command("user add", "<user name or user:password> [options] [flags]", "Adds a user")
    },
    Command {
        run: user(UserVerb::Delete),
        example: "user delete alice",
        ..command("user delete", "<user name> [flags]", "Deletes a user")
    },
    Command {
        flags: &[switch("detail", "also list what the roles may do")],
        run: user(UserVerb::Get),
        example: "user get alice --detail",
        ..command("user get", "<user name> [options] [flags]", "Lists the roles of a user")
    },
    Command {
        run: user(UserVerb::GrantRole),
        example: "user grant-role alice reader",
        ..command("user grant-role", "<user name> <role name> [flags]", "Gives a user a role")
    },
    Command {
        run: user(UserVerb::List),
        example: "user list",
        ..command("user list", "[flags]", "Lists the users")
    },
    Command {
        flags: &[INTERACTIVE],
        run: user(UserVerb::Passwd),
        example: "user passwd alice",
        ..command("user passwd", "<user name> [options] [flags]", "Changes a password")
    },
    Command {
        run: user(UserVerb::RevokeRole),
        example: "user revoke-role alice reader",
        ..command("user revoke-role", "<user name> <role name> [flags]", "Takes a role from a user")
    },
];
