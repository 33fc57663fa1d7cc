//! Members and alarms.

use prost::Message;

use super::fields::{self, field};
use super::json::{self, Object, Switch, array, text};
use super::{Format, header_of, table};
use crate::cli::ctl::failure::Failure;
use crate::cli::go::quote;
use crate::proto::etcdserverpb::{
    AlarmMember, AlarmResponse, DowngradeResponse, Member, MemberListResponse, ResponseHeader,
};

/// What happened to a member: the answer in the forms that carry all of it, a sentence in the form
/// for people.
pub(in crate::cli::ctl) struct Change<'a, M> {
    pub(in crate::cli::ctl) answer: &'a M,
    pub(in crate::cli::ctl) header: Option<&'a ResponseHeader>,
    pub(in crate::cli::ctl) member: Option<&'a Member>,
    pub(in crate::cli::ctl) members: &'a [Member],
    pub(in crate::cli::ctl) sentence: String,
}

pub(in crate::cli::ctl) fn change<M: Message>(
    format: Format,
    change: &Change<'_, M>,
) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Simple => Ok(change.sentence.clone().into_bytes()),
        Format::Json => {
            let mut object = Object::default().always("header", json::header(change.header));
            if let Some(new) = change.member {
                object = object.always("member", member(new));
            }
            let members = array(change.members.iter().map(member));
            let object = object.unless_empty("members", members, change.members.is_empty());
            Ok((object.end() + "\n").into_bytes())
        }
        Format::Protobuf => Ok(change.answer.encode_to_vec()),
        Format::Fields => Err(Failure::unsupported("fields")),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

pub(in crate::cli::ctl) fn members(
    format: Format,
    hex: bool,
    answer: &MemberListResponse,
) -> Vec<u8> {
    let rows = || answer.members.iter().map(row);
    match format {
        Format::Simple => rows().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes(),
        Format::Json if hex => (hex_members(answer) + "\n").into_bytes(),
        Format::Json => {
            let list = array(answer.members.iter().map(member));
            let object = Object::default()
                .always("header", json::header(answer.header.as_ref()))
                .unless_empty("members", list, answer.members.is_empty());
            (object.end() + "\n").into_bytes()
        }
        Format::Fields => member_fields(answer).into_bytes(),
        Format::Table => {
            let headers = ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
            table::draw(&headers, &rows().collect::<Vec<_>>()).into_bytes()
        }
        Format::Protobuf => answer.encode_to_vec(),
    }
}

fn row(member: &Member) -> Vec<String> {
    let status = if member.name.is_empty() { "unstarted" } else { "started" };
    vec![
        format!("{:x}", member.id),
        status.to_owned(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

pub(super) fn texts(items: &[String]) -> String {
    array(items.iter().map(|item| text(item)))
}

fn member(member: &Member) -> String {
    Object::default()
        .number("ID", member.id)
        .unless_empty("name", text(&member.name), member.name.is_empty())
        .unless_empty("peerURLs", texts(&member.peer_ur_ls), member.peer_ur_ls.is_empty())
        .unless_empty("clientURLs", texts(&member.client_ur_ls), member.client_ur_ls.is_empty())
        .number("isLearner", Switch(member.is_learner))
        .end()
}

/// The list with ids in hex, whose last name the original spells like this; learners look like
/// voters in it.
fn hex_members(answer: &MemberListResponse) -> String {
    let header = header_of(answer.header.as_ref());
    let id = |id: u64| format!("\"{id:x}\"");
    // Nothing is not an empty list to Go.
    let texts = |items: &[String]| if items.is_empty() { "null".to_owned() } else { texts(items) };
    let one = |member: &Member| {
        Object::default()
            .always("ID", id(member.id))
            .always("name", text(&member.name))
            .always("peerURLs", texts(&member.peer_ur_ls))
            .always("clientURLS", texts(&member.client_ur_ls))
            .end()
    };
    let header = Object::default()
        .always("cluster_id", id(header.cluster_id))
        .always("member_id", id(header.member_id))
        .always("raft_term", header.raft_term);
    Object::default()
        .always("header", header.end())
        .always("members", array(answer.members.iter().map(one)))
        .end()
}

fn member_fields(answer: &MemberListResponse) -> String {
    let mut out = String::new();
    fields::header(&mut out, answer.header.as_ref());
    for member in &answer.members {
        field(&mut out, "ID", member.id);
        field(&mut out, "Name", quote(member.name.as_bytes()));
        member.peer_ur_ls.iter().for_each(|url| field(&mut out, "PeerURL", quote(url.as_bytes())));
        let urls = member.client_ur_ls.iter();
        urls.for_each(|url| field(&mut out, "ClientURL", quote(url.as_bytes())));
        field(&mut out, "IsLearner", member.is_learner);
        out.push('\n');
    }
    out
}

pub(in crate::cli::ctl) fn alarms(
    format: Format,
    answer: &AlarmResponse,
) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Simple => Ok(answer.alarms.iter().map(alarm_line).collect::<String>().into_bytes()),
        Format::Json => {
            let one = |alarm: &AlarmMember| {
                Object::default()
                    .number("memberID", alarm.member_id)
                    .number("alarm", alarm.alarm)
                    .end()
            };
            let list = array(answer.alarms.iter().map(one));
            let mut object = Object::default();
            if answer.header.is_some() {
                object = object.always("header", json::header(answer.header.as_ref()));
            }
            let object = object.unless_empty("alarms", list, answer.alarms.is_empty());
            Ok((object.end() + "\n").into_bytes())
        }
        Format::Fields => {
            let mut out = String::new();
            fields::header(&mut out, answer.header.as_ref());
            for alarm in &answer.alarms {
                field(&mut out, "MemberID", alarm.member_id);
                field(&mut out, "AlarmType", alarm.alarm().as_str_name());
                out.push('\n');
            }
            Ok(out.into_bytes())
        }
        Format::Table => Err(Failure::unsupported("table")),
        Format::Protobuf => Ok(answer.encode_to_vec()),
    }
}

pub(in crate::cli::ctl) fn downgrade(
    format: Format,
    answer: &DowngradeResponse,
    sentence: &str,
) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Simple => Ok(format!("{sentence}\n").into_bytes()),
        Format::Json => {
            let object = Object::default()
                .always("header", json::header(answer.header.as_ref()))
                .unless_empty("version", text(&answer.version), answer.version.is_empty());
            Ok((object.end() + "\n").into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields => Err(Failure::unsupported("fields")),
        Format::Table => Err(Failure::unsupported("table")),
    }
}

/// An alarm in the text form of its message, with the blank that stands behind each field.
fn alarm_line(alarm: &AlarmMember) -> String {
    let id = alarm.member_id;
    let id = if id == 0 { String::new() } else { format!("memberID:{id} ") };
    let kind = alarm.alarm();
    let kind =
        if alarm.alarm == 0 { String::new() } else { format!("alarm:{} ", kind.as_str_name()) };
    format!("{id}{kind}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_keeps_its_trailing_blank() {
        let alarms = vec![AlarmMember { member_id: 7, alarm: 1 }];
        let answer = AlarmResponse { header: None, alarms };
        let simple = alarms_text(Format::Simple, &answer);
        assert_eq!(simple, "memberID:7 alarm:NOSPACE \n");
        let json = alarms_text(Format::Json, &answer);
        assert_eq!(json, "{\"alarms\":[{\"memberID\":7,\"alarm\":1}]}\n");
    }

    fn alarms_text(format: Format, answer: &AlarmResponse) -> String {
        String::from_utf8(alarms(format, answer).unwrap()).unwrap()
    }
}
