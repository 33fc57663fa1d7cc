//! Faults in etcd's own words.

use std::time::Duration;

use super::{faults, run};

/// Arguments, exit code and the `error` as the real etcd 3.5 says it.
const SAID_BY_ETCD: &[(&[&str], i32, &str)] = &[
    (&["help"], 1, "'help' is not a valid flag"),
    (&["--version", "bogus"], 1, "'bogus' is not a valid flag"),
    (&["--snapshot", "5"], 1, "'5' is not a valid flag"),
    (&["-"], 1, "'-' is not a valid flag"),
    (&["--logger", "capnslog"], 1, "--logger=capnslog is removed in v3.5"),
    (&["--logger", "foo"], 1, "unknown logger option \"foo\""),
    (&["--log-level", "bogus"], 2, "unrecognized level: \"bogus\""),
    (
        &["--log-outputs", "default,stderr"],
        1,
        "multi logoutput for \"default\" is not supported yet",
    ),
    (
        &["--log-outputs", "stderr,systemd/journal"],
        1,
        "running with systemd/journal but other '--log-outputs' values ([\"stderr\" \
         \"systemd/journal\"]) are configured with 'default'; override 'default' value with \
         something else",
    ),
    (
        &["--enable-log-rotation"],
        1,
        "--log-outputs requires a single file path when --log-rotate-config-json is defined",
    ),
    (
        &["--enable-log-rotation", "--log-outputs=/f", "--log-rotation-config-json={"],
        1,
        "improperly formatted log rotation config: unexpected end of JSON input",
    ),
    (&["--logger="], 1, "unknown logger option \"\""),
    (&["--heartbeat-interval=0"], 1, "--heartbeat-interval must be >0 (set to 0ms)"),
    (
        &["--experimental-compact-hash-check-time=0"],
        1,
        "--experimental-compact-hash-check-time must be >0 (set to 0s)",
    ),
    (
        &["--election-timeout", "100"],
        1,
        "--election-timeout[100ms] should be at least as 5 times as --heartbeat-interval[100ms]",
    ),
    (
        &["--election-timeout", "60000"],
        1,
        "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
    ),
    (
        &["--listen-client-urls", "http://localhost:2379"],
        1,
        "--advertise-client-urls is required when --listen-client-urls is set explicitly",
    ),
    (
        &["--listen-metrics-urls", "http://foo.bar:1"],
        1,
        "expected IP in URL for binding (http://foo.bar:1)",
    ),
    (
        &["--initial-advertise-peer-urls", "http://:2380"],
        1,
        "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected empty \
         host (http://:2380))",
    ),
    (
        &["--advertise-client-urls", "http://:1"],
        1,
        "--advertise-client-urls \"http://:1\" must be \"host:port\" (unexpected empty host \
         (http://:1))",
    ),
    (&["--auto-compaction-mode", "x"], 1, "unknown auto-compaction-mode \"x\""),
    (
        &["--auto-compaction-retention", "5y"],
        1,
        "error parsing CompactionRetention: time: unknown unit \"y\" in duration \"5y\"",
    ),
    (
        &["--tls-min-version", "TLS1.1"],
        1,
        "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)",
    ),
    (
        &["--tls-min-version", "TLS1.3", "--tls-max-version", "TLS1.2"],
        1,
        "min version (TLS1.3) is greater than max version (TLS1.2)",
    ),
    (
        &["--tls-min-version", "TLS1.3", "--cipher-suites", "A"],
        1,
        "cipher suites cannot be configured when only TLS1.3 is enabled",
    ),
    (&["--cipher-suites", "FOO"], 1, "unexpected TLS cipher suite \"FOO\""),
    (
        &["--cipher-suites", "TLS_RSA_WITH_AES_128_CBC_SHA,TLS_FALLBACK_SCSV"],
        1,
        "unexpected TLS cipher suite \"TLS_FALLBACK_SCSV\"",
    ),
    (
        &["--experimental-enable-lease-checkpoint-persist"],
        1,
        "setting experimental-enable-lease-checkpoint-persist requires \
         experimental-enable-lease-checkpoint",
    ),
    (
        &[
            "--listen-client-urls=https://127.0.0.1:3379",
            "--advertise-client-urls=https://127.0.0.1:3379",
        ],
        1,
        "TLS key/cert (--cert-file, --key-file) must be provided for client url \
         https://127.0.0.1:3379 with HTTPS scheme",
    ),
    (
        &[
            "--cert-file=a",
            "--listen-client-urls=https://127.0.0.1:3379",
            "--advertise-client-urls=https://127.0.0.1:3379",
        ],
        1,
        "KeyFile and CertFile must both be present[key: , cert: a]",
    ),
    (
        &[
            "--peer-cert-file=a",
            "--peer-key-file=b",
            "--peer-client-key-file=k",
            "--listen-peer-urls=https://127.0.0.1:3380",
        ],
        1,
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: k, cert: ",
    ),
    (
        &["--listen-peer-urls", "https://127.0.0.1:3380"],
        1,
        "cannot listen on TLS for 127.0.0.1:3380: KeyFile and CertFile are not presented",
    ),
    (
        &["--listen-metrics-urls", "https://127.0.0.1:4444"],
        1,
        "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
    ),
    (
        &[
            "--listen-client-urls=http://127.0.0.1:3379",
            "--listen-client-http-urls=http://127.0.0.1:3379",
            "--advertise-client-urls=http://127.0.0.1:3379",
        ],
        1,
        "cannot bind both --client-listen-urls and --client-listen-http-urls on the same url \
         http://127.0.0.1:3379",
    ),
    (
        &["--initial-cluster", "default"],
        1,
        "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ",
    ),
];

#[test]
fn faults_are_told_in_the_words_of_etcd_with_its_exit_codes() {
    for (args, code, error) in SAID_BY_ETCD {
        assert_eq!(faults(args, &[]), (*code, vec![(*error).to_owned()]), "{args:?}");
    }
}

#[test]
fn what_later_versions_say_is_said_too() {
    for (args, error) in [
        (
            ["--experimental-warning-apply-duration=1s", "--warning-apply-duration=2s"].as_slice(),
            "cannot set --experimental-warning-apply-duration and --warning-apply-duration at the \
             same time, please use --warning-apply-duration only",
        ),
        (
            &["--feature-gates=LeaseCheckpoint=true", "--experimental-enable-lease-checkpoint"],
            "cannot specify both flags: --experimental-enable-lease-checkpoint=true and \
             --feature-gates=LeaseCheckpoint=true at the same time, please just use \
             --feature-gates=LeaseCheckpoint=true",
        ),
        (
            &[
                "--warning-unary-request-duration=1s",
                "--experimental-warning-unary-request-duration=1s",
            ],
            "both --experimental-warning-unary-request-duration and \
             --warning-unary-request-duration flags are set. Use only \
             --warning-unary-request-duration",
        ),
        (
            &["--feature-gates=LeaseCheckpointPersist=true"],
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate \
             LeaseCheckpoint",
        ),
        (&["--auto-compaction-mode="], "undefined auto-compaction-mode"),
        (&["--log-format=foo"], "unknown log format: foo, supported values json, console"),
    ] {
        assert_eq!(faults(args, &[]), (1, vec![error.to_owned()]), "{args:?}");
    }
    let layered = run(
        &["--warning-apply-duration=2s"],
        &[("ETCD_EXPERIMENTAL_WARNING_APPLY_DURATION", "1s")],
    );
    assert_eq!(layered.unwrap().config.member.warning_apply_duration, Duration::from_secs(2));
}
