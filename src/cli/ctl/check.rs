//! `check perf` and `check datascale`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::failure::{Exit, Failure, describe};
use super::flags::{Parsed, Values};
use super::print::servers::size;
use super::progress::Progress;
use super::resident;
use super::session::{Environment, Session};
use super::show;
use super::stopwatch::Times;
use crate::cli::go;
use crate::client::Client;
use crate::proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, PutRequest, RangeRequest,
};
use crate::types::clock::Clock;
use crate::types::range::prefix_end;

/// What may be asked for, with its other names.
const LOADS: [[&str; 2]; 4] = [["s", "small"], ["m", "medium"], ["l", "large"], ["xl", "xLarge"]];
/// Writes per second and clients of `check perf`.
const PERF: [(u64, usize); 4] = [(150, 50), (1_000, 200), (8_000, 500), (15_000, 1_000)];
/// Pairs and clients of `check datascale`.
const DATASCALE: [(u64, usize); 4] =
    [(10_000, 50), (100_000, 200), (1_000_000, 500), (3_000_000, 1_000)];
const PERF_KEY: usize = 256;
const PERF_VALUE: usize = 1_024;
const SCALE_KEY: usize = 512;
const SCALE_VALUE: usize = 512;
/// Limits of a cluster that is fast enough.
const SLOWEST: Duration = Duration::from_millis(500);
const DEVIATION: f64 = 0.1;
const THROUGHPUT: f64 = 0.9;

/// What is written.
struct Work {
    prefix: String,
    key: usize,
    value: usize,
    clients: usize,
    /// Pairs in all.
    pairs: u64,
    /// Writes per second; as many as can be without it.
    rate: Option<u64>,
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    times: Times,
    errors: BTreeMap<String, u64>,
    took: Duration,
}

fn load<T: Copy>(values: &Values, loads: [T; 4]) -> Result<T, Failure> {
    let wanted = values.text("load");
    let found = LOADS.iter().zip(loads).find(|(names, _)| names.contains(&wanted));
    found
        .map(|(_, load)| load)
        .ok_or_else(|| Failure::new(Exit::BadFeature, format!("unknown load option {wanted}")))
}

pub(super) async fn perf(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let (rate, clients) = load(&parsed.values, PERF)?;
    let duration = parsed.values.span("duration");
    let pairs = (rate as f64 * duration.as_secs_f64()).round() as u64;
    let work = Work {
        prefix: parsed.values.text("prefix").to_owned(),
        key: PERF_KEY,
        value: PERF_VALUE,
        clients,
        pairs,
        rate: Some(rate),
    };
    let session = Session::open(&mut parsed.values, environment).await?.unhurried(&parsed.values);
    refuse_filled(&session, &work.prefix).await?;
    let outcome = write(&session, &work).await?;
    tidy(&session, &parsed.values, &work.prefix).await?;
    verdict(rate, &outcome)
}

/// The lines of the original, and before the last one what a person makes of them.
fn verdict(rate: u64, outcome: &Outcome) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let mut good = outcome.errors.is_empty();
    if !good {
        lines.push("FAIL: too many errors".to_owned());
        let errors = outcome.errors.iter();
        lines.extend(errors.map(|(error, count)| format!("FAIL: ERROR({error}) -> {count}")));
    }
    let seconds = outcome.took.as_secs_f64().max(f64::EPSILON);
    let reached = outcome.times.count() as f64 / seconds;
    let whole = reached.round();
    let mut line = |passed: bool, pass: String, fail: String| {
        good &= passed;
        lines.push(if passed { format!("PASS: {pass}") } else { format!("FAIL: {fail}") });
    };
    let kept_up = reached / rate as f64 > THROUGHPUT;
    line(
        kept_up,
        format!("Throughput is {whole} writes/s"),
        format!("Throughput too low: {whole} writes/s"),
    );
    let slowest = outcome.times.slowest();
    let text = slowest.as_secs_f64();
    line(
        slowest <= SLOWEST,
        format!("Slowest request took {text:.6}s"),
        format!("Slowest request took too long: {text:.6}s"),
    );
    let deviation = outcome.times.deviation();
    line(
        deviation <= DEVIATION,
        format!("Stddev is {deviation:.6}s"),
        format!("Stddev too high: {deviation:.6}s"),
    );
    lines.push(format!("Latency: {}", outcome.times.summary()));
    lines.push(advice(rate, kept_up, outcome));
    lines.push(if good { "PASS" } else { "FAIL" }.to_owned());
    show((lines.join("\n") + "\n").as_bytes())?;
    if good { Ok(()) } else { Err(Failure::silent(Exit::Error)) }
}

fn advice(rate: u64, kept_up: bool, outcome: &Outcome) -> String {
    let typical = outcome.times.quantile(500);
    let rare = outcome.times.quantile(990);
    let text = if !outcome.errors.is_empty() {
        "requests failed: look at the errors above and at `endpoint status` before trusting the rest"
    } else if !kept_up {
        return format!(
            "Verdict: the cluster does not take {rate} writes/s; the disks' fsync and the network \
             between members are the usual limits"
        );
    } else if rare > SLOWEST || outcome.times.slowest() > SLOWEST {
        "it keeps up, but some requests wait too long: look for other work on the same disks"
    } else if rare > typical * 10 && rare > Duration::from_millis(100) {
        "it keeps up; one request in a hundred is much slower than most"
    } else {
        return format!("Verdict: the cluster takes {rate} writes/s with time to spare");
    };
    format!("Verdict: {text}")
}

pub(super) async fn datascale(
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let (pairs, clients) = load(&parsed.values, DATASCALE)?;
    let prefix = parsed.values.text("prefix").to_owned();
    let rate = None;
    let work = Work { prefix, key: SCALE_KEY, value: SCALE_VALUE, clients, pairs, rate };
    let session = Session::open(&mut parsed.values, environment).await?.unhurried(&parsed.values);
    if session.endpoints().len() != 1 {
        let text = "check datascale looks at the memory of one server: give one endpoint";
        return Err(Failure::bad_args(text));
    }
    refuse_filled(&session, &work.prefix).await?;
    let before = resident::memory(&session.client).await?;
    show(
        format!(
            "Start data scale check for work load [{pairs} key-value pairs, {} bytes per key-value, \
             {clients} concurrent clients].\n",
            SCALE_KEY + SCALE_VALUE
        )
        .as_bytes(),
    )?;
    let outcome = write(&session, &work).await?;
    let after = resident::memory(&session.client).await?;
    tidy(&session, &parsed.values, &work.prefix).await?;
    if !outcome.errors.is_empty() {
        let errors = outcome.errors.iter();
        let errors = errors.map(|(error, count)| format!("FAIL: ERROR({error}) -> {count}\n"));
        let text = format!("FAIL: too many errors\n{}", errors.collect::<String>());
        show(text.as_bytes())?;
        return Err(Failure::silent(Exit::Error));
    }
    let used = after.saturating_sub(before);
    let each = used / pairs.max(1);
    show(
        format!(
            "PASS: Approximate system memory used : {:.2} MB.\nLatency: {}\nVerdict: {pairs} pairs of \
             {} took about {} each in the server's memory\n",
            used as f64 / 1_000_000.0,
            outcome.times.summary(),
            size((SCALE_KEY + SCALE_VALUE) as u64),
            size(each)
        )
        .as_bytes(),
    )
}

/// What is there already would be deleted with the rest.
async fn refuse_filled(session: &Session, prefix: &str) -> Result<(), Failure> {
    let (key, range_end) = range(prefix);
    let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
    let answer = session.ask(session.client.kv().range(request)).await?;
    if answer.kvs.is_empty() {
        return Ok(());
    }
    let quoted = go::quote(prefix.as_bytes());
    let text =
        format!("prefix {quoted} has keys. Delete with 'etcdctl del --prefix {prefix}' first.");
    Err(Failure::new(Exit::InvalidInput, text))
}

fn range(prefix: &str) -> (Bytes, Bytes) {
    let open = Bytes::from_static(crate::types::range::UNBOUNDED);
    let key = Bytes::copy_from_slice(prefix.as_bytes());
    if key.is_empty() {
        return (open.clone(), open);
    }
    let end = prefix_end(&key).unwrap_or(open);
    (key, end)
}

/// Writes all of it through that many connections.
async fn write(session: &Session, work: &Work) -> Result<Outcome, Failure> {
    let begun = Clock.now();
    let next = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..work.clients {
        writers.spawn(
            Writer {
                client: session.again()?,
                next: Arc::clone(&next),
                done: Arc::clone(&done),
                begun,
                pairs: work.pairs,
                pause: work.rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64)),
                key: format!("{}{}", work.prefix, "k".repeat(work.key)),
                room: work.key,
                value: Bytes::from(vec![b'v'; work.value]),
            }
            .run(),
        );
    }
    let mut outcome = Outcome::default();
    let mut progress = Progress::new();
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            one = writers.join_next() => match one {
                Some(Ok((times, errors))) => {
                    outcome.times.merge(times);
                    for (error, count) in errors {
                        *outcome.errors.entry(error).or_default() += count;
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::new(Exit::Error, format!("a writer ended early: {error}")));
                }
                None => break,
            },
            _ = tick.tick() => {
                let (done, pairs) = (done.load(Ordering::Relaxed), work.pairs);
                let percent = (done * 100).checked_div(pairs).unwrap_or(100);
                progress.tell(|| format!("{done} / {pairs} writes ({percent} %)"));
            }
        }
    }
    outcome.took = Clock.now().duration_since(begun);
    Ok(outcome)
}

/// One connection that writes whatever is next.
struct Writer {
    client: Client,
    next: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    begun: Instant,
    pairs: u64,
    /// Between two writes of all of them together.
    pause: Option<Duration>,
    /// A key of the right length, whose end is replaced by the number of the write.
    key: String,
    room: usize,
    value: Bytes,
}

impl Writer {
    async fn run(self) -> (Times, BTreeMap<String, u64>) {
        let (mut times, mut errors) = (Times::default(), BTreeMap::new());
        let mut kv = self.client.kv();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.pairs {
                return (times, errors);
            }
            if let Some(pause) = self.pause {
                let due = self.begun + pause.mul_f64(number as f64);
                tokio::time::sleep_until(due.into()).await;
            }
            let begun = Clock.now();
            match kv.put(self.request(number)).await {
                Ok(_) => times.note(Clock.now().duration_since(begun)),
                Err(status) => *errors.entry(describe(&status)).or_default() += 1,
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn request(&self, number: u64) -> PutRequest {
        let digits = format!("{number:020}");
        let kept = self.key.len().saturating_sub(self.room.min(digits.len()));
        let key = format!("{}{digits}", self.key.get(..kept).unwrap_or_default());
        PutRequest { key: key.into(), value: self.value.clone(), ..PutRequest::default() }
    }
}

/// Removes what was written, and its traces if that is wanted.
async fn tidy(session: &Session, values: &Values, prefix: &str) -> Result<(), Failure> {
    let (key, range_end) = range(prefix);
    let request = DeleteRangeRequest { key, range_end, prev_kv: false };
    let deleted = session.ask(session.client.kv().delete_range(request)).await?;
    if values.on("auto-compact") {
        let revision = deleted.header.map_or(0, |header| header.revision);
        show(format!("Compacting with revision {revision}\n").as_bytes())?;
        let request = CompactionRequest { revision, physical: true };
        session.ask(session.client.kv().compact(request)).await?;
        show(format!("Compacted with revision {revision}\n").as_bytes())?;
    }
    if values.on("auto-defrag") {
        for endpoint in session.endpoints() {
            let quoted = go::quote(endpoint.as_bytes());
            show(format!("Defragmenting {quoted}\n").as_bytes())?;
            let client = session.at(endpoint)?;
            let request = DefragmentRequest {};
            let ended = session.call(&client, client.maintenance().defragment(request)).await;
            ended.map_err(|status| Failure::new(Exit::Error, describe(&status)))?;
            show(format!("Defragmented {quoted}\n").as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_cluster_fails_and_a_fast_one_does_not() {
        let outcome = |writes: u64, took: Duration| {
            let mut times = Times::default();
            (0..writes).for_each(|_| times.note(took));
            Outcome { times, errors: BTreeMap::new(), took: Duration::from_secs(1) }
        };
        let quick = Duration::from_millis(2);
        assert!(verdict(150, &outcome(150, quick)).is_ok());
        assert!(verdict(150, &outcome(100, quick)).is_err(), "too few");
        assert!(verdict(150, &outcome(150, Duration::from_secs(1))).is_err(), "too late");
        let mut failed = outcome(150, quick);
        failed.errors.insert("x".to_owned(), 1);
        assert!(verdict(150, &failed).is_err(), "errors");
        assert!(advice(150, true, &outcome(150, quick)).contains("150 writes/s"));
    }

    #[test]
    fn words_for_loads_are_the_originals() {
        let flags = crate::cli::ctl::commands::Command::find("check perf").unwrap().all_flags();
        for (word, expected) in [("m", 1_000), ("medium", 1_000), ("xLarge", 15_000)] {
            let line = [std::ffi::OsString::from(format!("--load={word}"))];
            let parsed = crate::cli::ctl::flags::parse(&line, &flags).unwrap();
            assert_eq!(load(&parsed.values, PERF).unwrap().0, expected);
        }
    }
}
