//! Messages inside HTTP bodies: a flag byte, four bytes of length, the message.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hyper::body::Body;
use prost::Message;
use tonic::Status;

use crate::api::status;
use crate::transport::{Account, Charge};

/// Bytes of a message that the call it belongs to was charged for already.
const COVERED: usize = 1024;

/// Flag and length.
const PREFIX: usize = 5;

/// Reads messages from a request body.
pub(super) struct Frames<B> {
    body: B,
    buffer: BytesMut,
    limit: usize,
    ended: bool,
    account: Account,
    /// For the message that comes in or was given out last.
    charge: Option<Charge>,
}

impl<B: Body<Data = Bytes> + Unpin> Frames<B> {
    /// Messages of at most `limit` bytes.
    pub(super) fn new(body: B, limit: usize, account: Account) -> Self {
        Self { body, buffer: BytesMut::new(), limit, ended: false, account, charge: None }
    }

    /// Charges `bytes` for the message in hand.
    ///
    /// # Errors
    /// When the connection holds too much already.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Status> {
        let result = match &mut self.charge {
            Some(charge) => charge.resize(bytes),
            None if bytes <= COVERED => Ok(()),
            None => self.account.charge(bytes).map(|charge| self.charge = Some(charge)),
        };
        result.map_err(status::memory_full)
    }

    /// The next message, `None` at the end of the body. A message never shares memory with the
    /// connection, so that what is kept of it keeps nothing else.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        if self.buffer.is_empty() {
            // Whoever asks for the next is done with the last.
            self.charge = None;
        }
        loop {
            if let Some(length) = self.length()? {
                self.charge(length)?;
                if let Some(message) = self.buffer.get(PREFIX..PREFIX + length) {
                    let message = Bytes::copy_from_slice(message);
                    self.buffer.advance(PREFIX + length);
                    return Poll::Ready(Some(Ok(message)));
                }
                self.buffer.reserve(PREFIX + length - self.buffer.len());
            }
            if self.ended {
                let whole = self.buffer.is_empty();
                self.buffer.clear();
                return Poll::Ready((!whole).then(|| Err(status::truncated())));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // Trailers of a request mean nothing to gRPC.
                    let Ok(data) = frame.into_data() else { continue };
                    if let Some(message) = self.whole(&data)? {
                        return Poll::Ready(Some(Ok(message)));
                    }
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(_)) => {
                    self.ended = true;
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(status::canceled())));
                }
                None => self.ended = true,
            }
        }
    }

    /// As [`Self::poll_next`], for callers that can wait.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The one message of a call that has no more. Waits for the end of the body too: to answer
    /// before it came would reset the stream, and a client's late end of a stream that is gone
    /// counts as its fault, of which HTTP/2 forgives a connection only so many.
    pub(super) async fn only(&mut self) -> Result<Bytes, Status> {
        let message = self.next().await.unwrap_or_else(|| Err(status::truncated()))?;
        let charge = self.charge.take();
        match self.next().await {
            None => {
                self.charge = charge;
                Ok(message)
            }
            Some(Ok(_)) => Err(status::one_message_too_many()),
            Some(Err(error)) => Err(error),
        }
    }

    /// The usual case, one piece of body that is one message, without a second copy.
    fn whole(&mut self, data: &Bytes) -> Result<Option<Bytes>, Status> {
        if !self.buffer.is_empty() {
            return Ok(None);
        }
        let length = length_of(data, self.limit)?;
        let Some(message) = data.get(PREFIX..).filter(|rest| length == Some(rest.len())) else {
            return Ok(None);
        };
        self.charge(message.len())?;
        Ok(Some(Bytes::copy_from_slice(message)))
    }

    fn length(&self) -> Result<Option<usize>, Status> {
        length_of(&self.buffer, self.limit)
    }
}

/// The length of the message that begins here, once its prefix has come.
fn length_of(bytes: &[u8], limit: usize) -> Result<Option<usize>, Status> {
    let Some(([compressed], rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let Some(length) = rest.first_chunk() else { return Ok(None) };
    if *compressed != 0 {
        return Err(status::unexpected_compression());
    }
    let length = u32::from_be_bytes(*length) as usize;
    if length > limit {
        return Err(status::message_too_large(length, limit));
    }
    Ok(Some(length))
}

/// Appends a message.
///
/// # Errors
/// If it has more than 4 GiB.
pub(super) fn write(message: &impl Message, out: &mut BytesMut) -> Result<(), Status> {
    begin(message.encoded_len(), out)?;
    append(message, out)
}

/// Appends the prefix of a message of so many bytes, and makes room for those.
///
/// # Errors
/// If they are more than 4 GiB.
pub(super) fn begin(length: usize, out: &mut BytesMut) -> Result<(), Status> {
    let prefix = u32::try_from(length).map_err(|_| status::answer_too_large(u32::MAX as usize))?;
    out.reserve(PREFIX + length);
    out.put_u8(0);
    out.put_u32(prefix);
    Ok(())
}

/// Appends a message, or a part of one, without a prefix.
///
/// # Errors
/// Never: there is always room.
pub(super) fn append(message: &impl Message, out: &mut BytesMut) -> Result<(), Status> {
    message.encode(out).map_err(|error| status::internal(&error))
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;
    use crate::proto::etcdserverpb::PutRequest;
    use crate::transport::Memory;

    fn account() -> Account {
        Memory::default().account()
    }

    fn put(bytes: usize) -> PutRequest {
        PutRequest { key: "k".into(), value: vec![7; bytes].into(), ..Default::default() }
    }

    fn written(sizes: &[usize]) -> Bytes {
        let mut out = BytesMut::new();
        sizes.iter().for_each(|size| write(&put(*size), &mut out).unwrap());
        out.freeze()
    }

    async fn read(bytes: Bytes, piece: usize, limit: usize) -> Vec<Result<usize, Status>> {
        let pieces: Vec<_> = bytes
            .chunks(piece)
            .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let mut frames = Frames::new(StreamBody::new(stream::iter(pieces)), limit, account());
        let mut read = Vec::new();
        while let Some(message) = frames.next().await {
            let failed = message.is_err();
            read.push(message.map(|bytes| PutRequest::decode(bytes).unwrap().value.len()));
            if failed {
                break;
            }
        }
        read
    }

    #[tokio::test]
    async fn messages_are_found_however_the_body_is_cut() {
        for piece in [1, 3, 5, 6, 100, 10_000] {
            let sizes: Vec<_> = read(written(&[0, 10, 1_000]), piece, 2_000)
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect();
            assert_eq!(sizes, [0, 10, 1_000], "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_single_message_is_taken_only_once_the_body_has_ended() {
        let (pieces, body) = futures::channel::mpsc::unbounded();
        let mut frames = Frames::new(StreamBody::new(body), 1_000, account());
        let mut taken = Box::pin(frames.only());
        let first = Ok::<_, std::io::Error>(Frame::data(written(&[10])));
        pieces.unbounded_send(first).unwrap();
        assert!(futures::poll!(&mut taken).is_pending(), "answered before the end");
        drop(pieces);
        assert!(taken.await.is_ok());
        let body = stream::iter([Ok::<_, std::io::Error>(Frame::data(written(&[1, 2])))]);
        let refused = Frames::new(StreamBody::new(body), 1_000, account()).only().await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::Internal);
    }

    #[tokio::test]
    async fn a_message_is_charged_from_its_length_on_until_the_next_is_asked_for() {
        let account = account();
        let (pieces, body) = futures::channel::mpsc::unbounded();
        let mut frames = Frames::new(StreamBody::new(body), 20_000, account.clone());
        let send = |bytes: Bytes| {
            pieces.unbounded_send(Ok::<_, std::io::Error>(Frame::data(bytes))).unwrap();
        };
        let bytes = written(&[10_000, 10]);
        send(bytes.slice(..PREFIX));
        assert!(futures::poll!(Box::pin(frames.next())).is_pending());
        assert!(account.held() >= 10_000);
        send(bytes.slice(PREFIX..));
        assert!(frames.next().await.unwrap().is_ok() && account.held() >= 10_000);
        assert!(frames.next().await.unwrap().is_ok() && account.held() < 100);
        drop(frames);
        assert_eq!(account.held(), 0);
    }

    #[tokio::test]
    async fn broken_bodies_are_named() {
        let last = |read: Vec<Result<usize, Status>>| read.last().unwrap().clone().unwrap_err();
        let large = last(read(written(&[5, 100]), 7, 50).await);
        assert_eq!(large.message(), "grpc: received message larger than max (105 vs. 50)");
        let cut = last(read(written(&[100]).slice(..50), 100, 200).await);
        assert_eq!(cut.message(), "unexpected EOF");
        let mut squeezed = written(&[1]).to_vec();
        squeezed[0] = 1;
        let squeezed = last(read(squeezed.into(), 100, 200).await);
        assert_eq!(squeezed.code(), tonic::Code::Internal);
    }
}
