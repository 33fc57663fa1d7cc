//! Watches that go on until they are stopped: the original and ours, each on both servers.

use std::io::Write;
use std::process::Command;

use crate::compat::ctl::{four_ways, line, mask_output, run, words};
use crate::support::process::Process;
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

fn etcdctl(program: &Kind, server: &Server, text: &str) -> Command {
    let mut command = Command::new(program.program("etcdctl"));
    command.env_clear().current_dir(server.home());
    command.arg(format!("--endpoints={}", server.address())).args(words(text));
    command
}

/// Three revisions.
fn with_history(server: &Kind) -> Server {
    let server = Server::start(server);
    for text in ["put a 1", "put b1 x", "put b2 y"] {
        assert!(run(&Kind::Ours, &server, &[], &line(text)).contains("OK"), "{text}");
    }
    server
}

fn wait_for_lines(watch: &Process, count: usize) {
    eventually("so many lines", || (watch.printed().len() >= count).then_some(()));
}

/// How it ended, what it printed, and what it said of errors.
fn ended(mut watch: Process, server: &Server) -> Vec<String> {
    let code = watch.wait_end().code();
    let printed = watch.printed();
    let mut errors = watch.output();
    for line in &printed {
        let place = errors.iter().position(|other| other == line).unwrap();
        errors.remove(place);
    }
    errors.retain(|line| !line.starts_with("{\"level\":") && !line.starts_with("hint: "));
    let text = printed.join("\n") + "\n";
    let mut record = vec![format!("{code:?}")];
    record.extend(mask_output(&text, server).lines().map(str::to_owned));
    record.extend(errors);
    record
}

#[test]
fn typed_watches_are_alike() {
    four_ways(|program, server| {
        let server = with_history(server);
        let (typed, mut typing) = std::io::pipe().unwrap();
        let mut command = etcdctl(program, &server, "watch -i");
        let watch = Process::start_on(&mut command, typed.into());
        let mut type_line = |text: &str, count: usize| {
            writeln!(typing, "{text}").unwrap();
            wait_for_lines(&watch, count);
        };
        type_line("watch a --rev=2", 3);
        type_line("watch \"b\" --prefix --rev=3", 9);
        type_line("watch b1 b3 --rev=4 --prev-kv", 12);
        type_line("watch a --rev=2 -- /bin/echo seen", 16);
        type_line("", 16);
        type_line("nonsense", 16);
        type_line("watch", 16);
        type_line("watch a b --prefix", 16);
        type_line("progress", 17);
        drop(typing);
        let mut record = ended(watch, &server);
        // One for each watch, of which some may come after the end of what is typed.
        record.dedup();
        record
    });
}

/// Lines of each event, by the form: two writes over a first one, a deletion, and one more.
const FORMS: [(&str, [usize; 5]); 6] = [
    ("", [3, 3, 3, 3, 3]),
    (" -w json", [1, 1, 1, 1, 1]),
    (" -w fields", [11, 11, 11, 11, 11]),
    (" --hex", [3, 3, 3, 3, 3]),
    (" --prev-kv", [3, 5, 5, 5, 3]),
    (" -- /bin/echo seen", [4, 4, 4, 4, 4]),
];

#[test]
fn watches_follow_until_they_are_interrupted() {
    four_ways(|program, server| {
        let mut record = Vec::new();
        for (flags, lines) in FORMS {
            let server = with_history(server);
            let text = format!("watch a --rev=2{flags}");
            let watch = Process::start(&mut etcdctl(program, &server, &text));
            let mut seen = lines[0];
            wait_for_lines(&watch, seen);
            // One event after the other, so that none shares its answer with another.
            for (change, more) in ["put a 2", "put a 3", "del a", "put a 4"].iter().zip(&lines[1..])
            {
                assert!(run(&Kind::Ours, &server, &[], &line(change)).contains("Some(0)"));
                seen += more;
                wait_for_lines(&watch, seen);
            }
            watch.signal("INT");
            record.push(text);
            record.extend(ended(watch, &server));
        }
        record
    });
}
