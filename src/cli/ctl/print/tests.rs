//! The forms, compared with what the original printed for the same answers.

use super::*;
use crate::proto::mvccpb::{Event, KeyValue};

const HEADER: ResponseHeader =
    ResponseHeader { cluster_id: 12, member_id: 13, revision: 15, raft_term: 2 };

fn pair(key: &'static str, value: &'static str) -> KeyValue {
    KeyValue {
        key: key.into(),
        create_revision: 14,
        mod_revision: 14,
        version: 1,
        value: value.into(),
        lease: 0,
    }
}

fn text(format: Format, answer: &Answer<'_>) -> String {
    String::from_utf8(render(format, Look::default(), answer).unwrap()).unwrap()
}

#[test]
fn a_range_in_every_form() {
    let kvs = vec![pair("foo", "bar2")];
    let answer = RangeResponse { header: Some(HEADER), kvs, more: false, count: 1 };
    let get = Answer::Get(&answer);
    assert_eq!(text(Format::Simple, &get), "foo\nbar2\n");
    let json = "{\"header\":{\"cluster_id\":12,\"member_id\":13,\"revision\":15,\"raft_term\":2},\
                \"kvs\":[{\"key\":\"Zm9v\",\"create_revision\":14,\"mod_revision\":14,\"version\":1,\
                \"value\":\"YmFyMg==\"}],\"count\":1}\n";
    assert_eq!(text(Format::Json, &get), json);
    let fields = text(Format::Fields, &get);
    assert!(fields.starts_with("\"ClusterID\" : 12\n\"MemberID\" : 13\n"), "{fields}");
    assert!(fields.ends_with("\"Lease\" : 0\n\"More\" : false\n\"Count\" : 1\n"), "{fields}");
    let hex = render(Format::Simple, Look { hex: true, value_only: true }, &get).unwrap();
    assert_eq!(hex, b"\\x62\\x61\\x72\\x32\n");
    assert_eq!(render(Format::Protobuf, Look::default(), &get).unwrap(), answer.encode_to_vec());
    assert_eq!(render(Format::Table, Look::default(), &get).unwrap_err().exit, Exit::BadFeature);
}

#[test]
fn events_show_what_was_there_before() {
    let deleted = KeyValue { key: "w1".into(), mod_revision: 15, ..KeyValue::default() };
    let event = Event { r#type: 1, kv: Some(deleted), prev_kv: Some(pair("w1", "a")) };
    let answer = WatchResponse {
        header: Some(HEADER),
        watch_id: 7,
        events: vec![event],
        ..WatchResponse::default()
    };
    let watch = Answer::Watch(&answer);
    assert_eq!(text(Format::Simple, &watch), "DELETE\nw1\na\nw1\n\n");
    let json = text(Format::Json, &watch);
    let tail = "\"Events\":[{\"type\":1,\"kv\":{\"key\":\"dzE=\",\"mod_revision\":15},\"prev_kv\":{\"key\":\
                \"dzE=\",\"create_revision\":14,\"mod_revision\":14,\"version\":1,\"value\":\"YQ==\"}}],\
                \"CompactRevision\":0,\"Canceled\":false,\"Created\":false}\n";
    assert!(json.ends_with(tail), "{json}");
    assert!(text(Format::Fields, &watch).contains("\"Type\" : DELETE\n\"PrevKey\" : \"w1\"\n"));
}

#[test]
fn health_in_every_form() {
    let up = Health {
        endpoint: "127.0.0.1:24379".into(),
        healthy: true,
        took: "3.894378ms".into(),
        error: String::new(),
    };
    let down = Health {
        endpoint: "127.0.0.1:1".into(),
        healthy: false,
        took: "1.000439092s".into(),
        error: "context deadline exceeded".into(),
    };
    let all = [up, down];
    let table = "\
+-----------------+--------+--------------+---------------------------+
|    ENDPOINT     | HEALTH |     TOOK     |           ERROR           |
+-----------------+--------+--------------+---------------------------+
| 127.0.0.1:24379 |   true |   3.894378ms |                           |
|     127.0.0.1:1 |  false | 1.000439092s | context deadline exceeded |
+-----------------+--------+--------------+---------------------------+
";
    assert_eq!(render_health(Format::Table, &all).unwrap(), table);
    let json = render_health(Format::Json, &all).unwrap();
    assert!(json.starts_with("[{\"endpoint\":\"127.0.0.1:24379\",\"health\":true,"), "{json}");
    assert!(json.ends_with("\"error\":\"context deadline exceeded\"}]\n"), "{json}");
    let simple = render_health(Format::Simple, &all).unwrap();
    let line = "127.0.0.1:24379 is healthy: successfully committed proposal: took = 3.894378ms\n";
    assert_eq!(simple, line);
    assert!(render_health(Format::Fields, &all).unwrap().ends_with("deadline exceeded\n\n"));
    assert!(render_health(Format::Protobuf, &all).is_err());
}
