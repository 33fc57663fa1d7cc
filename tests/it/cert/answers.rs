//! What the commands say, to people and to programs.

use etcd::types::clock::Clock;

use crate::cert::enrol::{join, serve, token};
use crate::cert::{Answer, Desk};

#[test]
fn the_commands_explain_themselves() {
    let run = |words: &[&str]| {
        let output = std::process::Command::new(crate::support::server::Kind::Ours.program("etcd"))
            .arg("cert")
            .args(words)
            .output()
            .unwrap();
        Answer::of(&output)
    };
    let overview = run(&["--help"]).good().stdout;
    for name in [
        "init",
        "serve",
        "token",
        "join",
        "issue",
        "status",
        "verify",
        "csr",
        "sign",
        "renew",
        "rotate-ca",
        "revoke",
        "export-trust",
    ] {
        assert!(overview.contains(&format!("\n  {name}")), "{overview}");
        let help = run(&[name, "--help"]).good().stdout;
        assert!(help.contains("Example:") && help.contains("--output"), "{help}");
        assert_eq!(run(&["help", name]).stdout, help);
    }
    assert_eq!(run(&[]).code, Some(2));
    let unknown = run(&["rotate"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there are init, serve"), "{}", unknown.stderr);
}

#[test]
fn every_command_answers_programs_too() {
    let (desk, node) = (Desk::ready(), Desk::new());
    let issuer = serve(&desk, &[]);
    let csr = node.path("server.csr").display().to_string();
    let pair = ["verify", "--pair", "pki/server.crt", "pki/server.key"];
    let create = ["token", "create", "--role=client", "--name=app2"];
    for (at, words, told) in [
        (&desk, &["init"][..], "flags"),
        (&desk, &["issue", "client", "app"], "files"),
        (&desk, &["issue", "server", "db2"], "next"),
        (&node, &["csr", "server", "db3"], "names"),
        (&desk, &["sign", "server", &csr], "serial"),
        (&desk, &["status"], "certificates"),
        (&desk, &["status", "--endpoints", &issuer.url], "state"),
        (&desk, &pair, "checks"),
        (&desk, &["verify", &issuer.url, "--server-name=localhost"], "checks"),
        (&desk, &create, "token"),
        (&desk, &["token", "list"], "tokens"),
        (&desk, &["renew"], "files"),
        (&desk, &["rotate-ca", "status"], "phase"),
        (&desk, &["rotate-ca", "finish"], "generation"),
        (&desk, &["rotate-ca", "abort"], "next"),
        (&desk, &["revoke", "app"], "revoked"),
        (&desk, &["export-trust"], "sha256"),
        // What they have on standard error for people is told here, too.
        (&desk, &create, "next"),
        (&desk, &["export-trust"], "next"),
    ] {
        let answer = at.run(&[words, &["--output=json"]].concat());
        assert_eq!(answer.code, Some(0), "{words:?}: {}{}", answer.stdout, answer.stderr);
        assert!(!answer.json()[told].is_null(), "{words:?} has no {told}: {}", answer.stdout);
    }
    let made = desk.run(&[&create[..], &["--output=json"]].concat()).good().json();
    let left = made["expires"].as_i64().unwrap() - Clock.unix().as_secs().cast_signed();
    assert!((1700..=1800).contains(&left), "{left} seconds are not half an hour");
    let text = token(&desk, &issuer, "client", "app3", &[]);
    let joined = join(&desk.folder.path().join("app3"), &text, &["--output=json"]).good();
    assert_eq!(joined.json()["name"], "app3");
    let tokens = desk.run(&["token", "list", "--output=json"]).good().json();
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    for changed in [true, false] {
        let revoked = desk.run(&["token", "revoke", &id, "--output=json"]).good().json();
        assert_eq!(
            (&revoked["revoked"], &revoked["changed"]),
            (&id.as_str().into(), &changed.into())
        );
    }
    let tokens = desk.run(&["token", "list", "--output=json"]).good().json();
    assert_eq!(tokens["tokens"][0]["state"], "revoked");
    let renewed = ["renew", "--pki-dir=app3/pki", "--force", "--output=json"];
    assert_eq!(desk.run(&renewed).good().json()["changed"], true);
    assert!(desk.run(&renewed[..2]).good().stdout.contains("Nothing is due"));
}

#[test]
fn what_goes_wrong_is_told_to_programs_too() {
    let desk = Desk::ready();
    let refused = desk.run(&["init", "--heartbeat-interval=0", "--output=json"]).json();
    let error = refused["error"].as_str().unwrap();
    assert!(error.starts_with("--heartbeat-interval must be"), "{error}");
    for words in [
        &["issue", "robot", "x"][..],
        &["revoke", "nobody"],
        &["token", "revoke", "00"],
        &["join", "nothing"],
        &["serve", "--listen=http://127.0.0.1:0"],
        &["status", "--bogus"],
        &["init", "--heartbeat-interval=0"],
        &["nothing"],
    ] {
        let answer = desk.run(&[words, &["--output=json"]].concat());
        assert_ne!(answer.code, Some(0), "{words:?}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(!error.is_empty() && answer.stderr.contains(&error), "{words:?}");
    }
}
