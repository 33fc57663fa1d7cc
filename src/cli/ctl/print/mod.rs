//! Answers as text, in the forms of `--write-out`.

pub(super) mod auth;
pub(super) mod cluster;
mod fields;
mod json;
pub(super) mod lease;
pub(super) mod servers;
mod simple;
mod table;

use prost::Message;

use super::failure::{Exit, Failure};
use crate::proto::etcdserverpb::response_op::Response;
use crate::proto::etcdserverpb::{
    DeleteRangeResponse, PutResponse, RangeResponse, ResponseHeader, TxnResponse, WatchResponse,
};

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Simple,
    Json,
    Fields,
    Table,
    Protobuf,
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "simple" => Ok(Self::Simple),
            "json" => Ok(Self::Json),
            "fields" => Ok(Self::Fields),
            "table" => Ok(Self::Table),
            "protobuf" => Ok(Self::Protobuf),
            _ => Err(Failure::new(Exit::BadFeature, "unsupported output format")),
        }
    }
}

/// What is printed of a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Keys and values as hex escapes.
    pub(super) hex: bool,
    /// No keys.
    pub(super) value_only: bool,
}

/// How one server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) endpoint: String,
    pub(super) healthy: bool,
    pub(super) took: String,
    pub(super) error: String,
}

/// An answer to print.
pub(super) enum Answer<'a> {
    Get(&'a RangeResponse),
    Put(&'a PutResponse),
    Del(&'a DeleteRangeResponse),
    Txn(&'a TxnResponse),
    Watch(&'a WatchResponse),
}

impl<'a> Answer<'a> {
    /// The answers inside a transaction's.
    fn inner(answer: &'a TxnResponse) -> impl Iterator<Item = Self> {
        answer.responses.iter().filter_map(|one| {
            Some(match one.response.as_ref()? {
                Response::ResponseRange(answer) => Self::Get(answer),
                Response::ResponsePut(answer) => Self::Put(answer),
                Response::ResponseDeleteRange(answer) => Self::Del(answer),
                Response::ResponseTxn(answer) => Self::Txn(answer),
            })
        })
    }
}

/// The text of an answer.
pub(super) fn render(format: Format, look: Look, answer: &Answer<'_>) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Simple => Ok(simple::render(look, answer)),
        Format::Json => Ok(json::render(answer).into_bytes()),
        Format::Fields => Ok(fields::render(answer).into_bytes()),
        Format::Table => Err(Failure::unsupported("table")),
        Format::Protobuf => Ok(match answer {
            Answer::Get(answer) => answer.encode_to_vec(),
            Answer::Put(answer) => answer.encode_to_vec(),
            Answer::Del(answer) => answer.encode_to_vec(),
            Answer::Txn(answer) => answer.encode_to_vec(),
            Answer::Watch(answer) => {
                // What the library hands on: the numbering of watches is its own affair.
                let mut answer = WatchResponse::clone(answer);
                (answer.watch_id, answer.fragment) = (0, false);
                answer.cancel_reason.clear();
                answer.encode_to_vec()
            }
        }),
    }
}

/// The text of the state of all servers, for standard output.
pub(super) fn render_health(format: Format, all: &[Health]) -> Result<String, Failure> {
    match format {
        Format::Simple => Ok(simple::health(all)),
        Format::Json => Ok(json::health(all)),
        Format::Fields => Ok(fields::health(all)),
        Format::Table => Ok(table::health(all)),
        Format::Protobuf => Err(Failure::unsupported("protobuf")),
    }
}

fn header_of(header: Option<&ResponseHeader>) -> ResponseHeader {
    header.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
