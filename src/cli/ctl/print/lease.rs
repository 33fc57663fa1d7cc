//! Leases.

use prost::Message;

use super::Format;
use super::fields::{self, field};
use super::json::{self, Object, array, text};
use crate::cli::ctl::failure::Failure;
use crate::cli::go::{hex_id, quote};
use crate::proto::etcdserverpb::{
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse,
    LeaseTimeToLiveResponse, ResponseHeader,
};

/// An answer about leases in every form.
pub(in crate::cli::ctl) struct Told {
    header: Option<ResponseHeader>,
    simple: Vec<u8>,
    json: Object,
    /// What stands below the header.
    fields: Vec<(&'static str, String)>,
    protobuf: Vec<u8>,
}

impl Told {
    /// The original's client embeds headers in its own structures, so what it writes for protobuf is
    /// the header alone.
    fn new(header: Option<ResponseHeader>, simple: String, json: Object) -> Self {
        let protobuf = header.unwrap_or_default().encode_to_vec();
        Self { header, simple: simple.into_bytes(), json, fields: Vec::new(), protobuf }
    }

    fn with_fields<const N: usize>(mut self, fields: [(&'static str, i64); N]) -> Self {
        self.fields.extend(fields.map(|(name, value)| (name, value.to_string())));
        self
    }

    pub(in crate::cli::ctl) fn render(self, format: Format) -> Result<Vec<u8>, Failure> {
        match format {
            Format::Simple => Ok(self.simple),
            Format::Json => Ok((self.json.end() + "\n").into_bytes()),
            Format::Fields => {
                let mut out = String::new();
                fields::header(&mut out, self.header.as_ref());
                self.fields.iter().for_each(|(name, value)| field(&mut out, name, value));
                Ok(out.into_bytes())
            }
            Format::Table => Err(Failure::unsupported("table")),
            Format::Protobuf => Ok(self.protobuf),
        }
    }

    pub(in crate::cli::ctl) fn grant(answer: &LeaseGrantResponse) -> Self {
        let simple = format!("lease {} granted with TTL({}s)\n", hex_id(answer.id), answer.ttl);
        let json = json::header_object(answer.header.as_ref())
            .always("ID", answer.id)
            .always("TTL", answer.ttl)
            .always("Error", text(&answer.error));
        Self::new(answer.header, simple, json).with_fields([("ID", answer.id), ("TTL", answer.ttl)])
    }

    pub(in crate::cli::ctl) fn revoke(id: i64, answer: &LeaseRevokeResponse) -> Self {
        let simple = format!("lease {} revoked\n", hex_id(id));
        let json = Object::default().always("header", json::header(answer.header.as_ref()));
        let protobuf = answer.encode_to_vec();
        Self { protobuf, ..Self::new(answer.header, simple, json) }
    }

    /// `keys`: whether they were asked for.
    pub(in crate::cli::ctl) fn time_to_live(answer: &LeaseTimeToLiveResponse, keys: bool) -> Self {
        let id = hex_id(answer.id);
        let mut simple = match (answer.granted_ttl, answer.ttl) {
            (0, -1) => format!("lease {id} already expired").into_bytes(),
            (granted, ttl) => {
                let text = format!("lease {id} granted with TTL({granted}s), remaining({ttl}s)");
                text.into_bytes()
            }
        };
        if keys && (answer.granted_ttl, answer.ttl) != (0, -1) {
            simple.extend_from_slice(b", attached keys([");
            simple.extend_from_slice(&answer.keys.join(&b' '));
            simple.extend_from_slice(b"])");
        }
        simple.push(b'\n');
        let base64 = answer.keys.iter().map(|key| json::bytes(key));
        let list = if answer.keys.is_empty() { "null".to_owned() } else { array(base64) };
        let json = json::header_object(answer.header.as_ref())
            .always("id", answer.id)
            .always("ttl", answer.ttl)
            .always("granted-ttl", answer.granted_ttl)
            .always("keys", list);
        let mut told = Self::new(answer.header, String::new(), json).with_fields([
            ("ID", answer.id),
            ("TTL", answer.ttl),
            ("GrantedTTL", answer.granted_ttl),
        ]);
        told.fields.extend(answer.keys.iter().map(|key| ("Key", quote(key))));
        Self { simple, ..told }
    }

    pub(in crate::cli::ctl) fn list(answer: &LeaseLeasesResponse) -> Self {
        let ids = || answer.leases.iter().map(|lease| lease.id);
        let mut simple = format!("found {} leases\n", answer.leases.len());
        ids().for_each(|id| simple.push_str(&format!("{}\n", hex_id(id))));
        let leases = array(ids().map(|id| Object::default().always("id", id).end()));
        let json = json::header_object(answer.header.as_ref()).always("leases", leases);
        let fields = ids().map(|id| ("ID", id.to_string())).collect();
        Self { fields, ..Self::new(answer.header, simple, json) }
    }

    pub(in crate::cli::ctl) fn renewal(answer: &LeaseKeepAliveResponse) -> Self {
        let simple = format!("lease {} keepalived with TTL({})\n", hex_id(answer.id), answer.ttl);
        let json = json::header_object(answer.header.as_ref())
            .always("ID", answer.id)
            .always("TTL", answer.ttl);
        Self::new(answer.header, simple, json).with_fields([("ID", answer.id), ("TTL", answer.ttl)])
    }
}
