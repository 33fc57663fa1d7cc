//! Users, roles and the answers that say only that something was done.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::Format;
use super::fields::{self, field};
use super::json::{self, Object, Switch, array, text};
use crate::cli::ctl::failure::Failure;
use crate::cli::go::quote;
use crate::proto::authpb::Permission;
use crate::proto::authpb::permission::Type;
use crate::proto::etcdserverpb::{
    AuthRoleGetResponse, AuthRoleListResponse, AuthStatusResponse, AuthUserGetResponse,
    AuthUserListResponse, ResponseHeader,
};
use crate::types::range::{UNBOUNDED, prefix_end};

type Text = Result<Vec<u8>, Failure>;

/// An answer that is only a header, and the sentence that goes with it.
pub(in crate::cli::ctl) fn done<M: Message>(
    format: Format,
    answer: &M,
    header: Option<&ResponseHeader>,
    sentence: &str,
) -> Text {
    match format {
        Format::Simple => Ok(format!("{sentence}\n").into_bytes()),
        Format::Json => Ok((with_header(header).end() + "\n").into_bytes()),
        Format::Fields => {
            let mut out = String::new();
            fields::header(&mut out, header);
            Ok(out.into_bytes())
        }
        Format::Table => Err(Failure::unsupported("table")),
        Format::Protobuf => Ok(answer.encode_to_vec()),
    }
}

fn with_header(header: Option<&ResponseHeader>) -> Object {
    Object::default().always("header", json::header(header))
}

fn names(object: Object, name: &str, items: &[String]) -> Vec<u8> {
    let list = array(items.iter().map(|item| text(item)));
    (object.unless_empty(name, list, items.is_empty()).end() + "\n").into_bytes()
}

fn one_per_line(items: &[String]) -> Vec<u8> {
    items.iter().map(|item| format!("{item}\n")).collect::<String>().into_bytes()
}

pub(in crate::cli::ctl) fn status(format: Format, answer: &AuthStatusResponse) -> Text {
    match format {
        Format::Simple => Ok(format!(
            "Authentication Status: {}\nAuthRevision: {}\n",
            answer.enabled, answer.auth_revision
        )
        .into_bytes()),
        Format::Json => {
            let object = with_header(answer.header.as_ref())
                .number("enabled", Switch(answer.enabled))
                .number("authRevision", answer.auth_revision);
            Ok((object.end() + "\n").into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields => Err(Failure::unsupported("fields")),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

pub(in crate::cli::ctl) fn user(format: Format, name: &str, answer: &AuthUserGetResponse) -> Text {
    match format {
        Format::Simple => {
            let roles: String = answer.roles.iter().map(|role| format!(" {role}")).collect();
            Ok(format!("User: {name}\nRoles:{roles}\n").into_bytes())
        }
        Format::Json => Ok(names(with_header(answer.header.as_ref()), "roles", &answer.roles)),
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields => Err(Failure::unsupported("fields")),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

pub(in crate::cli::ctl) fn users(format: Format, answer: &AuthUserListResponse) -> Text {
    match format {
        Format::Simple => Ok(one_per_line(&answer.users)),
        Format::Json => Ok(names(with_header(answer.header.as_ref()), "users", &answer.users)),
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields => Err(Failure::unsupported("fields")),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

pub(in crate::cli::ctl) fn roles(format: Format, answer: &AuthRoleListResponse) -> Text {
    match format {
        Format::Simple => Ok(one_per_line(&answer.roles)),
        Format::Json => Ok(names(with_header(answer.header.as_ref()), "roles", &answer.roles)),
        Format::Fields => {
            let mut out = String::new();
            fields::header(&mut out, answer.header.as_ref());
            let roles = answer.roles.iter().map(|role| format!(" {}", quote(role.as_bytes())));
            // Writing to a string cannot fail.
            let _ = writeln!(out, "\"Roles\" :{}", roles.collect::<String>());
            Ok(out.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

pub(in crate::cli::ctl) fn role(format: Format, name: &str, answer: &AuthRoleGetResponse) -> Text {
    match format {
        Format::Simple => Ok(simple_role(name, &answer.perm)),
        Format::Json => {
            let list = array(answer.perm.iter().map(permission));
            let object = with_header(answer.header.as_ref());
            let object = object.unless_empty("perm", list, answer.perm.is_empty());
            Ok((object.end() + "\n").into_bytes())
        }
        Format::Fields => {
            let mut out = String::new();
            fields::header(&mut out, answer.header.as_ref());
            for one in &answer.perm {
                // Two blanks: scripts know them.
                field(&mut out, "PermType", format!(" {}", one.perm_type().as_str_name()));
                field(&mut out, "Key", quote(&one.key));
                field(&mut out, "RangeEnd", quote(&one.range_end));
            }
            Ok(out.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

fn permission(one: &Permission) -> String {
    let encoded = |bytes: &[u8]| format!("\"{}\"", STANDARD.encode(bytes));
    Object::default()
        .number("permType", one.perm_type)
        .unless_empty("key", encoded(&one.key), one.key.is_empty())
        .unless_empty("range_end", encoded(&one.range_end), one.range_end.is_empty())
        .end()
}

fn simple_role(name: &str, permissions: &[Permission]) -> Vec<u8> {
    let mut out = format!("Role {name}\n").into_bytes();
    for (title, kind) in [("KV Read:\n", Type::Read), ("KV Write:\n", Type::Write)] {
        out.extend_from_slice(title.as_bytes());
        let allows = |one: &&Permission| [kind, Type::Readwrite].contains(&one.perm_type());
        for one in permissions.iter().filter(allows) {
            out.push(b'\t');
            push_range(&mut out, &one.key, &one.range_end);
            out.push(b'\n');
        }
    }
    out
}

fn push_range(out: &mut Vec<u8>, key: &[u8], end: &[u8]) {
    if end.is_empty() {
        out.extend_from_slice(key);
        return;
    }
    push_interval(out, key, end);
    if !key.is_empty() && prefix_end(key).as_deref().unwrap_or(UNBOUNDED) == end {
        out.extend_from_slice(&[b" (prefix ", key, b")"].concat());
    }
}

fn push_interval(out: &mut Vec<u8>, key: &[u8], end: &[u8]) {
    // An open end has no bracket in the original, and scripts may look for it so.
    let (end, bracket) =
        if end == UNBOUNDED { (&b"<open ended>"[..], &b""[..]) } else { (end, &b")"[..]) };
    out.extend_from_slice(&[b"[", key, b", ", end, bracket].concat());
}

/// What is said about a permission that was taken.
pub(in crate::cli::ctl) fn taken(role: &str, key: &[u8], end: &[u8]) -> String {
    let mut range = Vec::new();
    if end.is_empty() {
        range.extend_from_slice(&[b"key ", key].concat());
    } else {
        range.extend_from_slice(b"range ");
        push_interval(&mut range, key, end);
    }
    format!("Permission of {} is revoked from role {role}", String::from_utf8_lossy(&range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_as_the_original_writes_them() {
        let permission = |kind: Type, key: &'static str, end: &'static str| Permission {
            perm_type: kind.into(),
            key: key.into(),
            range_end: end.into(),
        };
        let all = [
            permission(Type::Read, "a", "z"),
            permission(Type::Readwrite, "foo", ""),
            permission(Type::Read, "k", "\0"),
            permission(Type::Write, "pre", "prf"),
        ];
        let text = String::from_utf8(simple_role("r1", &all)).unwrap();
        let expected = "Role r1\nKV Read:\n\t[a, z)\n\tfoo\n\t[k, <open ended>\nKV Write:\n\tfoo\n\t[pre, \
                        prf) (prefix pre)\n";
        assert_eq!(text, expected);
        assert_eq!(taken("r", b"k", b""), "Permission of key k is revoked from role r");
        assert_eq!(
            taken("r", b"k", b"\0"),
            "Permission of range [k, <open ended> is revoked from role r"
        );
    }
}
