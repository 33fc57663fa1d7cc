//! Our `etcdctl` as a process: what scripts rely on and the comparison with the original cannot show.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::support::pki::Pki;
use crate::support::process::Process;
use crate::support::server::{Kind, Server};

/// What a command left behind.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn etcdctl(endpoint: &str) -> Command {
    let mut command = Command::new(Kind::Ours.program("etcdctl"));
    command.env_clear().arg(format!("--endpoints={endpoint}"));
    command
}

fn run(command: &mut Command) -> Ended {
    run_with(command, "")
}

fn run_with(command: &mut Command, input: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may have closed it already.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn ended(server: &Server, words: &[&str]) -> Ended {
    run(etcdctl(server.address()).args(words))
}

#[test]
fn mutual_tls_is_spoken_with_files_flags_and_variables() {
    let pki = Pki::new();
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    let file = |name: &str| pki.file(name).display().to_string();
    let (ca, cert, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let pair = ["--cacert", &ca, "--cert", &cert, "--key", &key];
    let put = ended(&server, &[&pair[..], &["put", "k", "v"]].concat());
    assert_eq!((put.code, put.out.as_str()), (Some(0), "OK\n"), "{put:?}");
    let mut by_variable = Command::new(Kind::Ours.program("etcdctl"));
    by_variable.env_clear().env("ETCDCTL_ENDPOINTS", server.url()).args(["get", "k"]);
    by_variable.env("ETCDCTL_CACERT", &ca).env("ETCDCTL_CERT", &cert).env("ETCDCTL_KEY", &key);
    assert_eq!(run(&mut by_variable).out, "k\nv\n");
    let unverified = ["--insecure-transport=false", "--insecure-skip-tls-verify"];
    let unverified = [&unverified[..], &pair[2..], &["get", "k"]].concat();
    assert_eq!(ended(&server, &unverified).out, "k\nv\n");
    let anonymous = ["--cacert", &ca, "--command-timeout=500ms", "get", "k"];
    let anonymous = ended(&server, &anonymous);
    assert_eq!(anonymous.code, Some(1), "{anonymous:?}");
    let stranger = file("stranger.crt");
    let distrusting = ["--cacert", &stranger, "--command-timeout=500ms", "get", "k"];
    let distrusting = ended(&server, &distrusting);
    assert_eq!(distrusting.code, Some(1));
    assert!(distrusting.err.contains("UnknownIssuer"), "the reason is told: {distrusting:?}");
    assert!(distrusting.err.ends_with("Error: context deadline exceeded\n"), "{distrusting:?}");
    let health = ended(&server, &[&pair[..], &["endpoint", "health"]].concat());
    assert_eq!(health.code, Some(0), "{health:?}");
}

#[test]
fn exit_codes_tell_what_was_wrong() {
    let server = Server::start(&Kind::Ours);
    let dead = "127.0.0.1:1";
    for (words, code) in [
        (&["put", "a", "b"][..], 0),
        (&["get", "a", "--rev=99999"], 1),
        (&["nonsense"], 1),
        (&["get", "--nonsense"], 1),
        (&["lease", "grant", "5"], 0),
        (&["get", "a", "-w", "nonsense"], 4),
        (&["get", "a", "-w", "table"], 4),
        (&["get"], 128),
        (&["get", "a", "--cacert=/nonexistent"], 128),
        (&["watch", "-i"], 3),
        (&["version"], 0),
        (&["endpoint", "health"], 0),
    ] {
        assert_eq!(ended(&server, words).code, Some(code), "{words:?}");
    }
    let none = run(Command::new(Kind::Ours.program("etcdctl")).args(["--endpoints=", "get", "a"]));
    assert_eq!(none.code, Some(2), "{none:?}");
    let late = run(etcdctl(dead).args(["--command-timeout=200ms", "get", "a"]));
    assert_eq!(late.code, Some(1));
    assert!(late.err.contains("onnection refused"), "the reason is told: {late:?}");
    let sick = run(etcdctl(dead).args(["--command-timeout=200ms", "endpoint", "health"]));
    assert_eq!(sick.code, Some(1));
    assert!(sick.err.ends_with("Error: unhealthy cluster\n"), "{sick:?}");
}

#[test]
fn keys_and_values_need_not_be_text() {
    let server = Server::start(&Kind::Ours);
    let key = OsStr::from_bytes(b"k\xff\x01");
    let put = run(etcdctl(server.address()).arg("put").arg(key).arg("<&>\n"));
    assert_eq!(put.code, Some(0), "{put:?}");
    assert_eq!(
        ended(&server, &["get", "k", "--prefix", "--hex", "--keys-only"]).out,
        "\\x6b\\xff\\x01\n\n"
    );
    let fields = ended(&server, &["get", "k", "--prefix", "-w", "fields"]).out;
    assert!(fields.contains("\"Key\" : \"k\\xff\\x01\"\n\"CreateRevision\" : "), "{fields}");
    let piped = run_with(etcdctl(server.address()).args(["put", "piped"]), "two\nlines\n");
    assert_eq!(piped.out, "OK\n");
    let value = ended(&server, &["get", "piped", "--print-value-only"]).out;
    assert_eq!(value, "two\nlines\n\n");
}

#[test]
fn watches_run_commands_with_the_event_in_the_environment() {
    let server = Server::start(&Kind::Ours);
    for words in [&["put", "w", "1"][..], &["put", "w", "2"], &["del", "w"]] {
        assert_eq!(ended(&server, words).code, Some(0));
    }
    let script = "echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE";
    let mut watch = etcdctl(server.address());
    watch.env("PATH", "/usr/bin:/bin");
    watch.args(["watch", "w", "--rev=2", "--", "sh", "-c", script]);
    let mut watch = Process::start(&mut watch);
    watch.wait_line("the last event", |line| line.starts_with("\"DELETE\"").then_some(()));
    let expected = [
        "PUT",
        "w",
        "1",
        "PUT",
        "w",
        "2",
        "DELETE",
        "w",
        "",
        "\"PUT\" \"w\" \"1\"",
        "\"PUT\" \"w\" \"2\"",
    ];
    assert_eq!(watch.output().get(..11).unwrap_or_default(), expected);
    let mut failing = etcdctl(server.address());
    failing.env("PATH", "/usr/bin:/bin").args(["watch", "w", "--rev=2", "--", "false"]);
    let failing = run(&mut failing);
    assert_eq!(failing.code, Some(1));
    assert!(failing.err.ends_with("command [\"false\"] error (exit status 1)\n"), "{failing:?}");
}

#[test]
fn typed_watches_run_side_by_side() {
    let server = Server::start(&Kind::Ours);
    assert_eq!(ended(&server, &["put", "a", "1"]).code, Some(0));
    let mut command = etcdctl(server.address());
    command.args(["watch", "-i"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        line.trim_end().to_owned()
    };
    input.write_all(b"watch a --rev=2\nwatch \"b c\" --prefix\n\nnonsense\n").unwrap();
    assert_eq!([next(), next(), next()], ["PUT", "a", "1"]);
    input.write_all(b"progress\n").unwrap();
    assert!(next().starts_with("progress notify: "));
    drop(input);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(errors.contains("Invalid command nonsense (only support watch)\n"), "{errors}");
    assert!(errors.contains("Invalid command:  (watch and progress supported)\n"), "{errors}");
    assert!(errors.ends_with("Error: error reading watch request line: EOF\n"), "{errors}");
}

#[test]
fn readers_may_leave_early() {
    let server = Server::start(&Kind::Ours);
    let program = Kind::Ours.program("etcdctl");
    let script = "for i in 1 2 3; do \"$0\" --endpoints=\"$1\" --help; done | head -1; echo over";
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", script]).arg(program).arg(server.address()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "NAME:\nover\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
