//! Whole lines, from the macro to the file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tracing::{debug, error, info, warn};

use super::*;

/// Logs through `f` into a file and gives back the handle and the lines.
fn logged(options: Options, f: impl FnOnce(&LogHandle, &Path)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etcd.log");
    let outputs = vec![path.to_string_lossy().into_owned(); 2];
    let (subscriber, handle) = build(&Options { outputs, ..options }, Clock).unwrap();
    tracing::subscriber::with_default(subscriber, || f(&handle, &path));
    handle.flush();
    fs::read_to_string(&path).unwrap().lines().map(String::from).collect()
}

#[test]
fn a_json_line_is_laid_out_as_etcds() {
    let lines = logged(Options::default(), |_, _| {
        let urls = ["http://a:1", "http://b:\"2"];
        let id = 7_u64;
        info!(
            "local-member-id" = %format_args!("{id:x}"),
            "listen-client-urls" = ?urls,
            took = %Took(Duration::from_millis(90_500)),
            ready = true,
            "max-cpu-set" = 2,
            share = 0.5,
            "serving \"now\"",
        );
    });
    let [line] = lines.as_slice() else { panic!("one line each, {lines:?}") };
    let (head, tail) = line.split_once("\",\"caller\":\"").unwrap();
    let ts = head.strip_prefix("{\"level\":\"info\",\"ts\":\"").unwrap();
    let zoned = ts.strip_suffix('Z').unwrap_or_else(|| &ts[..ts.len() - 5]);
    assert_eq!(zoned.len(), "2026-11-22T23:58:26.416528".len(), "{ts}");
    let (caller, tail) = tail.split_once('"').unwrap();
    assert!(caller.starts_with("logging/tests.rs:"), "{caller}");
    let expected = ",\"msg\":\"serving \\\"now\\\"\",\"local-member-id\":\"7\",\
        \"listen-client-urls\":[\"http://a:1\",\"http://b:\\\"2\"],\"took\":\"1m30.5s\",\
        \"ready\":true,\"max-cpu-set\":2,\"share\":0.5}";
    assert_eq!(tail, expected);
}

#[test]
fn named_fields_find_their_places() {
    let lines = logged(Options::default(), |_, _| {
        error!(stacktrace = "a\nb", logger = "raft", severity = "fatal", error = "x", "gone");
    });
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&line["level"], &line["error"]), (&"fatal".into(), &"x".into()));
    assert!(lines[0].contains("Z\",\"logger\":\"raft\",\"caller\"") || !lines[0].contains("Z\""));
    assert!(lines[0].ends_with(",\"msg\":\"gone\",\"error\":\"x\",\"stacktrace\":\"a\\nb\"}"));
}

#[test]
fn nothing_a_client_sends_can_forge_a_line() {
    let lines = logged(Options::default(), |_, _| {
        let evil = "x\"}\n{\"level\":\"fatal\"";
        info!(key = %evil, list = %"[1],\"level\":\"fatal\"", "{evil}");
    });
    assert_eq!(lines.len(), 1);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["level"], "info");
    let console = Options { format: Format::Console, ..Options::default() };
    let lines = logged(console, |_, _| info!(a = 1, "two\nlines"));
    assert_eq!(lines.len(), 1);
    let parts: Vec<&str> = lines[0].split('\t').collect();
    assert_eq!((parts[1], &parts[3..]), ("info", ["two lines", "{\"a\": 1}"].as_slice()));
}

#[test]
fn the_level_counts_and_can_change() {
    let lines = logged(Options { level: String::from("warn"), ..Options::default() }, |log, _| {
        info!("unheard");
        warn!("heard");
        log.set_level("debug").unwrap();
        debug!("heard later");
        debug!(target: "h2::codec", "a library's detail");
        info!(target: "openraft::engine", "a library's fact");
        log.set_level("fatal").unwrap();
        error!("not bad enough");
        error!(severity = "fatal", "the end");
        assert!(log.set_level("loud").is_err());
    });
    let messages: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["msg"].clone())
        .collect();
    assert_eq!(messages, ["heard", "heard later", "a library's fact", "the end"]);
}

#[test]
fn a_file_moved_away_is_opened_again() {
    let mut moved = String::new();
    let lines = logged(Options::default(), |log, path| {
        info!("before");
        log.flush();
        let aside = path.with_extension("1");
        fs::rename(path, &aside).unwrap();
        log.reopen();
        info!("after");
        log.flush();
        moved = fs::read_to_string(aside).unwrap();
    });
    assert!(moved.contains("before") && !moved.contains("after"));
    assert!(lines.len() == 1 && lines[0].contains("after"));
}

#[test]
fn what_cannot_be_opened_is_named() {
    let fault = |options: Options| outputs(&options, Clock).err().unwrap().to_string();
    let outputs = vec![String::from("/nonexistent/etcd.log")];
    let text = fault(Options { outputs, ..Options::default() });
    assert!(text.starts_with("cannot open log output \"/nonexistent/etcd.log\": "), "{text}");
    let text = fault(Options { enable_rotation: true, ..Options::default() });
    assert!(text.ends_with("found 0"), "{text}");
}

#[test]
fn a_panic_leaves_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etcd.log");
    let outputs = vec![path.to_string_lossy().into_owned()];
    let (subscriber, handle) = build(&Options { outputs, ..Options::default() }, Clock).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        crate::telemetry::panic::install(handle, crate::telemetry::panic::Then::Unwind);
        // Tests that panic beside this one may have had the place of the line filed as one that
        // nobody listens to; from the second time on it is known that somebody does.
        for _ in 0..2 {
            std::panic::catch_unwind(|| panic!("index {} is off", 7)).unwrap_err();
            tracing::callsite::rebuild_interest_cache();
        }
        std::panic::set_hook(before);
    });
    let text = fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(text.lines().next_back().unwrap()).unwrap();
    assert_eq!((&line["level"], &line["panic"]), (&"panic".into(), &"index 7 is off".into()));
    assert!(line["place"].as_str().unwrap().contains("logging/tests.rs:"));
    assert!(line["stacktrace"].as_str().unwrap().contains("a_panic_leaves_its_last_words"));
}
