//! `defrag` and `snapshot`.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tonic::Status;

use super::endpoint::asked;
use super::failure::{Exit, Failure, code_name, describe};
use super::flags::Parsed;
use super::print::servers::size;
use super::progress::Progress;
use super::session::{Environment, Session, go_error, log};
use super::show;
use crate::proto::etcdserverpb::{DefragmentRequest, SnapshotRequest};
use crate::tasks::{Signal, Signals};
use crate::transport::Sha256;
use crate::types::clock::Clock;

/// The store's pages: a file of whole pages has no checksum behind it.
const PAGE: u64 = 512;

pub(super) async fn defrag(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    if !parsed.values.text("data-dir").is_empty() {
        let text = "a server that does not run is tidied with `etcdutl defrag --data-dir …`";
        return Err(Failure::bad_args(text));
    }
    let session = Session::open(&mut parsed.values, environment).await?;
    let endpoints = asked(&session, parsed).await?;
    let mut failed = false;
    for (place, endpoint) in endpoints.iter().enumerate() {
        let mut progress = Progress::new();
        let number = place + 1;
        progress.tell(|| format!("defragmenting {endpoint} ({number} of {})", endpoints.len()));
        let client = session.at(endpoint)?;
        let mut maintenance = client.maintenance();
        let ended = session.call(&client, maintenance.defragment(DefragmentRequest {})).await;
        drop(progress);
        match ended {
            Ok(_) => show(format!("Finished defragmenting etcd member[{endpoint}]\n").as_bytes())?,
            Err(status) => {
                failed = true;
                let why = describe(&status);
                eprintln!("Failed to defragment etcd member[{endpoint}] ({why})");
            }
        }
    }
    if failed { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
}

/// Files are the other tool's.
pub(super) fn snapshot_file() -> Failure {
    Failure::new(
        Exit::BadFeature,
        "snapshot files are another tool's work: `etcdutl snapshot status FILE`, `etcdutl snapshot restore \
         FILE --data-dir DIR` (etcd's etcdutl has both; the one of this project does not have them yet)",
    )
}

pub(super) async fn snapshot_save(
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let [name] = parsed.arguments.as_slice() else {
        return Err(Failure::bad_args("snapshot save expects one argument"));
    };
    let path = PathBuf::from(name);
    let session = Session::open(&mut parsed.values, environment).await?;
    let session = session.unhurried(&parsed.values);
    let endpoints = session.endpoints();
    if endpoints.len() != 1 {
        let all = endpoints.join(" ");
        return Err(interrupted(format!(
            "snapshot must be requested to one selected node, not multiple [{all}]"
        )));
    }
    let mut signals = Signals::listen()
        .map_err(|error| interrupted(format!("cannot listen to signals: {error}")))?;
    // Dropped on the way out, and with it the unfinished file.
    let saving = save(&session, &path);
    tokio::select! {
        ended = saving => ended?,
        signal = stopped(&mut signals) => {
            let text = format!("{signal}: nothing was saved, the unfinished file was removed");
            return Err(interrupted(text));
        }
    }
    show(format!("Snapshot saved at {}\n", path.display()).as_bytes())
}

async fn stopped(signals: &mut Signals) -> &'static str {
    loop {
        match signals.next().await {
            Signal::Reload => {}
            signal => return signal.name(),
        }
    }
}

fn interrupted(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Interrupted, message)
}

/// A file that is removed again unless it is kept.
struct Partial {
    path: PathBuf,
    kept: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed still carries the name of something unfinished.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn save(session: &Session, path: &Path) -> Result<(), Failure> {
    let begun = Clock.now();
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let shown = part.display().to_string();
    let fault = |error: std::io::Error| interrupted(format!("could not write {shown} ({error})"));
    let mut options = tokio::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&part).await;
    let file = opened.map_err(|error| {
        let why = go_error(&error);
        interrupted(format!("could not open {shown} (open {shown}: {why})"))
    })?;
    let mut partial = Partial { path: part, kept: false };
    log("info", &[("msg", "created temporary db file"), ("path", &shown)]);
    let endpoint = session.endpoints().join(",");
    log("info", &[("msg", "fetching snapshot"), ("endpoint", &endpoint)]);
    let bytes = session.within(fetch(session, file, &fault)).await??;
    let took = format!("{:.1?}", Clock.now().duration_since(begun));
    let fetched = size(bytes);
    let told =
        [("msg", "fetched snapshot"), ("endpoint", &endpoint), ("size", &fetched), ("took", &took)];
    log("info", &told);
    std::fs::rename(&partial.path, path).map_err(|error| {
        let (from, to) = (&shown, path.display());
        interrupted(format!("could not rename {from} to {to} ({error})"))
    })?;
    partial.kept = true;
    log("info", &[("msg", "saved"), ("path", &path.display().to_string())]);
    Ok(())
}

/// Writes what the server sends; tells how many bytes there were without the checksum behind them,
/// which must be right.
async fn fetch(
    session: &Session,
    mut file: File,
    fault: &impl Fn(std::io::Error) -> Failure,
) -> Result<u64, Failure> {
    let broken = |status: Status| {
        let (code, why) = (code_name(status.code()), status.message());
        interrupted(format!("rpc error: code = {code} desc = {why}"))
    };
    let mut maintenance = session.client.maintenance();
    let stream = maintenance.snapshot(SnapshotRequest {}).await.map_err(broken)?;
    let mut stream = stream.into_inner();
    let mut progress = Progress::new();
    let mut sum = Tail::default();
    let mut bytes = 0_u64;
    while let Some(piece) = stream.message().await.map_err(broken)? {
        file.write_all(&piece.blob).await.map_err(fault)?;
        sum.update(&piece.blob);
        bytes += piece.blob.len() as u64;
        progress.tell(|| {
            let all = bytes + piece.remaining_bytes;
            let percent = (bytes * 100).checked_div(all).unwrap_or(100);
            format!("snapshot: {} of {} ({percent} %)", size(bytes), size(all))
        });
    }
    if bytes % PAGE != Sha256::BYTES as u64 {
        return Err(interrupted(format!("sha256 checksum not found [bytes: {bytes}]")));
    }
    if !sum.settles() {
        let text = "the snapshot does not have the checksum behind it: it was damaged on the way; try again";
        return Err(interrupted(text));
    }
    file.sync_all().await.map_err(fault)?;
    Ok(bytes - Sha256::BYTES as u64)
}

/// A checksum over all but the last bytes, which are the checksum to compare with.
#[derive(Default)]
struct Tail {
    sum: Sha256,
    held: Vec<u8>,
}

impl Tail {
    fn update(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
        let settled = self.held.len().saturating_sub(Sha256::BYTES);
        self.sum.update(self.held.get(..settled).unwrap_or_default());
        self.held.drain(..settled);
    }

    fn settles(self) -> bool {
        self.sum.finish() == self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::sha256;

    #[test]
    fn the_sum_behind_the_data_is_compared() {
        let mut whole = vec![7; 1000];
        whole.extend(sha256(&whole));
        for cut in [0, 1, 999, 1000, 1010, 1032] {
            let mut tail = Tail::default();
            tail.update(&whole[..cut]);
            tail.update(&whole[cut..]);
            assert!(tail.settles(), "cut at {cut}");
        }
        whole[5] = 8;
        let mut tail = Tail::default();
        tail.update(&whole);
        assert!(!tail.settles());
    }
}
