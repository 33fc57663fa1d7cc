//! `etcd config show` and `etcd config check FILE`: what a server would start with, and what keeps
//! it from starting. Neither starts anything nor writes a file.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::config::{self, Checked, Config, Exit, Loaded, Tls};
use crate::transport::Material;
use crate::types::clock::Clock;

const USAGE: &str = "\
Usage:

  etcd config show [flags]
    Show the settings a server with these flags would start with, and where each comes from.

  etcd config check FILE
    Name every fault of a configuration file.
";

/// Does what `args`, the words behind `etcd config`, ask for; `env` is the environment.
///
/// The exit code is 0 when all is well, 1 when there are faults, 2 when the words make no sense.
pub fn run(args: &[OsString], env: impl IntoIterator<Item = (String, String)>) -> Exit {
    let word = args.first().map(|word| word.to_string_lossy().into_owned());
    match (word.as_deref(), &args[args.len().min(1)..]) {
        (Some("show"), flags) => match config::load(flags, env) {
            Ok(loaded) => show(&loaded),
            Err(exit) => exit,
        },
        (Some("check"), [file]) => check(&file.to_string_lossy()),
        (Some("help" | "-h" | "-help" | "--help"), []) => end(0, USAGE.into(), String::new()),
        _ => end(2, String::new(), USAGE.into()),
    }
}

fn end(code: i32, stdout: String, stderr: String) -> Exit {
    Exit { code, stdout, stderr }
}

/// One line for each setting this server serves and for each other one that was given.
fn show(loaded: &Loaded) -> Exit {
    let rows: Vec<_> =
        loaded.provenance.iter().filter(|one| one.serves || one.origin != "default").collect();
    let names = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    // A long value, such as a JSON text, may stand out; it must not push the others away.
    let values = rows.iter().map(|row| row.value.len()).filter(|width| *width <= 48);
    let values = values.max().unwrap_or_default();
    let mut table = format!("{:names$}  {:values$}  {}\n", "SETTING", "VALUE", "FROM");
    for row in rows {
        let value = if row.value.is_empty() { "\"\"" } else { &row.value };
        let _ = writeln!(table, "{:names$}  {value:values$}  {}", row.name, row.origin);
    }
    let told = loaded.warnings.iter().map(|line| format!("warning: {line}\n"));
    let told = told.chain(loaded.notes.iter().map(|line| format!("note: {line}\n")));
    end(0, table, told.collect())
}

fn check(path: &str) -> Exit {
    let Checked { mut faults, mut warnings, config } = config::check_file(path);
    if let Some(config) = config {
        certificates(&config, &mut faults, &mut warnings);
    }
    let told: String = faults
        .iter()
        .map(|line| format!("fault: {line}\n"))
        .chain(warnings.iter().map(|line| format!("warning: {line}\n")))
        .collect();
    match faults.len() {
        0 => end(0, format!("{path}: a server would start with this\n"), told),
        1 => end(1, format!("{path}: 1 fault\n"), told),
        many => end(1, format!("{path}: {many} faults\n"), told),
    }
}

/// Opens what TLS listeners would open: files, keys that fit, dates, suites.
fn certificates(config: &Config, faults: &mut Vec<String>, warnings: &mut Vec<String>) {
    let member = &config.member;
    let client = [&member.listen_client_urls[..], &member.listen_client_http_urls].concat();
    let sides = [
        (
            "client",
            client.iter().chain(&member.listen_metrics_urls).any(|url| url.scheme.is_tls()),
            &config.client_tls,
        ),
        ("peer", member.listen_peer_urls.iter().any(|url| url.scheme.is_tls()), &config.peer_tls),
    ];
    for (side, listens, tls) in sides {
        if listens {
            match open(tls, config) {
                Ok(told) => warnings.extend(told.into_iter().map(|line| format!("{side}: {line}"))),
                Err(why) => faults.push(format!("{side}: {why}")),
            }
        }
    }
}

fn open(tls: &Tls, config: &Config) -> Result<Vec<String>, String> {
    let material = Material::load(tls, &config.tls).map_err(|why| why.to_string())?;
    let now = i64::try_from(Clock.unix().as_secs()).unwrap_or(i64::MAX);
    material.check_valid_at(now).map_err(|why| why.to_string())?;
    // Without a certificate the server makes one.
    if material.certificate().is_some() {
        material.server_config().map_err(|why| why.to_string())?;
    }
    Ok(material.warnings().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Exit {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        super::run(&args, [("ETCD_NAME".to_owned(), "v".to_owned())])
    }

    #[test]
    fn show_names_value_and_origin_of_every_setting() {
        let exit = run(&["show", "--max-txn-ops=0x10", "--max-wals=3"]);
        assert_eq!(exit.code, 0, "{}", exit.stderr);
        let row = |name: &str| {
            let line = exit.stdout.lines().find(|line| line.split(' ').next() == Some(name));
            line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(row("name").as_deref(), Some("name v environment ETCD_NAME"));
        assert_eq!(row("max-txn-ops").as_deref(), Some("max-txn-ops 16 flag --max-txn-ops"));
        assert_eq!(row("max-wals").as_deref(), Some("max-wals 3 flag --max-wals"));
        assert_eq!(row("data-dir").as_deref(), Some("data-dir v.etcd follows from --name"));
        assert_eq!(row("wal-dir").as_deref(), Some("wal-dir \"\" default"));
        assert_eq!(row("discovery"), None);
        assert!(exit.stderr.contains("warning: max-wals"));
        assert_eq!(run(&["show", "--heartbeat-interval=0"]).code, 1);
    }

    #[test]
    fn check_names_every_fault_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.yml");
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            run(&["check", path.to_str().unwrap()])
        };
        assert_eq!(check("name: x\n").code, 0);
        let bad = check("nmae: x\nelection-timeout: 3\ndiscovery: x\n");
        assert_eq!((bad.code, bad.stderr.lines().count()), (1, 3), "{}", bad.stderr);
        assert!(bad.stdout.ends_with(": 3 faults\n"));
        let tls = check(
            "listen-client-urls: https://127.0.0.1:0\nclient-transport-security:\n  \
             cert-file: /nope/c\n  key-file: /nope/k\n",
        );
        assert!(tls.stderr.contains("/nope/"), "{}", tls.stderr);
        let made = check(
            "listen-client-urls: https://127.0.0.1:0\nlisten-peer-urls: https://127.0.0.1:0\n\
             client-transport-security: {auto-tls: true, trusted-ca-file: /nope/ca}\n\
             peer-transport-security: {auto-tls: true, trusted-ca-file: /nope/peer-ca}\n",
        );
        assert_eq!(made.stderr.matches("cannot read").count(), 2, "{}", made.stderr);
        let suites = check("cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA255, FOO]\n");
        assert!(suites.stderr.contains("did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?"));
        assert_eq!((suites.code, suites.stderr.lines().count()), (1, 2), "{}", suites.stderr);
        assert_eq!((tls.code, run(&["check", "/nope.yml"]).code), (1, 1));
    }

    #[test]
    fn words_that_make_no_sense_are_explained() {
        for args in [[].as_slice(), &["bogus"], &["check"], &["check", "a", "b"]] {
            let exit = run(args);
            assert_eq!((exit.code, exit.stderr.as_str()), (2, USAGE), "{args:?}");
        }
        assert_eq!(run(&["--help"]).code, 0);
    }
}
