//! The room as its users see it: arguments, variables and a file in, a configuration or an end out.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use super::*;

mod words;

/// A file of this text, removed with the value.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Loaded, Exit> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    load(&args, env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

/// The `error` of every fault.
fn faults(args: &[&str], env: &[(&str, &str)]) -> (i32, Vec<String>) {
    let exit = run(args, env).expect_err("a fault");
    let errors = exit.stderr.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["msg"] == "failed to verify flags")
            .then(|| line["error"].as_str().map(str::to_owned))?
    });
    (exit.code, errors.collect())
}

fn origin(loaded: &Loaded, name: &str) -> String {
    let found = loaded.provenance.iter().find(|one| one.name == name).unwrap();
    found.origin.split('/').next().unwrap().trim().to_owned()
}

#[test]
fn nothing_said_is_the_default_with_etcds_one_remark() {
    let loaded = run(&[], &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.notes, ["'data-dir' was empty; using default default.etcd"]);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(loaded.provenance.iter().all(|one| one.name == "data-dir" || one.origin == "default"));
}

#[test]
fn flags_cover_variables_cover_the_file_covers_defaults() {
    let file = file("name: f\nwal-dir: /f\nsnapshot-count: 3\n");
    let path = file.path().to_str().unwrap();
    let env = [("ETCD_NAME", "v"), ("ETCD_WAL_DIR", "/v"), ("ETCD_CONFIG_FILE", path)];
    let loaded = run(&["--name=a", "--data-dir", "/d"], &env).unwrap();
    let member = &loaded.config.member;
    assert_eq!(member.name, "a");
    assert_eq!(member.wal_dir, Some("/v".into()));
    assert_eq!(member.snapshot_count, 3);
    assert_eq!(member.max_txn_ops, 128);
    for (name, expected) in [
        ("name", "flag --name"),
        ("wal-dir", "environment ETCD_WAL_DIR"),
        ("snapshot-count", "file"),
        ("max-txn-ops", "default"),
        ("initial-cluster", "follows from --name and --initial-advertise-peer-urls"),
    ] {
        assert_eq!(origin(&loaded, name), expected, "{name}");
    }
    let covered: Vec<_> = loaded.notes.iter().filter(|note| note.contains("covers")).collect();
    assert_eq!(covered.len(), 2, "{covered:?}");
    assert!(covered[0].starts_with("name: flag --name holds and covers file "));
    assert!(covered[0].ends_with(":1, environment ETCD_NAME"));
}

#[test]
fn the_flag_names_the_file_before_the_variable_does() {
    let (mine, other) = (file("name: mine"), file("name: other"));
    let env = [("ETCD_CONFIG_FILE", other.path().to_str().unwrap())];
    let loaded = run(&["--config-file", mine.path().to_str().unwrap()], &env).unwrap();
    assert_eq!(loaded.config.member.name, "mine");
}

#[test]
fn every_branch_of_the_tree_is_reached_by_its_flags() {
    let loaded = run(
        &[
            "--auto-compaction-mode=revision",
            "--auto-compaction-retention=1000",
            "--listen-client-urls=https://127.0.0.1:0,unix://a:1",
            "--advertise-client-urls=https://h:1",
            "--cert-file=/c",
            "--key-file=/k",
            "--client-crl-file=/r",
            "--client-cert-allowed-hostname=a, b",
            "--tls-min-version=TLS1.3",
            "--log-level=DEBUG",
            "--log-format=console",
            "--metrics=extensive",
            "--enable-grpc-gateway=false",
            "--max-concurrent-streams=0",
            "--experimental-watch-progress-notify-interval=0",
            "--feature-gates=LeaseCheckpoint=true,LeaseCheckpointPersist=true",
        ],
        &[],
    );
    let config = loaded.unwrap().config;
    assert_eq!(config.compaction.retention, Retention::Revision(1000));
    assert_eq!(config.member.listen_client_urls.len(), 2);
    assert_eq!(config.client_tls.cert_file, Some("/c".into()));
    assert_eq!(config.client_tls.crl_file, Some("/r".into()));
    assert_eq!(config.client_tls.allowed_hostname, ["a", "b"]);
    assert_eq!(config.tls.min, TlsVersion::V13);
    assert_eq!((config.log.level, config.log.format), (LogLevel::Debug, LogFormat::Console));
    assert_eq!(config.member.metrics, MetricsMode::Extensive);
    assert_eq!(config.member.max_concurrent_streams, u32::MAX);
    assert_eq!(config.member.watch_progress_notify_interval, Duration::from_secs(600));
    assert!(config.features.lease_checkpoint && config.features.lease_checkpoint_persist);
}

#[test]
fn comparisons_are_off_until_asked_for_under_any_name() {
    let usual = run(&[], &[]).unwrap().config.comparisons;
    assert_eq!(usual, Comparisons::default());
    assert!(!usual.initial && usual.everything.is_zero() && !usual.kept);
    let all = Comparisons {
        initial: true,
        everything: Duration::from_secs(3600),
        kept: true,
        kept_pause: Duration::from_secs(5),
    };
    let old = [
        "--experimental-initial-corrupt-check",
        "--experimental-corrupt-check-time=1h",
        "--experimental-compact-hash-check-enabled",
        "--experimental-compact-hash-check-time=5s",
    ];
    let new = [
        "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
        "--corrupt-check-time=1h",
        "--compact-hash-check-time=5s",
    ];
    for args in [old.as_slice(), &new] {
        let loaded = run(args, &[]).unwrap();
        assert_eq!((loaded.config.comparisons, loaded.warnings), (all, vec![]), "{args:?}");
    }
}

#[test]
fn tokens_are_configured_by_flag_variable_and_file_alike() {
    let jwt = "jwt,sign-method=ES256,priv-key=/k,ttl=1m";
    let file = file(&format!("auth-token: {jwt}\nauth-token-ttl: 9\nbcrypt-cost: 5\n"));
    for (args, env) in [
        ([format!("--config-file={}", file.path().display())].to_vec(), vec![]),
        (
            [format!("--auth-token={jwt}"), "--auth-token-ttl=9".into(), "--bcrypt-cost=5".into()]
                .to_vec(),
            vec![],
        ),
        (
            vec![],
            vec![("ETCD_AUTH_TOKEN", jwt), ("ETCD_AUTH_TOKEN_TTL", "9"), ("ETCD_BCRYPT_COST", "5")],
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let auth = run(&args, &env).unwrap().config.auth;
        assert_eq!((auth.ttl, auth.bcrypt_cost), (Duration::from_secs(9), 5));
        assert!(matches!(auth.token, Token::Jwt(jwt) if jwt.method == "ES256"), "{args:?}");
    }
    let loaded = run(&["--bcrypt-cost=3"], &[]).unwrap();
    assert_eq!(loaded.config.auth.bcrypt_cost, 10);
    assert_eq!(loaded.warnings, ["--bcrypt-cost=3 is not between 4 and 31; using 10"]);
    let (code, errors) = faults(&["--auth-token=jwt,sign-method=RS256"], &[]);
    assert_eq!((code, errors.len()), (1, 1));
    assert!(errors[0].starts_with("auth: invalid auth options: "), "{errors:?}");
}

#[test]
fn a_setting_of_a_later_step_is_refused_in_one_line_unless_it_is_the_default() {
    for args in [
        ["--discovery=http://h:1/t"].as_slice(),
        &["--discovery-srv", "example.org"],
        &["--proxy=on"],
        &["--enable-v2"],
        &["--enable-distributed-tracing"],
    ] {
        let (code, errors) = faults(args, &[]);
        assert_eq!((code, errors.len()), (1, 1), "{args:?}: {errors:?}");
    }
    for args in [["--discovery="].as_slice(), &["--proxy=off"]] {
        assert!(run(args, &[]).is_ok_and(|loaded| loaded.warnings.is_empty()), "{args:?}");
    }
    for program in ["gateway", "grpc-proxy"] {
        let exit = run(&[program, "start"], &[]).unwrap_err();
        assert_eq!((exit.code, exit.stderr.lines().count()), (1, 1));
    }
}

#[test]
fn nothing_is_ignored_in_silence() {
    for (args, warning) in [
        ("--max-wals=3", "max-wals (flag --max-wals) changes nothing"),
        ("--snapshot", "snapshot (flag --snapshot) changes nothing"),
        ("--backend-batch-limit=3", "backend-batch-limit"),
        ("--peer-auto-tls", "scheme is HTTP while self-made certificates are asked for"),
        ("--cert-file=/c", "scheme is HTTP while key and cert files are present"),
        ("--client-cert-auth", "scheme is HTTP while client certificates are demanded"),
        ("--unsafe-no-fsync", "unsafe-no-fsync is set"),
        ("--max-request-bytes=104857600", "exceeded recommended request limit"),
    ] {
        let warnings = run(&[args], &[]).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{args}: {warnings:?}");
        assert!(warnings[0].contains(warning), "{args}: {warnings:?}");
    }
    let unknown = run(&[], &[("ETCD_BOGUS", "secret")]).unwrap().warnings;
    assert_eq!(unknown, ["unrecognized environment variable ETCD_BOGUS"]);
}

#[test]
fn plaintext_that_others_can_reach_is_warned_of_or_ruled_out() {
    let reached =
        ["--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://a:2379"];
    let warnings = run(&reached, &[]).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("http://0.0.0.0:2379"), "{warnings:?}");
    let metrics = ["http://0.0.0.0:1,http://127.0.0.1:2,http://10.0.0.1:3"];
    let metrics = metrics.map(|urls| format!("--listen-metrics-urls={urls}"));
    let warnings = run(&[&metrics[0]], &[]).unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|told| told.contains("read metrics and health")), "{warnings:?}");
    // The defaults listen and advertise on four URLs of this machine.
    assert_eq!(faults(&["--require-tls"], &[]).1.len(), 4);
    let tls = [
        "--require-tls",
        "--auto-tls",
        "--peer-auto-tls",
        "--listen-client-urls=https://0.0.0.0:2379",
        "--advertise-client-urls=https://a:2379",
        "--listen-peer-urls=https://0.0.0.0:2380",
        "--initial-advertise-peer-urls=https://a:2380",
        "--initial-cluster=default=https://a:2380",
    ];
    assert!(run(&tls, &[]).unwrap().config.tls.required);
    let (code, errors) =
        faults(&[&tls[..], &["--listen-metrics-urls=http://127.0.0.1:1"]].concat(), &[]);
    assert_eq!((code, errors.len()), (1, 1));
    assert!(errors[0].contains("write https://127.0.0.1:1"), "{errors:?}");
}

#[test]
fn all_faults_of_all_layers_are_told_at_once() {
    let file = file("nmae: x\n");
    let path = format!("--config-file={}", file.path().display());
    let (code, errors) = faults(
        &[&path, "--heartbeat-interval=0", "--discovery=x"],
        &[("ETCD_SNAPSHOT_COUNT", "x")],
    );
    assert_eq!((code, errors.len()), (1, 4), "{errors:?}");
    assert!(errors[0].ends_with(":1: unknown key nmae; did you mean name?"), "{}", errors[0]);
}

#[test]
fn secrets_are_neither_shown_nor_told() {
    let env = [("ETCD_DISCOVERY_PASSWORD", "hunter2")];
    let exit = run(&[], &env).unwrap_err();
    assert!(!exit.stderr.contains("hunter2"), "{}", exit.stderr);
    let file = file("discovery-config: {client: {auth: {password: [hunter2]}}}");
    assert!(!format!("{:?}", check_file(file.path().to_str().unwrap())).contains("hunter2"));
}

#[test]
fn help_and_version_end_well_and_misuse_explains_itself() {
    let help = run(&["--help"], &[]).unwrap_err();
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("--listen-client-urls") && help.stderr.starts_with("Usage:"));
    let version = run(&["-version"], &[("ETCD_SNAPSHOT_COUNT", "x")]).unwrap_err();
    assert_eq!((version.code, version.stdout.lines().count()), (0, 5));
    assert!(run(&["--version=false"], &[]).is_ok());
    let misuse = run(&["--cors="], &[]).unwrap_err();
    assert!(misuse.stderr.starts_with("invalid value \"\" for flag -cors: URL scheme must be"));
    let misuse = run(&["--bogus", "--version"], &[]).unwrap_err();
    assert_eq!(misuse.code, 2);
    assert!(misuse.stderr.starts_with("flag provided but not defined: -bogus\nUsage:\n"));
}

#[test]
fn the_sample_file_is_good_and_shows_the_defaults_of_the_code() {
    const SAMPLE: &str = include_str!("../../packaging/etcd.conf.yml");
    let sample = file(SAMPLE);
    let checked = check_file(sample.path().to_str().unwrap());
    assert_eq!((checked.faults, checked.warnings), (Vec::new(), Vec::new()));
    assert_eq!(checked.config, Some(Config::default()));
    // With every commented setting in force, it says what would hold without it.
    let bare: String = SAMPLE
        .lines()
        .map(|line| match line.trim_start().strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => line.replacen('#', "", 1),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    let contents = file::parse("sample", &bare);
    assert_eq!(contents.faults, Vec::<String>::new());
    let shown: Vec<&str> = contents.given.iter().map(|given| given.setting.name).collect();
    for given in &contents.given {
        let usual = value::parse(given.setting.kind, given.setting.default);
        assert_eq!(Ok(&given.value), usual.as_ref(), "{}", given.setting.name);
    }
    for setting in table::all().filter(|setting| setting.status == Status::Live) {
        let in_file = setting.has_flag() && setting.paths().next().is_some();
        assert!(!in_file || shown.contains(&setting.name), "{} is not in the sample", setting.name);
    }
}
