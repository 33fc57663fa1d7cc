//! One thing per line, for people and shell scripts.

use super::{Answer, Health, Look};
use crate::proto::mvccpb::KeyValue;

pub(super) fn render(look: Look, answer: &Answer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    // Only a get can leave the keys out.
    let whole = Look { value_only: false, ..look };
    match answer {
        Answer::Get(answer) => answer.kvs.iter().for_each(|kv| pair(&mut out, look, kv)),
        Answer::Put(answer) => {
            line(&mut out, b"OK");
            answer.prev_kv.iter().for_each(|kv| pair(&mut out, whole, kv));
        }
        Answer::Del(answer) => {
            line(&mut out, answer.deleted.to_string().as_bytes());
            answer.prev_kvs.iter().for_each(|kv| pair(&mut out, whole, kv));
        }
        Answer::Txn(answer) => {
            line(&mut out, if answer.succeeded { b"SUCCESS" } else { b"FAILURE" });
            for inner in Answer::inner(answer) {
                out.push(b'\n');
                out.extend(render(whole, &inner));
            }
        }
        Answer::Watch(answer) => {
            for event in &answer.events {
                line(&mut out, event.r#type().as_str_name().as_bytes());
                event.prev_kv.iter().for_each(|kv| pair(&mut out, whole, kv));
                event.kv.iter().for_each(|kv| pair(&mut out, whole, kv));
            }
        }
    }
    out
}

fn pair(out: &mut Vec<u8>, look: Look, kv: &KeyValue) {
    for part in [Some(&kv.key).filter(|_| !look.value_only), Some(&kv.value)].into_iter().flatten()
    {
        if look.hex {
            let text: String = part.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            line(out, text.as_bytes());
        } else {
            line(out, part);
        }
    }
}

fn line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Healthy servers only: the others are told on standard error.
pub(super) fn health(all: &[Health]) -> String {
    all.iter()
        .filter(|one| one.healthy)
        .map(|one| {
            let (endpoint, took) = (&one.endpoint, &one.took);
            format!("{endpoint} is healthy: successfully committed proposal: took = {took}\n")
        })
        .collect()
}
