//! Tools that work until they are stopped or done: copies and measurements, the original's and ours, each
//! on both servers.

use std::process::Command;

use crate::compat::ctl::{four_ways, line, mask_errors, run, words};
use crate::support::process::Process;
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

fn start(program: &Kind, server: &Server, text: &str) -> Process {
    let mut command = Command::new(program.program("etcdctl"));
    command.env_clear().current_dir(server.home());
    command.arg(format!("--endpoints={}", server.address())).args(words(text));
    Process::start(&mut command)
}

fn play(server: &Server, lines: &[&'static str]) {
    for text in lines {
        let record = run(&Kind::Ours, server, &[], &line(text));
        assert!(record.contains("Some(0)"), "{record}");
    }
}

/// Everything a server holds.
fn held(server: &Server) -> String {
    run(&Kind::Ours, server, &[], &line("get '' --prefix"))
}

#[test]
fn mirrors_are_alike() {
    four_ways(|program, server| {
        let mut record = Vec::new();
        for (flags, last) in [
            ("", "a/3\nthree"),
            ("--prefix=a/", "a/3\nthree"),
            ("--prefix=a/ --dest-prefix=z/", "z/3\nthree"),
            ("--prefix=a/ --no-dest-prefix", "3\nthree"),
        ] {
            let (source, copy) = (Server::start(server), Server::start(server));
            play(&source, &["put a/1 one", "put a/a/2 two", "put b elsewhere"]);
            let text = format!("make-mirror {flags} {}", copy.address());
            let mut mirror = start(program, &source, &text);
            eventually("the copy of what was there", || held(&copy).contains("two").then_some(()));
            play(&source, &["del a/1", "put a/a/2 changed", "put a/3 three"]);
            eventually("the copy of what came", || held(&copy).contains(last).then_some(()));
            mirror.signal("INT");
            let code = mirror.wait_end().code();
            // Nothing is said: it dies of the signal.
            let said = mask_errors(&mirror.output().join("\n"), &source);
            record.push(format!("{flags}: {code:?} {said}\n{}", held(&copy)));
        }
        record
    });
}

/// What a measurement says without what it measured. Progress, percentiles and the verdict for people
/// are each only one's own.
fn without_measures(printed: &[String]) -> Vec<String> {
    let text = printed.join("\n").replace('\r', "\n");
    let is_said = |line: &&str| {
        let own = ["Latency: ", "Verdict: ", "Stopped after "];
        !line.is_empty() && !own.iter().any(|own| line.starts_with(own))
    };
    let mut said = Vec::new();
    for line in text.lines().filter(is_said) {
        // The last piece of a bar is followed by what comes next on the same line.
        let known = ["PASS", "FAIL", "Start", "Compact", "Defragment"];
        let Some(at) = known.iter().filter_map(|word| line.find(word)).min() else { continue };
        let line: String =
            line[at..].chars().map(|c| if c.is_ascii_digit() { '_' } else { c }).collect();
        let judged = line.strip_prefix("PASS: ").or(line.strip_prefix("FAIL: "));
        let subject = judged.and_then(|text| text.split(' ').next());
        // How fast a machine is, is not compared.
        said.push(match subject {
            Some(subject) => subject.to_owned(),
            None if line == "PASS" || line == "FAIL" => "a verdict".to_owned(),
            None => line.split_whitespace().next().unwrap_or_default().to_owned(),
        });
    }
    said
}

/// Waits until so many keys have been written by a measurement.
fn wait_for_writes(server: &Server, prefix: &'static str) {
    let count = line(Box::leak(format!("get {prefix} --prefix --count-only -w fields").into()));
    eventually("some writes", || {
        let counted = run(&Kind::Ours, server, &[], &count);
        (!counted.contains("\"Count\" : 0\n")).then_some(())
    });
}

#[test]
fn checks_say_the_same() {
    four_ways(|program, server| {
        let server = Server::start(server);
        let mut scale = start(program, &server, "check datascale --auto-compact --auto-defrag");
        let mut record = vec![format!("{:?}", scale.wait_end().code())];
        record.extend(without_measures(&scale.printed()));
        record.push(held(&server));
        let mut perf = start(program, &server, "check perf --auto-compact --auto-defrag");
        wait_for_writes(&server, "/etcdctl-check-perf/");
        // Both judge what they have done so far, and remove it.
        perf.signal("INT");
        let code = perf.wait_end().code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
        record.extend(without_measures(&perf.printed()));
        record.push(held(&server));
        record
    });
}
