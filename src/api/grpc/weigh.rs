//! What a request will take once it is decoded, told from its bytes.
//!
//! Two bytes of a message may become a list entry of a hundred. So before a message with lists is
//! decoded, the entries are counted, and their memory is charged to the connection.

use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::Status;

use crate::api::check::CheckError;
use crate::api::method::Method;
use crate::proto::etcdserverpb::{Compare, RequestOp};

/// Lists grow by doubling, so up to half of one is empty.
const GROWTH: usize = 2;
/// Transactions inside each other that are looked at; the decoder refuses deeper ones.
const DEEPEST: usize = 100;

/// Bytes a message of this method takes decoded, beyond its own.
///
/// # Errors
/// A transaction has a list longer than `max_ops`.
pub(super) fn weigh(method: Method, message: &[u8], max_ops: usize) -> Result<usize, Status> {
    match method {
        Method::Txn => txn(message, max_ops, 0),
        // A list of texts: an empty one takes two bytes of the message.
        Method::MemberAdd | Method::MemberUpdate => {
            Ok(message.len() / 2 * size_of::<String>() * GROWTH)
        }
        _ => Ok(0),
    }
}

/// Numbers of the fields looked at: the lists of `TxnRequest`, and `RequestOp.request_txn`.
const COMPARE: u32 = 1;
const SUCCESS: u32 = 2;
const FAILURE: u32 = 3;
const NESTED: u32 = 4;

fn txn(message: &[u8], max_ops: usize, depth: usize) -> Result<usize, Status> {
    let (mut weight, mut lengths) = (0_usize, [0_usize; 3]);
    for (field, content) in Fields(message) {
        let (list, entry) = match field {
            COMPARE => (0, size_of::<Compare>()),
            SUCCESS => (1, size_of::<RequestOp>()),
            FAILURE => (2, size_of::<RequestOp>()),
            _ => continue,
        };
        if let Some(length) = lengths.get_mut(list) {
            *length += 1;
            if *length > max_ops {
                return Err(CheckError::TooManyOps.into());
            }
        }
        weight += entry * GROWTH;
        if field != COMPARE && depth < DEEPEST {
            for (_, inner) in Fields(content).filter(|(field, _)| *field == NESTED) {
                weight += txn(inner, max_ops, depth + 1)?;
            }
        }
    }
    Ok(weight)
}

/// The length-delimited fields of a message; ends where it does not read as one.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (field, wire) = decode_key(&mut self.0).ok()?;
            match wire {
                WireType::LengthDelimited => {
                    let length = usize::try_from(decode_varint(&mut self.0).ok()?).ok()?;
                    let (content, rest) = self.0.split_at_checked(length)?;
                    self.0 = rest;
                    return Some((field, content));
                }
                WireType::Varint => decode_varint(&mut self.0).map(drop).ok()?,
                WireType::SixtyFourBit => self.0 = self.0.get(8..)?,
                WireType::ThirtyTwoBit => self.0 = self.0.get(4..)?,
                // Groups are older than any message of ours.
                WireType::StartGroup | WireType::EndGroup => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::etcdserverpb::TxnRequest;
    use crate::proto::etcdserverpb::request_op::Request;

    fn nested(depth: usize, width: usize) -> TxnRequest {
        let inner = (depth > 0).then(|| Request::RequestTxn(nested(depth - 1, width)));
        let op = RequestOp { request: inner };
        TxnRequest { success: vec![op; width], ..Default::default() }
    }

    #[test]
    fn every_entry_of_every_list_is_counted_however_deep() {
        let entry = size_of::<RequestOp>() * GROWTH;
        for (depth, entries) in [(0, 3), (1, 3 + 9), (2, 3 + 9 + 27)] {
            let message = nested(depth, 3).encode_to_vec();
            assert_eq!(weigh(Method::Txn, &message, 128).unwrap(), entries * entry);
        }
        let compare = TxnRequest { compare: vec![Compare::default(); 5], ..Default::default() };
        let weight = weigh(Method::Txn, &compare.encode_to_vec(), 128).unwrap();
        assert_eq!(weight, 5 * size_of::<Compare>() * GROWTH);
    }

    #[test]
    fn a_list_above_the_limit_is_refused_before_it_is_decoded() {
        let refused = weigh(Method::Txn, &[0x12, 0].repeat(1 << 20), 128).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many operations in txn request");
        let deep = nested(3, 2).encode_to_vec();
        assert!(weigh(Method::Txn, &deep, 1).is_err() && weigh(Method::Txn, &deep, 2).is_ok());
    }

    #[test]
    fn bytes_that_are_no_message_weigh_nothing() {
        for bytes in [&[0xff; 9][..], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x12]] {
            assert_eq!(weigh(Method::Txn, bytes, 128).unwrap(), 0);
        }
    }
}
