//! Users and roles as state: what is stored, sent and hashed, and who is let through when entries are
//! applied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::{Store, delete, entry, op_put, op_txn, put, then};
use super::transfer::receive;
use crate::proto::authpb::permission::Type;
use crate::proto::authpb::{Permission, UserAddOptions};
use crate::proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest,
    AuthRoleGrantPermissionRequest, AuthUserAddRequest, AuthUserChangePasswordRequest,
    AuthUserDeleteRequest, AuthUserGrantRoleRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
};
use crate::proto::internal::request::Op;
use crate::proto::internal::{Authenticate, ProposalBatch, Request};
use crate::state::auth::Caller;
use crate::state::{ApplyError, Demand, Entry, Payload, Response};
use crate::storage::engine::Space;

fn add_user(name: &str) -> Op {
    let hashed_password = STANDARD.encode(format!("hash of {name}"));
    Op::UserAdd(AuthUserAddRequest { name: name.into(), hashed_password, ..Default::default() })
}

fn grant_role(user: &str, role: &str) -> Op {
    Op::UserGrantRole(AuthUserGrantRoleRequest { user: user.into(), role: role.into() })
}

fn allow(role: &str, kind: Type, key: &'static str, end: &'static str) -> Op {
    let perm = Permission { perm_type: kind as i32, key: key.into(), range_end: end.into() };
    Op::RoleGrantPermission(AuthRoleGrantPermissionRequest { name: role.into(), perm: Some(perm) })
}

fn authenticate(name: &str) -> Op {
    Op::Authenticate(Authenticate { name: name.into(), token: "letters".into() })
}

/// Root, and alice with a role for what begins with `a`.
fn users() -> Vec<Op> {
    vec![
        add_user("root"),
        grant_role("root", "root"),
        Op::RoleAdd(AuthRoleAddRequest { name: "a".into() }),
        allow("a", Type::Readwrite, "a", "b"),
        add_user("alice"),
        grant_role("alice", "a"),
    ]
}

fn enable() -> Op {
    Op::AuthEnable(AuthEnableRequest {})
}

/// A store that asks everybody.
fn asking() -> Store {
    let mut store = Store::new();
    for op in users().into_iter().chain([enable()]) {
        assert_eq!(store.run(op).result, Ok(Response::Done));
    }
    store
}

impl Store {
    fn ask(&mut self, caller: &Caller, op: Op) -> Result<Response, ApplyError> {
        self.index += 1;
        let mut request = Request { op: Some(op), ..Request::default() };
        caller.sign(&mut request);
        let batch = ProposalBatch { origin: 1, id: self.index, requests: vec![request] };
        let Entry { log_id, index, .. } = entry(self.index, vec![]);
        let entry = Entry { log_id, index, payload: Payload::Batch(batch.into()) };
        self.machine.apply(vec![entry]).unwrap().pop().unwrap().unwrap().pop().unwrap().result
    }
}

fn user(store: &Store, name: &str) -> Caller {
    Caller::User { name: name.into(), revision: store.reader.auth().revision() }
}

/// Everything there is to see of users and roles.
fn look(store: &Store) -> String {
    let auth = store.reader.auth();
    let users: Vec<_> = auth.users().map(|name| auth.user(name).unwrap().clone()).collect();
    let hashes: Vec<_> = users.iter().map(|user| user.password.clone()).collect();
    let roles: Vec<_> = auth.roles().map(|name| auth.role(name).unwrap().clone()).collect();
    let (enabled, revision) = (auth.is_enabled(), auth.revision());
    format!("{enabled} {revision} {users:?} {hashes:?} {roles:?} {:?}", store.reader.applied_hash())
}

#[test]
fn users_survive_restarts_and_come_with_the_whole_state() {
    let mut store = Store::member();
    for op in users() {
        store.run(op).result.unwrap();
    }
    let mut others = vec![look(&store)];
    store.run(enable()).result.unwrap();
    others.push(look(&store));
    assert_ne!(others[0], others[1]);
    let seen = look(&store);
    let store = store.reopen();
    assert_eq!(look(&store), seen);
    let store = store.restart();
    assert_eq!(look(&store), seen);
    let mut other = Store::member();
    other.options.tokens.issue("root", "old.1".into());
    let received = receive(&other, &store);
    other.machine.adopt(received).unwrap();
    assert_eq!(look(&other), seen);
    assert_eq!(other.options.tokens.user_of("old.1"), None, "it may be nobody's any more");
}

#[test]
fn the_hash_over_everything_sees_each_change_and_not_how_they_were_batched() {
    let mut ops = users();
    ops.extend([
        enable(),
        Op::UserChangePassword(AuthUserChangePasswordRequest {
            name: "alice".into(),
            hashed_password: STANDARD.encode("other"),
            ..Default::default()
        }),
    ]);
    let root = |op| Request { op: Some(op), internal: true, ..Request::default() };
    let entries: Vec<Entry> = ops
        .into_iter()
        .zip(1..)
        .map(|(op, index)| {
            let batch = ProposalBatch { origin: 1, id: index, requests: vec![root(op)] };
            Entry { payload: Payload::Batch(batch.into()), ..entry(index, vec![]) }
        })
        .collect();
    let (mut single, mut whole) = (Store::new(), Store::new());
    let mut hashes = vec![single.reader.applied_hash().hash];
    for one in &entries {
        single.machine.apply(vec![one.clone()]).unwrap();
        hashes.push(single.reader.applied_hash().hash);
    }
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]), "{hashes:?}");
    whole.machine.apply(entries).unwrap();
    assert_eq!(look(&whole), look(&single));
    // As in etcd they are no part of the hash over keys.
    let empty = Store::new().reader.hash_kv(0).unwrap().hash;
    assert_eq!(single.reader.hash_kv(0).unwrap().hash, empty);
}

#[test]
fn a_damaged_user_is_refused_at_the_start() {
    for (key, value) in [("u/x", "\u{1}"), ("u/other", ""), ("revision", "1"), ("odd", "")] {
        let refused = Store::new().changed(|engine| {
            let mut batch = engine.batch();
            batch.put(Space::Auth, key.as_bytes(), value.as_bytes());
            batch.commit().unwrap();
        });
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("a user or a role"), "{key}: {text}");
    }
}

#[test]
fn entries_are_judged_when_they_are_applied() {
    let mut store = asking();
    let alice = user(&store, "alice");
    let put_a = || Op::Put(put("a1", "v"));
    let put_b = || Op::Put(put("b1", "v"));
    assert!(store.ask(&alice, put_a()).is_ok());
    assert_eq!(store.ask(&alice, put_b()), Err(ApplyError::PermissionDenied));
    assert_eq!(store.ask(&Caller::Nobody, put_a()), Err(ApplyError::UserEmpty));
    let unknown = user(&store, "nobody");
    assert_eq!(store.ask(&unknown, put_a()), Err(ApplyError::PermissionDenied));
    assert!(store.ask(&Caller::Member, put_b()).is_ok());
    assert!(store.ask(&user(&store, "root"), put_b()).is_ok());
    // What was asked before a change and is applied after it.
    let root = user(&store, "root");
    store.ask(&root, add_user("bob")).unwrap();
    assert_eq!(store.ask(&alice, put_a()), Err(ApplyError::AuthOldRevision));
    assert_eq!(store.ask(&root, put_a()), Err(ApplyError::AuthOldRevision));
    // A refusal changes nothing.
    let before = (store.reader.revision(), look(&store));
    let alice = user(&store, "alice");
    for op in [
        put_b(),
        Op::DeleteRange(delete("a", "c")),
        Op::Txn(then(vec![op_put(put("a1", "x")), op_txn(then(vec![op_put(put("b1", "x"))]))])),
        add_user("eve"),
        Op::AuthDisable(AuthDisableRequest {}),
        Op::RoleDelete(AuthRoleDeleteRequest { role: "a".into() }),
        allow("a", Type::Readwrite, "b", "\0"),
        grant_role("alice", "root"),
    ] {
        assert_eq!(store.ask(&alice, op), Err(ApplyError::PermissionDenied));
    }
    let (revision, seen) = before;
    assert_eq!(store.reader.revision(), revision);
    let without_hash = |text: &str| text.split(" AppliedHash").next().unwrap().to_owned();
    assert_eq!(without_hash(&look(&store)), without_hash(&seen));
}

#[test]
fn rights_follow_users_and_roles() {
    let mut store = asking();
    let may = |store: &Store, key: &str, end: &str| {
        let caller = user(store, "alice");
        let demand = Demand::Read { key: key.as_bytes(), range_end: end.as_bytes() };
        store.reader.authorize(&caller, demand).is_ok()
    };
    assert!(may(&store, "a", "b") && !may(&store, "a", "c"));
    let root = user(&store, "root");
    store.ask(&root, allow("a", Type::Read, "b", "c")).unwrap();
    assert!(may(&store, "a", "c"), "a role that is held has more");
    store.ask(&root, allow("a", Type::Write, "b", "c")).unwrap();
    assert!(!may(&store, "a", "c"), "the grant became another");
    store.ask(&root, Op::RoleAdd(AuthRoleAddRequest { name: "b".into() })).unwrap();
    store.ask(&root, allow("b", Type::Read, "b", "\0")).unwrap();
    assert!(!may(&store, "z", ""));
    store.ask(&root, grant_role("alice", "b")).unwrap();
    assert!(may(&store, "a", "\0"), "two roles together");
    store.ask(&root, Op::RoleDelete(AuthRoleDeleteRequest { role: "a".into() })).unwrap();
    assert!(!may(&store, "a", "") && may(&store, "b", ""));
    let store = store.reopen();
    assert!(!may(&store, "a", "") && may(&store, "b", ""));
}

#[test]
fn leases_are_for_who_may_write_all_keys_on_them() {
    let mut store = asking();
    store.grant(5);
    let root = user(&store, "root");
    let hang = |key: &str| Op::Put(PutRequest { lease: 5, ..put(key, "v") });
    store.ask(&root, hang("a1")).unwrap();
    let alice = user(&store, "alice");
    store.ask(&alice, hang("a2")).unwrap();
    assert!(
        store.reader.authorize(&alice, Demand::LeaseKeys(crate::types::ids::LeaseId(5))).is_ok()
    );
    store.ask(&root, hang("b1")).unwrap();
    assert_eq!(store.ask(&alice, hang("a3")), Err(ApplyError::PermissionDenied));
    let nested =
        Op::Txn(then(vec![op_txn(then(vec![op_put(PutRequest { lease: 5, ..put("a3", "v") })]))]));
    assert_eq!(store.ask(&alice, nested), Err(ApplyError::PermissionDenied));
    let revoke = || Op::LeaseRevoke(LeaseRevokeRequest { id: 5 });
    assert_eq!(store.ask(&alice, revoke()), Err(ApplyError::PermissionDenied));
    assert_eq!(store.ask(&Caller::Nobody, revoke()), Err(ApplyError::UserEmpty));
    // One that runs out is ended by a member.
    assert!(store.ask(&Caller::Member, revoke()).is_ok());
    assert_eq!(
        store.reader.range(&RangeRequest { key: "b1".into(), ..Default::default() }).unwrap().count,
        0
    );
}

#[test]
fn tokens_begin_and_end_with_entries() {
    let mut store = asking();
    let tokens = std::sync::Arc::clone(&store.options.tokens);
    let answer = store.ask(&Caller::Nobody, authenticate("alice")).unwrap();
    let Response::Authenticate(issued) = answer else { panic!("{answer:?}") };
    assert_eq!(issued.0, format!("letters.{}", store.index));
    assert!(!format!("{issued:?}").contains("letters"));
    assert_eq!(tokens.user_of(&issued.0).as_deref(), Some("alice"));
    assert_eq!(store.ask(&Caller::Nobody, authenticate("eve")), Err(ApplyError::AuthFailed));
    let root = user(&store, "root");
    let options = Some(UserAddOptions { no_password: true });
    let without = AuthUserAddRequest { name: "cn".into(), options, ..Default::default() };
    store.ask(&root, Op::UserAdd(without)).unwrap();
    assert_eq!(store.ask(&Caller::Nobody, authenticate("cn")), Err(ApplyError::AuthFailed));
    let gone = AuthUserDeleteRequest { name: "alice".into() };
    store.ask(&root, Op::UserDelete(gone)).unwrap();
    assert_eq!(tokens.user_of(&issued.0), None);
    let answer = store.ask(&Caller::Nobody, authenticate("root")).unwrap();
    let Response::Authenticate(issued) = answer else { panic!("{answer:?}") };
    store.ask(&root, Op::AuthDisable(AuthDisableRequest {})).unwrap();
    assert_eq!(tokens.user_of(&issued.0), None);
    assert_eq!(store.ask(&Caller::Nobody, authenticate("root")), Err(ApplyError::AuthNotEnabled));
}

#[test]
fn users_cannot_take_all_memory() {
    let mut store = Store::new();
    let name = |number: usize| format!("{number:04}{}", "n".repeat(32_000));
    let long = "n".repeat(70_000);
    assert_eq!(store.run(add_user(&long)).result, Err(ApplyError::NameTooLong));
    let role = Op::RoleAdd(AuthRoleAddRequest { name: long });
    assert_eq!(store.run(role).result, Err(ApplyError::NameTooLong));
    let mut added = 0;
    let refused = loop {
        match store.run(add_user(&name(added))).result {
            Ok(_) => added += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, ApplyError::TooManyUsers);
    // The name is there three times: in the key, in the record and in what stands for a hash.
    assert!((300..400).contains(&added), "{added}");
    let gone = AuthUserDeleteRequest { name: name(0) };
    store.run(Op::UserDelete(gone)).result.unwrap();
    assert!(store.run(add_user(&name(0))).result.is_ok(), "room that was given back");
    let mut store = store.reopen();
    assert_eq!(store.run(add_user(&name(9999))).result, Err(ApplyError::TooManyUsers));
}
