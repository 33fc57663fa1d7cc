//! One line of JSON with the names and the order of Go's structures; what is zero is left out.

use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Answer, Health, header_of};
use crate::proto::etcdserverpb::ResponseHeader;
use crate::proto::mvccpb::{Event, KeyValue};

/// A JSON object under construction. Order matters, so the library's sorted map will not do.
#[derive(Default)]
pub(super) struct Object(Vec<String>);

impl Object {
    pub(super) fn always(mut self, name: &str, value: impl Display) -> Self {
        self.0.push(format!("\"{name}\":{value}"));
        self
    }

    pub(super) fn unless_empty(self, name: &str, value: impl Display, empty: bool) -> Self {
        if empty { self } else { self.always(name, value) }
    }

    pub(super) fn number<N: Display + Default + PartialEq>(self, name: &str, value: N) -> Self {
        let empty = value == N::default();
        self.unless_empty(name, value, empty)
    }

    pub(super) fn bytes(self, name: &str, value: &[u8]) -> Self {
        self.unless_empty(name, bytes(value), value.is_empty())
    }

    fn list(self, name: &str, items: &[KeyValue]) -> Self {
        let text = array(items.iter().map(pair));
        self.unless_empty(name, text, items.is_empty())
    }

    pub(super) fn end(self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

pub(super) fn render(answer: &Answer<'_>) -> String {
    object(answer) + "\n"
}

fn object(answer: &Answer<'_>) -> String {
    let object = match answer {
        Answer::Get(answer) => Object::default()
            .always("header", header(answer.header.as_ref()))
            .list("kvs", &answer.kvs)
            .number("more", Switch(answer.more))
            .number("count", answer.count),
        Answer::Put(answer) => {
            let object = Object::default().always("header", header(answer.header.as_ref()));
            match &answer.prev_kv {
                Some(kv) => object.always("prev_kv", pair(kv)),
                None => object,
            }
        }
        Answer::Del(answer) => Object::default()
            .always("header", header(answer.header.as_ref()))
            .number("deleted", answer.deleted)
            .list("prev_kvs", &answer.prev_kvs),
        Answer::Txn(answer) => {
            let responses = array(Answer::inner(answer).map(|inner| response(&inner)));
            Object::default()
                .always("header", header(answer.header.as_ref()))
                .number("succeeded", Switch(answer.succeeded))
                .unless_empty("responses", responses, answer.responses.is_empty())
        }
        Answer::Watch(answer) => Object::default()
            .always("Header", header(answer.header.as_ref()))
            .always("Events", array(answer.events.iter().map(event)))
            .always("CompactRevision", answer.compact_revision)
            .always("Canceled", answer.canceled)
            .always("Created", answer.created),
    };
    object.end()
}

/// An answer inside that of a transaction, under the name of its kind.
fn response(answer: &Answer<'_>) -> String {
    let kind = match answer {
        Answer::Get(_) => "response_range",
        Answer::Put(_) => "response_put",
        Answer::Del(_) => "response_delete_range",
        Answer::Txn(_) | Answer::Watch(_) => "response_txn",
    };
    let inner = Object::default().always(kind, object(answer)).end();
    Object::default().always("Response", inner).end()
}

/// A truth value that is left out when it is false.
#[derive(Default, PartialEq)]
pub(super) struct Switch(pub(super) bool);

impl Display for Switch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

pub(super) fn header(header: Option<&ResponseHeader>) -> String {
    header_object(header).end()
}

/// A header to which what it heads is added, as the structures of etcd's client embed it.
pub(super) fn header_object(header: Option<&ResponseHeader>) -> Object {
    let header = header_of(header);
    Object::default()
        .number("cluster_id", header.cluster_id)
        .number("member_id", header.member_id)
        .number("revision", header.revision)
        .number("raft_term", header.raft_term)
}

fn pair(kv: &KeyValue) -> String {
    Object::default()
        .bytes("key", &kv.key)
        .number("create_revision", kv.create_revision)
        .number("mod_revision", kv.mod_revision)
        .number("version", kv.version)
        .bytes("value", &kv.value)
        .number("lease", kv.lease)
        .end()
}

fn event(event: &Event) -> String {
    let mut object = Object::default().number("type", event.r#type);
    if let Some(kv) = &event.kv {
        object = object.always("kv", pair(kv));
    }
    if let Some(kv) = &event.prev_kv {
        object = object.always("prev_kv", pair(kv));
    }
    object.end()
}

pub(super) fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Bytes in quotes.
pub(super) fn bytes(value: &[u8]) -> String {
    format!("\"{}\"", STANDARD.encode(value))
}

/// A text as Go's encoder writes it, which also hides what HTML would read as markup.
pub(super) fn text(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

pub(super) fn health(all: &[Health]) -> String {
    let one = |one: &Health| {
        Object::default()
            .always("endpoint", text(&one.endpoint))
            .always("health", one.healthy)
            .always("took", text(&one.took))
            .unless_empty("error", text(&one.error), one.error.is_empty())
            .end()
    };
    array(all.iter().map(one)) + "\n"
}
