//! At a terminal: what is asked for there, and what only people see.

use crate::compat::ctl::{line, run};
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::terminal::Terminal;

fn start(program: &Kind, server: &Server, words: &str) -> Terminal {
    let (path, address) = (program.program("etcdctl"), server.address());
    Terminal::start(&format!("{} --endpoints={address} {words}", path.display()), server.home())
}

fn play(server: &Server, lines: &[&'static str]) {
    for text in lines {
        let record = run(&Kind::Ours, server, &[], &line(text));
        assert!(record.contains("Some(0)"), "{record}");
    }
}

/// What is asked, typed and answered. Ours never shows what is typed; the original turns that off only
/// after it has asked, so that who answers quickly is shown.
fn dialogue(program: &Kind, server: &Server, words: &str, steps: &[(&str, &str)]) -> String {
    let mut terminal = start(program, server, words);
    for (question, answer) in steps {
        terminal.wait(question);
        terminal.type_line(answer);
    }
    let (mut shown, code) = terminal.end();
    for (_, answer) in steps {
        assert!(program != &Kind::Ours || !shown.contains(answer), "{answer} shows: {shown}");
        shown = shown.replace(&format!("{answer}\r\n"), "");
    }
    let lines = shown.lines().filter(|line| !line.starts_with("{\"level\":"));
    format!("{code:?} {:?}", lines.collect::<Vec<_>>())
}

#[test]
fn secrets_are_asked_for_alike() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let server = Server::start(&real);
    play(&server, &["user add root:rootpw", "auth enable"]);
    const AGAIN: &str = "again for confirmation: ";
    for (words, steps) in [
        ("--user root get a", &[("Password: ", "rootpw")][..]),
        ("--user root get a", &[("Password: ", "wrongpw")]),
        ("--user root:rootpw user add bob", &[("Password of bob: ", "pw1"), (AGAIN, "pw2")]),
        ("--user root:rootpw user add bob", &[("Password of bob: ", "pw1"), (AGAIN, "pw1")]),
        ("--user root:rootpw user passwd bob", &[("Password of bob: ", "pw3"), (AGAIN, "pw3")]),
        ("--user bob get a", &[("Password: ", "pw3")]),
    ] {
        let theirs = dialogue(&real, &server, words, steps);
        if words.contains("add bob") && theirs.starts_with("Some(0)") {
            play(&server, &["--user root:rootpw user delete bob"]);
        }
        assert_eq!(theirs, dialogue(&Kind::Ours, &server, words, steps), "{words}");
    }
}

/// How a line of progress begins.
const OVER: &str = "\r\u{1b}[K";

#[test]
fn long_work_shows_how_far_it_is_to_people_only() {
    let server = Server::start(&Kind::Ours);
    let mut check = start(&Kind::Ours, &server, "check perf");
    check.wait(" / 9000 writes (");
    check.interrupt();
    let (shown, _) = check.end();
    assert!(shown.contains(OVER), "{shown}");
    assert!(shown.contains("Stopped after "), "{shown}");
    let both = format!("defrag --endpoints={}", server.address());
    let (shown, code) = start(&Kind::Ours, &server, &both).end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("defragmenting") && shown.contains("(2 of 2)"), "{shown}");
    let copy = Server::start(&Kind::Ours);
    play(&server, &["put a 1"]);
    let words = format!("make-mirror {}", copy.address());
    let mut mirror = start(&Kind::Ours, &server, &words);
    mirror.wait("mirror: 1 changes copied");
    mirror.interrupt();
    mirror.end();
    // In a pipe nothing of it is there.
    for text in ["check perf --duration=1s", "defrag"] {
        let record = run(&Kind::Ours, &server, &[], &line(text));
        assert!(!record.contains('\r') && !record.contains("(1 of "), "{record}");
    }
    let Some(folder) = reference::folder() else { return };
    let real = Server::start(&Kind::Reference(folder));
    let (shown, code) = start(&Kind::Ours, &real, "snapshot save s.db").end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("snapshot: ") && shown.contains(" %)"), "{shown}");
}
