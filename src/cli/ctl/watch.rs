//! `watch`: prints changes as they happen, from one watch or from many typed ones.

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::failure::{Exit, Failure, describe};
use super::flags::Parsed;
use super::print::{Answer, Format, Look, render};
use super::session::{Environment, Session};
use super::watch_args::{Preset, Wanted, parse_line, wanted};
use super::{child, show, typed};
use crate::cli::go;
use crate::client::Client;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{WatchProgressRequest, WatchRequest, WatchResponse};
use crate::proto::mvccpb::Event;

/// Requests for progress that may wait; more are the same request again.
const PENDING_PROGRESS: usize = 16;
/// Pause before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn watch(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let preset = Preset::read(environment)?;
    // Known here, so the session need not wonder about them.
    let environment = &without_preset(environment);
    if parsed.values.on("interactive") {
        let session = Session::open(&mut parsed.values, environment).await?;
        return interactive(Arc::new(session), &preset).await;
    }
    let wanted = wanted(parsed, &preset)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let (_ask, progress) = broadcast::channel(PENDING_PROGRESS);
    Watcher::new(&session, wanted, progress).run().await?;
    Err(Failure::new(Exit::Interrupted, "watch is canceled by the server"))
}

fn without_preset(environment: &Environment) -> Environment {
    let mut rest = environment.clone();
    rest.retain(|name, _| !Preset::VARIABLES.contains(&name.as_str()));
    rest
}

/// Reads commands until standard input ends.
async fn interactive(session: Arc<Session>, preset: &Preset) -> Result<(), Failure> {
    let (ask, _) = broadcast::channel(PENDING_PROGRESS);
    let mut lines = typed_lines()?;
    let mut watches = JoinSet::new();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            Some(ended) = watches.join_next() => match ended {
                // A watch the server ended has said so; only a failed command ends everything.
                Ok(Err(failure)) => return Err(failure),
                _ => continue,
            },
        };
        let Some(line) = line else {
            let text = "error reading watch request line: EOF";
            return Err(Failure::new(Exit::InvalidInput, text));
        };
        let words = typed::words(line.as_bytes())?;
        match words.first().and_then(|word| word.to_str()) {
            Some("watch") if words.len() < 2 && preset.is_empty() => {
                eprintln!("Invalid command {line} (command type or key is not provided)");
            }
            Some("watch") => {
                let Some(wanted) = typed_watch(&line, &words, preset)? else { continue };
                let (session, progress) = (Arc::clone(&session), ask.subscribe());
                watches.spawn(async move { Watcher::new(&session, wanted, progress).run().await });
            }
            Some("progress") => {
                // Nobody listens while there is no watch, and then there is no progress to tell.
                let _ = ask.send(());
            }
            Some(_) => eprintln!("Invalid command {line} (only support watch)"),
            None => eprintln!("Invalid command: {line} (watch and progress supported)"),
        }
    }
}

/// A typed watch; `None` when it was refused with a message and typing goes on.
fn typed_watch(line: &str, words: &[OsString], preset: &Preset) -> Result<Option<Wanted>, Failure> {
    match wanted(&parse_line(words)?, preset) {
        Ok(wanted) => Ok(Some(wanted)),
        Err(Failure { message: Some(text), .. }) if text.contains("mutually exclusive") => {
            eprintln!("Invalid command {line} ({text})");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// The lines of standard input, read on a thread of its own: reading cannot be interrupted.
fn typed_lines() -> Result<mpsc::Receiver<String>, Failure> {
    let (sender, receiver) = mpsc::channel(1);
    let reader = move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(reader)
        .map_err(|error| Failure::new(Exit::Error, format!("cannot read commands: {error}")))?;
    Ok(receiver)
}

/// One watch, opened again after a broken connection from where it was.
struct Watcher {
    client: Client,
    format: Format,
    look: Look,
    wanted: Wanted,
    progress: broadcast::Receiver<()>,
}

impl Watcher {
    fn new(session: &Session, wanted: Wanted, progress: broadcast::Receiver<()>) -> Self {
        let look = Look { hex: session.hex, value_only: false };
        let client = session.client.clone().requiring_leader();
        Self { client, format: session.format, look, wanted, progress }
    }

    /// Prints until the server cancels the watch.
    async fn run(mut self) -> Result<(), Failure> {
        loop {
            let (requests, outgoing) = mpsc::channel(PENDING_PROGRESS);
            let create = RequestUnion::CreateRequest(self.wanted.request.clone());
            // The channel is new and has room.
            let _ = requests.try_send(WatchRequest { request_union: Some(create) });
            let opened = self.client.watch().watch(ReceiverStream::new(outgoing)).await;
            let ended = match opened {
                Ok(stream) => self.follow(stream.into_inner(), requests).await?,
                Err(status) => Err(status),
            };
            match ended {
                Ok(()) => return Ok(()),
                Err(status) if is_passing(&status) => {
                    self.client = resume_elsewhere(&self.client, &status).await;
                }
                Err(status) => {
                    eprintln!("watch was canceled ({})", describe(&status));
                    return Ok(());
                }
            }
        }
    }

    /// Prints one stream; `Ok` when the server cancelled the watch, the status when it broke.
    async fn follow(
        &mut self,
        mut stream: Streaming<WatchResponse>,
        requests: mpsc::Sender<WatchRequest>,
    ) -> Result<Result<(), Status>, Failure> {
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                Ok(()) = self.progress.recv() => {
                    let ask = RequestUnion::ProgressRequest(WatchProgressRequest {});
                    // A stream that takes no more requests is about to break.
                    let _ = requests.try_send(WatchRequest { request_union: Some(ask) });
                    continue;
                }
            };
            let answer = match message {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(Err(Status::unavailable("the stream ended"))),
                Err(status) => return Ok(Err(status)),
            };
            if answer.created && !answer.canceled {
                self.note_start(&answer);
                continue;
            }
            self.tell(&answer)?;
            if answer.canceled {
                return Ok(Ok(()));
            }
        }
    }

    /// A watch from "now" begins at what was now when it was first created, whatever breaks later.
    fn note_start(&mut self, answer: &WatchResponse) {
        let now = answer.header.as_ref().map_or(0, |header| header.revision);
        if self.wanted.request.start_revision == 0 {
            self.wanted.request.start_revision = now + 1;
        }
    }

    fn tell(&mut self, answer: &WatchResponse) -> Result<(), Failure> {
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        if answer.canceled {
            eprintln!("watch was canceled ({})", why(answer));
        } else if answer.events.is_empty() && answer.compact_revision == 0 && revision != 0 {
            show(format!("progress notify: {revision}\n").as_bytes())?;
        }
        show(&render(self.format, self.look, &Answer::Watch(answer))?)?;
        for event in &answer.events {
            if let Some(kv) = &event.kv {
                let start = &mut self.wanted.request.start_revision;
                *start = (*start).max(kv.mod_revision + 1);
            }
            if !self.wanted.command.is_empty() {
                run_command(&self.wanted.command, revision, event)?;
            }
        }
        Ok(())
    }
}

fn why(answer: &WatchResponse) -> String {
    if answer.compact_revision != 0 {
        "etcdserver: mvcc: required revision has been compacted".to_owned()
    } else if answer.cancel_reason.is_empty() {
        "etcdserver: mvcc: required revision is a future revision".to_owned()
    } else {
        answer.cancel_reason.clone()
    }
}

/// Whether the same watch may succeed on another connection.
pub(super) fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
        && !status.message().starts_with("etcdserver: permission")
}

/// The client to open a broken stream with again, after a pause. A broken connection finds another
/// endpoint by itself; a server that says why it cannot serve, such as one that has lost its leader, is
/// left for the next.
pub(super) async fn resume_elsewhere(client: &Client, status: &Status) -> Client {
    tokio::time::sleep(PAUSE).await;
    let said_so = status.message().starts_with("etcdserver: ");
    if said_so { client.elsewhere() } else { client.clone() }
}

fn run_command(words: &[OsString], revision: i64, event: &Event) -> Result<(), Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let (key, value) = event.kv.as_ref().map_or((&[][..], &[][..]), |kv| (&kv.key, &kv.value));
    let ended = Command::new(program)
        .args(arguments)
        .env("ETCD_WATCH_REVISION", revision.to_string())
        .env("ETCD_WATCH_EVENT_TYPE", go::quote(event.r#type().as_str_name().as_bytes()))
        .env("ETCD_WATCH_KEY", go::quote(key))
        .env("ETCD_WATCH_VALUE", go::quote(value))
        .stdin(std::process::Stdio::null())
        .status();
    let fault = match ended {
        Ok(status) => child::end_fault(status),
        Err(error) => Some(child::start_fault(program, &error)),
    };
    let Some(fault) = fault else { return Ok(()) };
    let words: Vec<String> = words.iter().map(quoted).collect();
    eprintln!("command [{}] error ({fault})", words.join(" "));
    Err(Failure::silent(Exit::Error))
}

fn quoted(word: &OsString) -> String {
    go::quote(std::os::unix::ffi::OsStrExt::as_bytes(word.as_os_str()))
}
