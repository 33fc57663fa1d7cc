//! `check perf` and `check datascale`.

use std::time::Duration;

use bytes::Bytes;

use super::failure::{Exit, Failure, describe};
use super::flags::{Parsed, Values};
use super::load::{Outcome, Work};
use super::print::servers::size;
use super::resident;
use super::session::{Environment, Session};
use super::show;
use crate::cli::go;
use crate::proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, RangeRequest,
};
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
    refuse_filled(&session, &work.prefix, "'").await?;
    let written = work.write(&session).await;
    // Whatever came of it, and also when somebody has stopped it, what was written goes again.
    tidy(&session, &parsed.values, &work.prefix).await?;
    verdict(rate, &written?)
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
    if let Some(signal) = outcome.stopped {
        lines.push(format!("Stopped after {seconds:.1}s ({})", signal.name()));
    }
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
    refuse_filled(&session, &work.prefix, "").await?;
    let before = resident::memory(&session.client).await?;
    show(
        format!(
            "Start data scale check for work load [{pairs} key-value pairs, {} bytes per key-value, \
             {clients} concurrent clients].\n",
            SCALE_KEY + SCALE_VALUE
        )
        .as_bytes(),
    )?;
    let written = work.write(&session).await;
    let after = resident::memory(&session.client).await;
    tidy(&session, &parsed.values, &work.prefix).await?;
    let (outcome, after) = (written?, after?);
    if let Some(signal) = outcome.stopped {
        let text = format!("{}: what was written has been removed again", signal.name());
        return Err(Failure::new(Exit::Interrupted, text));
    }
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

/// What is there already would be deleted with the rest. The original puts the command to type into
/// quotes in one of the two messages.
async fn refuse_filled(session: &Session, prefix: &str, quote: &str) -> Result<(), Failure> {
    let (key, range_end) = range(prefix);
    let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
    let answer = session.ask(session.client.kv().range(request)).await?;
    if answer.kvs.is_empty() {
        return Ok(());
    }
    let quoted = go::quote(prefix.as_bytes());
    let command = format!("{quote}etcdctl del --prefix {prefix}{quote}");
    let text = format!("prefix {quoted} has keys. Delete with {command} first");
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::ctl::stopwatch::Times;

    #[test]
    fn a_slow_cluster_fails_and_a_fast_one_does_not() {
        let outcome = |writes: u64, took: Duration| {
            let mut times = Times::default();
            (0..writes).for_each(|_| times.note(took));
            let (errors, took) = (BTreeMap::new(), Duration::from_secs(1));
            Outcome { times, errors, took, stopped: None }
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
