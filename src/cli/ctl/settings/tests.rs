//! Layers on top of each other, in a file system of the test's own.

use std::ffi::OsString;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::certs::{Layout, Purpose};
use crate::cli::ctl::flags::parse;

/// A root with these files.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

/// Values and settings of a command line, with `user` for the directory of configurations.
fn settle(root: &Path, line: &str, variables: &[(&str, &str)]) -> Result<(Values, String), String> {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let flags: Vec<&'static Flag> = GLOBAL.iter().collect();
    let mut values = parse(&words, &flags).unwrap().values;
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut environment: Environment = variables.collect();
    environment.insert("XDG_CONFIG_HOME".into(), root.join("user").display().to_string());
    let settings = Settings::settle(&mut values, &environment, root)
        .map_err(|failure| failure.message.unwrap_or_default())?;
    let shown = settings.show(&values).join("\n").replace(&root.display().to_string(), "");
    Ok((values, shown))
}

const MACHINE: &str = "etc/etcd/etcdctl.yml";
const USER: &str = "user/etcdctl/config.yml";

#[test]
fn the_highest_layer_holds_and_is_named() {
    let root = root(&[
        (
            MACHINE,
            "endpoints: [a:1, b:2]\nwrite-out: json\nkeepalive-time: 30s\ndial-timeout: 7s\n",
        ),
        (USER, "# mine\nwrite-out: fields\ndial-timeout: 8s\nhex: true\ncacert: ca.crt\n"),
    ]);
    let variables = [
        ("ETCDCTL_WRITE_OUT", "table"),
        ("ETCDCTL_DIAL_TIMEOUT", "9s"),
        ("ETCDCTL_USER", "root:secret"),
        ("ETCDCTL_PASSWORD", "secret"),
        ("ETCDCTL_KEY", ""),
        ("ETCDCTL_COMMAND_TIMEOUT", "soon"),
    ];
    let (values, shown) = settle(root.path(), "-w simple --endpoints=c:3", &variables).unwrap();
    assert_eq!(values.list("endpoints"), ["c:3"]);
    assert!(values.on("hex"));
    assert_eq!(values.text("command-timeout"), "5s", "what cannot be read is passed over");
    let ca = root.path().join("user/etcdctl/ca.crt").display().to_string();
    assert_eq!(values.text("cacert"), ca, "a path in a file begins at the file");
    for line in [
        "ETCDCTL_WRITE_OUT=simple # flag --write-out",
        "ETCDCTL_DIAL_TIMEOUT=9s # environment ETCDCTL_DIAL_TIMEOUT",
        "ETCDCTL_HEX=true # file /user/etcdctl/config.yml:4",
        "ETCDCTL_KEEPALIVE_TIME=30s # file /etc/etcd/etcdctl.yml:3",
        "ETCDCTL_ENDPOINTS=[c:3] # flag --endpoints",
        "ETCDCTL_COMMAND_TIMEOUT=5s # default",
        "ETCDCTL_USER=root # environment ETCDCTL_USER",
        "ETCDCTL_PASSWORD=*** # environment ETCDCTL_PASSWORD",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    let (values, _) = settle(root.path(), "", &[]).unwrap();
    assert_eq!(values.list("endpoints"), ["a:1", "b:2"]);
    assert!(!values.is_given("write-out"), "a file changes defaults");
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place() {
    let root = root(&[
        (MACHINE, "endpoint: x\nnonsense: 1\n"),
        (USER, "hex: maybe\nhex: true\nuser: [a]\ndial-timeout: 5\n"),
    ]);
    let told = settle(root.path(), "", &[]).unwrap_err();
    let told = told.replace(&root.path().display().to_string(), "");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "/etc/etcd/etcdctl.yml:1: unknown key endpoint; did you mean endpoints?",
            "/etc/etcd/etcdctl.yml:2: unknown key nonsense",
            "/user/etcdctl/config.yml:1: hex: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            "/user/etcdctl/config.yml:2: hex is given twice, first in line 1",
            "/user/etcdctl/config.yml:3: user: must be one value, not a list",
            "/user/etcdctl/config.yml:4: dial-timeout: time: missing unit in duration \"5\"",
        ]
    );
    let root = self::root(&[(USER, "[x]\n")]);
    assert!(
        settle(root.path(), "", &[])
            .unwrap_err()
            .ends_with(":1: the file must consist of keys and values")
    );
}

/// The files of the layout, which nobody looks into here.
fn with_certificates(more: &[(&str, &str)]) -> TempDir {
    let root = root(more);
    let layout = Layout::of(&root.path().join("etc/etcd/pki"));
    let pair = layout.pair(Purpose::Client, "admin");
    for path in [layout.root(), pair.certificate, pair.key] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    root
}

#[test]
fn certificates_of_this_machine_are_used_when_nothing_else_is_said() {
    let root = with_certificates(&[]);
    let (values, shown) = settle(root.path(), "-w json --dial-timeout=1s", &[]).unwrap();
    assert_eq!(values.list("endpoints"), ["https://localhost:2379"]);
    let key = root.path().join("etc/etcd/pki/clients/admin.key").display().to_string();
    assert_eq!(values.text("key"), key);
    let line = "ETCDCTL_CACERT=/etc/etcd/pki/ca.crt # follows from /etc/etcd/pki";
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
    for (line, variables) in [
        ("--endpoints=localhost:2379", &[][..]),
        ("--insecure-transport", &[]),
        ("--insecure-skip-tls-verify", &[]),
        ("--cacert=/ca.crt", &[]),
        ("--discovery-srv=example.org", &[]),
        ("", &[("ETCDCTL_ENDPOINTS", "localhost:2379")]),
        ("", &[("ETCDCTL_CACERT", "/ca.crt")]),
    ] {
        let (values, _) = settle(root.path(), line, variables).unwrap();
        assert_eq!(values.text("cert"), "", "{line} {variables:?}");
    }
    let root = with_certificates(&[(USER, "endpoints: other:2379\n")]);
    assert_eq!(settle(root.path(), "", &[]).unwrap().0.text("cert"), "");
}

#[test]
fn the_server_of_this_machine_is_where_its_configuration_says() {
    let listen = "listen-client-urls: https://0.0.0.0:3379,http://127.0.0.1:1\n";
    let advertise = "advertise-client-urls: https://10.0.0.5:3379,http://10.0.0.5:1\n";
    let text = format!("{listen}{advertise}auto-tls: true\n");
    let text = text.replace("auto-tls", "client-transport-security:\n  auto-tls");
    let root = with_certificates(&[("etc/etcd/etcd.conf.yml", &text)]);
    let (values, _) = settle(root.path(), "", &[]).unwrap();
    assert_eq!(values.list("endpoints"), ["https://10.0.0.5:3379"]);
}

#[test]
fn without_all_of_the_certificates_none_is_used() {
    let root = with_certificates(&[]);
    std::fs::remove_file(root.path().join("etc/etcd/pki/clients/admin.key")).unwrap();
    let (values, _) = settle(root.path(), "", &[]).unwrap();
    assert_eq!((values.text("cacert"), values.text("endpoints")), ("", "127.0.0.1:2379"));
}
