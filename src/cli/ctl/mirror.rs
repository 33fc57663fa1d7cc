//! `make-mirror`: a copy of a key range in another cluster, kept up to date.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::failure::{Exit, Failure, describe};
use super::flags::{Parsed, Values};
use super::progress::Progress;
use super::session::{Environment, Session, authenticate, credentials, log_failed_call, refuse};
use super::show;
use super::watch::{is_passing, resume_elsewhere};
use crate::client::{Client, Options};
use crate::config::Tls;
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest, WatchResponse,
};
use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::types::range::{UNBOUNDED, next_key, prefix_end};

/// Keys read at once.
const PAGE: i64 = 1_000;
/// How often the number of copied keys is printed.
const REPORT: Duration = Duration::from_secs(30);

pub(super) async fn make_mirror(
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let [destination] = parsed.arguments.as_slice() else {
        return Err(Failure::bad_args("make-mirror takes one destination argument"));
    };
    let destination = destination.to_string_lossy().into_owned();
    let session = Session::open(&mut parsed.values, environment).await?;
    let values = &parsed.values;
    let names = Names::read(values)?;
    let target = target(&session, values, destination).await?;
    let mut mirror = Mirror {
        source: session.client.clone().requiring_leader(),
        target,
        names,
        most: usize::try_from(values.number("max-txn-ops")).unwrap_or(1).max(1),
        total: 0,
        progress: Progress::new(),
    };
    let wanted = values.number("rev");
    let start = if wanted > 0 { wanted } else { mirror.copy().await? + 1 };
    mirror.follow(start).await
}

/// A client of the destination.
async fn target(
    session: &Session,
    values: &Values,
    destination: String,
) -> Result<Client, Failure> {
    let file = |name| Some(values.text(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
    let tls = Tls {
        cert_file: file("dest-cert"),
        key_file: file("dest-key"),
        trusted_ca_file: file("dest-cacert"),
        ..Tls::default()
    };
    let encrypted = tls != Tls::default() || !values.on("dest-insecure-transport");
    let options = Options {
        endpoints: vec![destination],
        tls: encrypted.then_some(tls),
        server_name: None,
        user: None,
        token: None,
        ..session.options().clone()
    };
    let mut client = Client::lazy(&options).map_err(|error| refuse(&error))?;
    let user = credentials(values.text("dest-user"), values.text("dest-password"))?;
    if let Some((name, password)) = user {
        authenticate(&mut client, &name, &password, options.dial_timeout).await?;
    }
    Ok(client)
}

/// What a key is called in the copy.
struct Names {
    prefix: Bytes,
    replacement: Bytes,
}

impl Names {
    fn read(values: &Values) -> Result<Self, Failure> {
        let (prefix, wanted) = (values.text("prefix"), values.text("dest-prefix"));
        let none = values.on("no-dest-prefix");
        if none && !wanted.is_empty() {
            let text =
                "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one";
            return Err(Failure::bad_args(text));
        }
        let replacement = if none || !wanted.is_empty() { wanted } else { prefix };
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Ok(Self { prefix: bytes(prefix), replacement: bytes(replacement) })
    }

    fn copy_of(&self, key: &[u8]) -> Bytes {
        let rest = key.strip_prefix(self.prefix.as_ref()).unwrap_or(key);
        [self.replacement.as_ref(), rest].concat().into()
    }

    /// Where the keys to copy begin and end.
    fn range(&self) -> (Bytes, Bytes) {
        let open = Bytes::from_static(UNBOUNDED);
        if self.prefix.is_empty() {
            return (open.clone(), open);
        }
        (self.prefix.clone(), prefix_end(&self.prefix).unwrap_or(open))
    }
}

struct Mirror {
    source: Client,
    target: Client,
    names: Names,
    /// Most changes in one transaction.
    most: usize,
    total: u64,
    progress: Progress,
}

impl Mirror {
    fn failed(client: &Client, status: &Status) -> Failure {
        log_failed_call(client, status);
        Failure::new(Exit::Error, describe(status))
    }

    fn count(&mut self, more: usize) {
        self.total += more as u64;
        let total = self.total;
        self.progress.tell(|| format!("mirror: {total} changes copied"));
    }

    /// Copies what there is at one revision, and tells which.
    async fn copy(&mut self) -> Result<i64, Failure> {
        let (mut key, range_end) = self.names.range();
        let mut revision = 0;
        loop {
            let request = RangeRequest {
                key,
                range_end: range_end.clone(),
                limit: PAGE,
                revision,
                ..RangeRequest::default()
            };
            let answer = self.source.kv().range(request).await;
            let answer = answer.map_err(|status| Self::failed(&self.source, &status))?.into_inner();
            if revision == 0 {
                revision = answer.header.map_or(0, |header| header.revision);
            }
            let after = answer.kvs.last().map(|last| next_key(&last.key));
            for pair in answer.kvs {
                let put = self.put(pair);
                let put = self.target.kv().put(put).await;
                put.map_err(|status| Self::failed(&self.target, &status))?;
                self.count(1);
            }
            match after {
                Some(next) if answer.more => key = next,
                _ => return Ok(revision),
            }
        }
    }

    fn put(&self, pair: KeyValue) -> PutRequest {
        let key = self.names.copy_of(&pair.key);
        PutRequest { key, value: pair.value, ..PutRequest::default() }
    }

    /// Copies changes from a revision on, for ever.
    async fn follow(&mut self, mut start: i64) -> Result<(), Failure> {
        let mut report = tokio::time::interval(REPORT);
        report.tick().await;
        loop {
            match self.watch(&mut start, &mut report).await {
                Ok(failure) => return Err(failure),
                Err(status) if is_passing(&status) => {
                    self.source = resume_elsewhere(&self.source, &status).await;
                }
                Err(status) => return Err(Self::failed(&self.source, &status)),
            }
        }
    }

    /// Follows one stream until it breaks; a failure is the end of everything.
    async fn watch(
        &mut self,
        start: &mut i64,
        report: &mut tokio::time::Interval,
    ) -> Result<Failure, Status> {
        let (key, range_end) = self.names.range();
        let create =
            WatchCreateRequest { key, range_end, start_revision: *start, ..Default::default() };
        let (requests, outgoing) = mpsc::channel(1);
        // The channel is new and has room.
        let _ = requests
            .try_send(WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
        let mut stream =
            self.source.watch().watch(ReceiverStream::new(outgoing)).await?.into_inner();
        loop {
            let answer = tokio::select! {
                answer = stream.message() => answer?,
                _ = report.tick() => {
                    if let Err(failure) = show(format!("{}\n", self.total).as_bytes()) {
                        return Ok(failure);
                    }
                    continue;
                }
            };
            let answer = answer.ok_or_else(|| Status::unavailable("the stream ended"))?;
            if let Some(failure) = ended(&answer) {
                return Ok(failure);
            }
            if let Some(last) = answer.events.iter().filter_map(|event| event.kv.as_ref()).last() {
                let next = last.mod_revision + 1;
                if let Err(failure) = self.apply(answer.events).await {
                    return Ok(failure);
                }
                *start = next;
            }
        }
    }

    /// Copies changes, those of one revision together as far as the limit allows.
    async fn apply(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        let mut success: Vec<RequestOp> = Vec::new();
        let mut revision = 0;
        for event in events {
            let kind = event.r#type();
            let Some(pair) = event.kv else { continue };
            if !success.is_empty() && (pair.mod_revision != revision || success.len() == self.most)
            {
                self.commit(std::mem::take(&mut success)).await?;
            }
            revision = pair.mod_revision;
            let request = match kind {
                EventType::Put => Request::RequestPut(self.put(pair)),
                EventType::Delete => Request::RequestDeleteRange(DeleteRangeRequest {
                    key: self.names.copy_of(&pair.key),
                    ..DeleteRangeRequest::default()
                }),
            };
            success.push(RequestOp { request: Some(request) });
        }
        self.commit(success).await
    }

    async fn commit(&mut self, success: Vec<RequestOp>) -> Result<(), Failure> {
        let changes = success.len();
        if changes == 0 {
            return Ok(());
        }
        let request = TxnRequest { success, ..TxnRequest::default() };
        let answer = self.target.kv().txn(request).await;
        answer.map_err(|status| Self::failed(&self.target, &status))?;
        self.count(changes);
        Ok(())
    }
}

/// Whether the server ended the watch for good, and why.
fn ended(answer: &WatchResponse) -> Option<Failure> {
    if answer.compact_revision != 0 {
        let text = "etcdserver: mvcc: required revision has been compacted";
        return Some(Failure::new(Exit::Error, text));
    }
    answer.canceled.then(|| Failure::new(Exit::Error, answer.cancel_reason.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_get_the_new_prefix_once() {
        let bytes = Bytes::from_static;
        let names = Names { prefix: bytes(b"a/"), replacement: bytes(b"b/") };
        assert_eq!(names.copy_of(b"a/a/x"), "b/a/x");
        assert_eq!(names.range(), (bytes(b"a/"), bytes(b"a0")));
        let all = Names { prefix: Bytes::new(), replacement: bytes(b"copy/") };
        assert_eq!(all.copy_of(b"x"), "copy/x");
        assert_eq!(all.range(), (bytes(b"\0"), bytes(b"\0")));
    }
}
