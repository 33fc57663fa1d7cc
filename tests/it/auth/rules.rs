//! Every method of the service: what it does, what it refuses, in which order it looks.

use etcd::proto::authpb::permission::Type;

use super::ask::{Ask, Tokens, play};
use crate::compat::side_by_side;
use crate::support::session::{Session, put};

side_by_side!(users_and_roles_before_anybody_is_asked, before);
side_by_side!(users_and_roles_while_everybody_is_asked, while_enabled);
side_by_side!(tokens_live_and_end, tokens);
side_by_side!(the_revision_counts_changes_and_nothing_else, revisions);

const NOBODY: &str = "nobody";

fn said(who: &'static str, asks: Vec<Ask>) -> Vec<(&'static str, Ask)> {
    asks.into_iter().map(|ask| (who, ask)).collect()
}

async fn before(session: &mut Session) {
    let long: &'static str =
        "a password of more than seventy-two bytes, which is more than bcrypt takes in";
    let asks = vec![
        Ask::AuthStatus,
        Ask::Disable,
        Ask::Enable,
        Ask::Login("root", "pw"),
        Ask::UserAdd("", "pw"),
        Ask::UserAdd("root", "rootpw"),
        Ask::UserAdd("root", "again"),
        Ask::UserAdd("empty", ""),
        Ask::UserAdd("long", long),
        Ask::UserAddWithout("cn"),
        Ask::Enable,
        Ask::UserGet("root"),
        Ask::UserGet("missing"),
        Ask::UserList,
        Ask::UserDelete("missing"),
        Ask::Password("missing", "pw"),
        Ask::Password("cn", "pw"),
        Ask::Password("root", "other"),
        Ask::Password("root", ""),
        Ask::Password("root", long),
    ];
    play(session, &mut Tokens::default(), &said(NOBODY, asks)).await;
    play(session, &mut Tokens::default(), &said(NOBODY, roles())).await;
}

/// What comes after the users.
fn roles() -> Vec<Ask> {
    vec![
        Ask::RoleAdd(""),
        Ask::RoleAdd("r1"),
        Ask::RoleAdd("r1"),
        Ask::RoleAdd("a-role"),
        Ask::RoleGet("r1"),
        Ask::RoleGet("root"),
        Ask::RoleGet("missing"),
        Ask::RoleList,
        Ask::RoleDelete("missing"),
        Ask::AllowNothing("r1"),
        Ask::AllowNothing("missing"),
        Ask::Allow("missing", Type::Read, "a", ""),
        Ask::Allow("missing", Type::Read, "", ""),
        Ask::Allow("r1", Type::Read, "", "\0"),
        Ask::Allow("r1", Type::Read, "b", "a"),
        Ask::Allow("r1", Type::Read, "b", "b"),
        Ask::Allow("r1", Type::Read, "m", "n"),
        Ask::Allow("r1", Type::Read, "a", ""),
        Ask::Allow("r1", Type::Write, "a", ""),
        Ask::Allow("r1", Type::Readwrite, "x", "\0"),
        Ask::RoleGet("r1"),
        Ask::Forbid("missing", "a", ""),
        Ask::Forbid("r1", "a", "b"),
        Ask::Forbid("r1", "m", "n"),
        Ask::Forbid("r1", "m", "n"),
        Ask::RoleGet("r1"),
        Ask::Grant("missing", "r1"),
        Ask::Grant("root", "missing"),
        Ask::Grant("missing", "missing"),
        Ask::Grant("root", "root"),
        Ask::Grant("root", "r1"),
        Ask::Grant("root", "r1"),
        Ask::Grant("root", "a-role"),
        Ask::UserGet("root"),
        Ask::Revoke("missing", "r1"),
        Ask::Revoke("root", "missing"),
        Ask::Revoke("root", "r1"),
        Ask::RoleDelete("a-role"),
        Ask::UserGet("root"),
        Ask::Revoke("root", "root"),
        Ask::Enable,
        Ask::UserDelete("cn"),
        Ask::UserDelete("root"),
        Ask::UserList,
        Ask::AuthStatus,
    ]
}

fn prepared() -> Vec<(&'static str, Ask)> {
    said(
        NOBODY,
        vec![
            Ask::UserAdd("root", "rootpw"),
            Ask::Grant("root", "root"),
            Ask::UserAdd("alice", "pw"),
            Ask::RoleAdd("r1"),
            Ask::Allow("r1", Type::Readwrite, "k", "l"),
            Ask::Grant("alice", "r1"),
            Ask::UserAddWithout("cn"),
            Ask::Enable,
        ],
    )
}

async fn while_enabled(session: &mut Session) {
    let mut tokens = Tokens::default();
    play(session, &mut tokens, &prepared()).await;
    let logins = vec![
        Ask::Login("root", "wrong"),
        Ask::Login("missing", "pw"),
        Ask::Login("cn", ""),
        Ask::Login("cn", "pw"),
        Ask::Login("", ""),
        Ask::Login("root", "rootpw"),
        Ask::Login("alice", "pw"),
    ];
    play(session, &mut tokens, &said(NOBODY, logins)).await;
    let asks = [
        Ask::AuthStatus,
        Ask::Enable,
        Ask::UserList,
        Ask::RoleList,
        Ask::UserGet("alice"),
        Ask::UserGet("root"),
        Ask::UserGet("missing"),
        Ask::RoleGet("r1"),
        Ask::RoleGet("root"),
        Ask::RoleGet("missing"),
        Ask::UserAdd("bob", "pw"),
        Ask::UserAdd("", "pw"),
        Ask::UserDelete("root"),
        Ask::UserDelete("missing"),
        Ask::Password("alice", "pw"),
        Ask::Grant("alice", "missing"),
        Ask::Revoke("root", "root"),
        Ask::RoleAdd("r2"),
        Ask::RoleAdd(""),
        Ask::RoleDelete("root"),
        Ask::RoleDelete("r2"),
        Ask::AllowNothing("r1"),
        Ask::Allow("r1", Type::Read, "z", ""),
        Ask::Forbid("r1", "z", ""),
        Ask::MemberAdd("http://127.0.0.1:1"),
        Ask::MemberRemove,
        Ask::MemberUpdate("http://127.0.0.1:1"),
        Ask::MemberPromote,
        Ask::MemberList,
        Ask::Defragment,
        Ask::HashKv,
        Ask::Status,
        Ask::Alarms,
        Ask::Leases,
        Ask::Disable,
    ];
    // `alice` needs a new token each time her password is set, so that comes last.
    for who in [NOBODY, "no-token", "no.token", "alice"] {
        play(session, &mut tokens, &said(who, asks.to_vec())).await;
    }
    let all_but_adding = asks
        .iter()
        .filter(|ask| !matches!(ask, Ask::MemberAdd(_) | Ask::HashKv | Ask::Disable | Ask::Leases));
    play(session, &mut tokens, &said("root", all_but_adding.cloned().collect())).await;
    play(session, &mut tokens, &said("root", vec![Ask::Disable, Ask::Disable])).await;
    play(session, &mut tokens, &said("anything", vec![Ask::UserList, Ask::Get("k", "")])).await;
}

async fn tokens(session: &mut Session) {
    let mut tokens = Tokens::default();
    play(session, &mut tokens, &prepared()).await;
    let steps = vec![
        (NOBODY, Ask::Login("root", "rootpw")),
        (NOBODY, Ask::Login("alice", "pw")),
        ("alice", Ask::Put(put("k", "1"))),
        ("alice", Ask::Get("k", "")),
        ("alice", Ask::GetLocal("k", "")),
        // Changes of others leave a simple token as it is.
        ("root", Ask::UserAdd("bob", "pw")),
        ("alice", Ask::Get("k", "")),
        ("root", Ask::Password("alice", "new")),
        ("alice", Ask::Get("k", "")),
        ("alice", Ask::Put(put("k", "2"))),
        (NOBODY, Ask::Login("alice", "pw")),
        (NOBODY, Ask::Login("alice", "new")),
        ("alice", Ask::Get("k", "")),
        ("root", Ask::Revoke("alice", "r1")),
        ("alice", Ask::Get("k", "")),
        ("root", Ask::Grant("alice", "r1")),
        ("alice", Ask::Get("k", "")),
        ("root", Ask::RoleDelete("r1")),
        ("alice", Ask::Get("k", "")),
        ("root", Ask::Password("alice", "")),
        (NOBODY, Ask::Login("alice", "")),
        (NOBODY, Ask::Login("alice", "new")),
        (NOBODY, Ask::Login("bob", "pw")),
        ("root", Ask::UserDelete("bob")),
        ("bob", Ask::Get("k", "")),
        ("bob", Ask::UserGet("bob")),
        ("root", Ask::UserAdd("bob", "pw")),
        ("bob", Ask::Get("k", "")),
        ("root", Ask::Disable),
        (NOBODY, Ask::Enable),
        ("root", Ask::UserList),
        ("AAAAAAAAAAAAAAAA.1", Ask::UserList),
        ("AAAAAAAAAAAAAAAA.x", Ask::UserList),
        ("AAAAAAAAAAAAAAAA.-1", Ask::UserList),
    ];
    play(session, &mut tokens, &steps).await;
}

async fn revisions(session: &mut Session) {
    let changes = vec![
        Ask::UserAdd("root", "pw"),
        Ask::UserAdd("root", "pw"),
        Ask::RoleAdd("r"),
        Ask::Grant("root", "root"),
        Ask::Grant("root", "root"),
        Ask::Grant("root", "r"),
        Ask::Allow("r", Type::Read, "a", ""),
        Ask::Allow("r", Type::Read, "a", ""),
        Ask::Forbid("r", "a", ""),
        Ask::Forbid("r", "a", ""),
        Ask::Revoke("root", "r"),
        Ask::Password("root", "other"),
        Ask::Enable,
    ];
    let mut tokens = Tokens::default();
    for change in changes {
        play(session, &mut tokens, &said(NOBODY, vec![change, Ask::AuthStatus])).await;
    }
    let last = vec![
        Ask::Login("root", "other"),
        Ask::AuthStatus,
        Ask::RoleDelete("r"),
        Ask::AuthStatus,
        Ask::Enable,
        Ask::AuthStatus,
        Ask::Disable,
    ];
    play(session, &mut tokens, &said("root", last)).await;
    play(
        session,
        &mut tokens,
        &said(NOBODY, vec![Ask::AuthStatus, Ask::UserDelete("root"), Ask::AuthStatus]),
    )
    .await;
}
