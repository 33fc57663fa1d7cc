//! `auth`, `user` and `role`.

use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::commands::{RoleVerb, UserVerb, Verb};
use super::failure::{Exit, Failure, describe};
use super::flags::{Parsed, Values};
use super::print::auth as print;
use super::session::{Environment, Session, ask_secret};
use super::show;
use crate::proto::authpb::permission::Type;
use crate::proto::authpb::{Permission, UserAddOptions};
use crate::proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest,
    AuthRoleGetRequest, AuthRoleGrantPermissionRequest, AuthRoleListRequest,
    AuthRoleRevokePermissionRequest, AuthStatusRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest, ResponseHeader,
};
use crate::types::range::{UNBOUNDED, prefix_end};

/// The user that may do everything, and its role.
const ROOT: &str = "root";
const NO_ROOT_ROLE: &str = "etcdserver: root user does not have root role";
const ROLE_EXISTS: &str = "etcdserver: role name already exists";

/// `auth enable`, `auth disable`, `auth status`.
pub(super) async fn auth(
    verb: Verb,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let name = match verb {
        Verb::AuthEnable => "enable",
        Verb::AuthDisable => "disable",
        _ => "status",
    };
    if !parsed.arguments.is_empty() {
        let text = format!("auth {name} command does not accept any arguments");
        return Err(Failure::bad_args(text));
    }
    let session = Session::open(&mut parsed.values, environment).await?;
    match verb {
        Verb::AuthEnable => {
            enable(&session).await?;
            show(b"Authentication Enabled\n")
        }
        Verb::AuthDisable => {
            session.ask(session.client.auth().auth_disable(AuthDisableRequest {})).await?;
            show(b"Authentication Disabled\n")
        }
        _ => {
            let request = AuthStatusRequest {};
            let answer = session.ask(session.client.auth().auth_status(request)).await?;
            show(&print::status(session.format, &answer)?)
        }
    }
}

/// Enables; if the user root has not got its role, gives it first.
async fn enable(session: &Session) -> Result<(), Failure> {
    let client = &session.client;
    let try_it =
        || session.call(client, async { client.auth().auth_enable(AuthEnableRequest {}).await });
    let refused = |status: Status| Failure::new(Exit::Error, describe(&status));
    match try_it().await {
        Ok(_) => return Ok(()),
        Err(status) if status.message() == NO_ROOT_ROLE => {}
        Err(status) => return Err(refused(status)),
    }
    let role = AuthRoleAddRequest { name: ROOT.to_owned() };
    match session.call(client, client.auth().role_add(role)).await {
        Err(status) if status.message() != ROLE_EXISTS => return Err(refused(status)),
        _ => {}
    }
    let grant = AuthUserGrantRoleRequest { user: ROOT.to_owned(), role: ROOT.to_owned() };
    session.ask(client.auth().user_grant_role(grant)).await?;
    try_it().await.map(drop).map_err(refused)
}

/// The texts of the arguments: names are texts.
fn texts(parsed: &Parsed) -> Vec<String> {
    parsed.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Exactly these arguments.
fn exactly<const N: usize>(parsed: &Parsed, fault: &str) -> Result<[String; N], Failure> {
    texts(parsed).try_into().map_err(|_| Failure::bad_args(fault))
}

fn tell<M: Message>(
    session: &Session,
    answer: &M,
    header: Option<&ResponseHeader>,
    sentence: &str,
) -> Result<(), Failure> {
    show(&print::done(session.format, answer, header, sentence)?)
}

pub(super) async fn user(
    verb: UserVerb,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    match verb {
        UserVerb::Add => add_user(parsed, environment).await,
        UserVerb::Get => get_user(parsed, environment).await,
        UserVerb::List => list_users(parsed, environment).await,
        UserVerb::Passwd => change_password(parsed, environment).await,
        UserVerb::Delete => {
            let [name] = exactly(parsed, "user delete command requires user name as its argument")?;
            let session = open(parsed, environment).await?;
            let request = AuthUserDeleteRequest { name: name.clone() };
            let answer = session.ask(session.client.auth().user_delete(request)).await?;
            tell(&session, &answer, answer.header.as_ref(), &format!("User {name} deleted"))
        }
        UserVerb::GrantRole => {
            let fault = "user grant command requires user name and role name as its argument";
            let [user, role] = exactly(parsed, fault)?;
            let session = open(parsed, environment).await?;
            let sentence = format!("Role {role} is granted to user {user}");
            let request = AuthUserGrantRoleRequest { user, role };
            let answer = session.ask(session.client.auth().user_grant_role(request)).await?;
            tell(&session, &answer, answer.header.as_ref(), &sentence)
        }
        UserVerb::RevokeRole => {
            let fault = "user revoke-role requires user name and role name as its argument";
            let [name, role] = exactly(parsed, fault)?;
            let session = open(parsed, environment).await?;
            let sentence = format!("Role {role} is revoked from user {name}");
            let request = AuthUserRevokeRoleRequest { name, role };
            let answer = session.ask(session.client.auth().user_revoke_role(request)).await?;
            tell(&session, &answer, answer.header.as_ref(), &sentence)
        }
    }
}

async fn open(parsed: &mut Parsed, environment: &Environment) -> Result<Session, Failure> {
    let session = Session::open(&mut parsed.values, environment).await?;
    Ok(session.unhurried(&parsed.values))
}

async fn add_user(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let fault = "user add command requires user name as its argument";
    let [argument] = exactly(parsed, fault)?;
    let (name, password) = new_user(&parsed.values, argument)?;
    let session = open(parsed, environment).await?;
    let no_password = parsed.values.on("no-password");
    let request = AuthUserAddRequest {
        name: name.clone(),
        password,
        options: Some(UserAddOptions { no_password }),
        ..AuthUserAddRequest::default()
    };
    let answer = session.ask(session.client.auth().user_add(request)).await?;
    tell(&session, &answer, answer.header.as_ref(), &format!("User {name} created"))
}

/// Name and password of a user to add.
fn new_user(values: &Values, argument: String) -> Result<(String, String), Failure> {
    if values.on("no-password") {
        return Ok((argument, String::new()));
    }
    let given = values.text("new-user-password");
    if !given.is_empty() {
        return Ok((argument, given.to_owned()));
    }
    match argument.split_once(':') {
        Some(("", _)) => Err(Failure::bad_args("empty user name is not allowed")),
        Some((name, password)) => Ok((name.to_owned(), password.to_owned())),
        None => {
            let password = new_password(values, &argument)?;
            Ok((argument, password))
        }
    }
}

/// Asks for a password twice, or reads one word without asking.
fn new_password(values: &Values, user: &str) -> Result<String, Failure> {
    if !values.on("interactive") {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map_err(|error| Failure::bad_args(format!("cannot read the password: {error}")))?;
        return Ok(line.split_whitespace().next().unwrap_or_default().to_owned());
    }
    let password = ask_secret(&format!("Password of {user}: "))?;
    if password.is_empty() {
        return Err(Failure::bad_args("empty password"));
    }
    let again = ask_secret(&format!("Type password of {user} again for confirmation: "))?;
    if password != again {
        return Err(Failure::bad_args("given passwords are different"));
    }
    Ok(password)
}

async fn change_password(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let fault = "user passwd command requires user name as its argument";
    let [name] = exactly(parsed, fault)?;
    let password = new_password(&parsed.values, &name)?;
    let session = open(parsed, environment).await?;
    let request = AuthUserChangePasswordRequest { name, password, ..Default::default() };
    let answer = session.ask(session.client.auth().user_change_password(request)).await?;
    tell(&session, &answer, answer.header.as_ref(), "Password updated")
}

async fn get_user(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let [name] = exactly(parsed, "user get command requires user name as its argument")?;
    let session = open(parsed, environment).await?;
    let request = AuthUserGetRequest { name: name.clone() };
    let answer = session.ask(session.client.auth().user_get(request)).await?;
    if !parsed.values.on("detail") {
        return show(&print::user(session.format, &name, &answer)?);
    }
    show(format!("User: {name}\n").as_bytes())?;
    for role in answer.roles {
        show(b"\n")?;
        show_role(&session, role).await?;
    }
    Ok(())
}

async fn show_role(session: &Session, role: String) -> Result<(), Failure> {
    let request = AuthRoleGetRequest { role: role.clone() };
    let answer = session.ask(session.client.auth().role_get(request)).await?;
    show(&print::role(session.format, &role, &answer)?)
}

async fn list_users(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let [] = exactly(parsed, "user list command requires no arguments")?;
    let session = open(parsed, environment).await?;
    let answer = session.ask(session.client.auth().user_list(AuthUserListRequest {})).await?;
    show(&print::users(session.format, &answer)?)
}

pub(super) async fn role(
    verb: RoleVerb,
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    match verb {
        RoleVerb::Add => {
            let [name] = exactly(parsed, "role add command requires role name as its argument")?;
            let session = open(parsed, environment).await?;
            let request = AuthRoleAddRequest { name: name.clone() };
            let answer = session.ask(session.client.auth().role_add(request)).await?;
            tell(&session, &answer, answer.header.as_ref(), &format!("Role {name} created"))
        }
        RoleVerb::Delete => {
            let [role] = exactly(parsed, "role delete command requires role name as its argument")?;
            let session = open(parsed, environment).await?;
            let sentence = format!("Role {role} deleted");
            let request = AuthRoleDeleteRequest { role };
            let answer = session.ask(session.client.auth().role_delete(request)).await?;
            tell(&session, &answer, answer.header.as_ref(), &sentence)
        }
        RoleVerb::Get => {
            let [role] = exactly(parsed, "role get command requires role name as its argument")?;
            show_role(&open(parsed, environment).await?, role).await
        }
        RoleVerb::List => {
            let [] = exactly(parsed, "role list command requires no arguments")?;
            let session = open(parsed, environment).await?;
            let answer =
                session.ask(session.client.auth().role_list(AuthRoleListRequest {})).await?;
            show(&print::roles(session.format, &answer)?)
        }
        RoleVerb::Grant => grant(parsed, environment).await,
        RoleVerb::Revoke => revoke(parsed, environment).await,
    }
}

async fn grant(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let words = texts(parsed);
    let [name, kind, keys @ ..] = words.as_slice() else { return Err(grant_arguments()) };
    if keys.is_empty() {
        return Err(grant_arguments());
    }
    let wanted = Type::from_str_name(&kind.to_uppercase());
    let kind =
        wanted.ok_or_else(|| Failure::bad_args(format!("invalid permission type: {kind}")))?;
    let (key, range_end) = range(&parsed.values, keys)?;
    let session = open(parsed, environment).await?;
    let perm = Permission { perm_type: kind.into(), key, range_end };
    let request = AuthRoleGrantPermissionRequest { name: name.clone(), perm: Some(perm) };
    let answer = session.ask(session.client.auth().role_grant_permission(request)).await?;
    tell(&session, &answer, answer.header.as_ref(), &format!("Role {name} updated"))
}

fn grant_arguments() -> Failure {
    Failure::bad_args(
        "role grant command requires role name, permission type, and key [endkey] as its argument",
    )
}

async fn revoke(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let words = texts(parsed);
    let fault =
        "role revoke-permission command requires role name and key [endkey] as its argument";
    let [role, keys @ ..] = words.as_slice() else { return Err(Failure::bad_args(fault)) };
    let Some(shown) = keys.first() else { return Err(Failure::bad_args(fault)) };
    let (key, range_end) = range(&parsed.values, keys)?;
    let session = open(parsed, environment).await?;
    let sentence = print::taken(role, shown.as_bytes(), &range_end);
    let request = AuthRoleRevokePermissionRequest { role: role.clone(), key, range_end };
    let answer = session.ask(session.client.auth().role_revoke_permission(request)).await?;
    tell(&session, &answer, answer.header.as_ref(), &sentence)
}

/// The keys a permission is about.
fn range(values: &Values, keys: &[String]) -> Result<(Bytes, Bytes), Failure> {
    let (prefix, from) = (values.on("prefix"), values.on("from-key"));
    let open = Bytes::from_static(UNBOUNDED);
    let key = keys.first().cloned().unwrap_or_default();
    if prefix && from && (key.is_empty() || keys.len() == 1) {
        return Err(Failure::bad_args("--from-key and --prefix flags are mutually exclusive"));
    }
    if key.is_empty() {
        // The first key there can be: the empty one is none.
        let end = if prefix || from { open.clone() } else { Bytes::new() };
        return Ok((open, end));
    }
    let end = match keys.get(1) {
        Some(_) if prefix => {
            return Err(Failure::bad_args("unexpected endkey argument with --prefix flag"));
        }
        Some(_) if from => {
            return Err(Failure::bad_args("unexpected endkey argument with --from-key flag"));
        }
        Some(end) => Bytes::from(end.clone()),
        None if prefix => prefix_end(key.as_bytes()).unwrap_or(open),
        None if from => open,
        None => Bytes::new(),
    };
    Ok((Bytes::from(key), end))
}
