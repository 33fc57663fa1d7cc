//! One `"Name" : value` per line.

use std::fmt::{Display, Write};

use super::{Answer, Health, header_of};
use crate::cli::go::quote;
use crate::proto::etcdserverpb::ResponseHeader;
use crate::proto::mvccpb::KeyValue;

pub(super) fn render(answer: &Answer<'_>) -> String {
    let mut out = String::new();
    match answer {
        Answer::Get(answer) => {
            header(&mut out, answer.header.as_ref());
            answer.kvs.iter().for_each(|kv| pair(&mut out, "", kv));
            field(&mut out, "More", answer.more);
            field(&mut out, "Count", answer.count);
        }
        Answer::Put(answer) => {
            header(&mut out, answer.header.as_ref());
            answer.prev_kv.iter().for_each(|kv| pair(&mut out, "Prev", kv));
        }
        Answer::Del(answer) => {
            header(&mut out, answer.header.as_ref());
            field(&mut out, "Deleted", answer.deleted);
            answer.prev_kvs.iter().for_each(|kv| pair(&mut out, "Prev", kv));
        }
        Answer::Txn(answer) => {
            header(&mut out, answer.header.as_ref());
            field(&mut out, "Succeeded", answer.succeeded);
            Answer::inner(answer).for_each(|inner| out.push_str(&render(&inner)));
        }
        Answer::Watch(answer) => {
            header(&mut out, answer.header.as_ref());
            for event in &answer.events {
                field(&mut out, "Type", event.r#type().as_str_name());
                event.prev_kv.iter().for_each(|kv| pair(&mut out, "Prev", kv));
                event.kv.iter().for_each(|kv| pair(&mut out, "", kv));
            }
        }
    }
    out
}

pub(super) fn header(out: &mut String, header: Option<&ResponseHeader>) {
    let header = header_of(header);
    field(out, "ClusterID", header.cluster_id);
    field(out, "MemberID", header.member_id);
    field(out, "Revision", header.revision);
    field(out, "RaftTerm", header.raft_term);
}

fn pair(out: &mut String, prefix: &str, kv: &KeyValue) {
    field(out, &format!("{prefix}Key"), quote(&kv.key));
    field(out, &format!("{prefix}CreateRevision"), kv.create_revision);
    field(out, &format!("{prefix}ModRevision"), kv.mod_revision);
    field(out, &format!("{prefix}Version"), kv.version);
    field(out, &format!("{prefix}Value"), quote(&kv.value));
    field(out, &format!("{prefix}Lease"), kv.lease);
}

pub(super) fn field(out: &mut String, name: &str, value: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\"{name}\" : {value}");
}

pub(super) fn health(all: &[Health]) -> String {
    let mut out = String::new();
    for one in all {
        field(&mut out, "Endpoint", quote(one.endpoint.as_bytes()));
        field(&mut out, "Health", one.healthy);
        field(&mut out, "Took", &one.took);
        field(&mut out, "Error", &one.error);
        out.push('\n');
    }
    out
}
