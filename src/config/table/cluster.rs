//! Settings of the cluster: how it begins, how members find each other, how it changes.

use super::{Kind, Setting};

const DISCOVERY: &str = "discovery of other members";
const PROXY: &str = "the proxy for API version 2";
const V2: &str = "API version 2";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "advertise-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "Client URLs told to clients and members.",
    ),
    Setting::new(
        "initial-advertise-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "Peer URLs told to members; they decide this member's id.",
    ),
    Setting::new(
        "initial-cluster",
        Kind::Text,
        "default=http://localhost:2380",
        "First members as name=url,name=url; follows from --name when only that is given.",
    ),
    Setting::new(
        "initial-cluster-state",
        Kind::Choice(&["new", "existing"]),
        "new",
        "Whether to found a cluster or join a running one.",
    ),
    Setting::new(
        "initial-cluster-token",
        Kind::Text,
        "etcd-cluster",
        "Word mixed into all ids, so that clusters do not mix.",
    ),
    Setting::new(
        "pre-vote",
        Kind::Bool,
        "true",
        "Ask whether an election can be won before holding one.",
    ),
    Setting::new(
        "auto-compaction-mode",
        Kind::Text,
        "periodic",
        "periodic keeps history by time, revision by count.",
    ),
    Setting::new(
        "auto-compaction-retention",
        Kind::Text,
        "0",
        "History kept: a duration such as 30m, a number of hours, or of revisions; 0 keeps all.",
    ),
    Setting::new(
        "force-new-cluster",
        Kind::Bool,
        "false",
        "Forget all other members and go on alone.",
    ),
    Setting::new(
        "strict-reconfig-check",
        Kind::Bool,
        "true",
        "Refuse member changes that could lose the quorum.",
    ),
    Setting::new("max-learners", Kind::Int, "1", "Learners at one time."),
    Setting::new("discovery", Kind::Text, "", "Discovery URL with token.").later(DISCOVERY),
    Setting::new(
        "discovery-fallback",
        Kind::Choice(&["proxy", "exit"]),
        "proxy",
        "What to do when the discovered cluster is full.",
    )
    .later(DISCOVERY),
    Setting::new("discovery-proxy", Kind::Text, "", "HTTP proxy to reach the discovery service.")
        .later(DISCOVERY),
    Setting::new("discovery-srv", Kind::Text, "", "Domain whose SRV records name the members.")
        .later(DISCOVERY),
    Setting::new("discovery-srv-name", Kind::Text, "", "Suffix of the SRV service name.")
        .later(DISCOVERY),
    Setting::new(
        "discovery-endpoints",
        Kind::List,
        "",
        "Endpoints of the etcd that serves discovery.",
    )
    .at(&["discovery-config.client.endpoints"])
    .later(DISCOVERY),
    Setting::new("discovery-token", Kind::Text, "", "Token of the cluster to discover.")
        .at(&["discovery-config.token"])
        .later(DISCOVERY),
    Setting::new(
        "discovery-dial-timeout",
        Kind::Duration,
        "2s",
        "Deadline for dialling discovery.",
    )
    .at(&["discovery-config.client.dial-timeout"])
    .later(DISCOVERY),
    Setting::new(
        "discovery-request-timeout",
        Kind::Duration,
        "5s",
        "Deadline for a request to discovery.",
    )
    .at(&["discovery-config.client.request-timeout"])
    .later(DISCOVERY),
    Setting::new(
        "discovery-keepalive-time",
        Kind::Duration,
        "2s",
        "Pause between pings to discovery.",
    )
    .at(&["discovery-config.client.keepalive-time"])
    .later(DISCOVERY),
    Setting::new(
        "discovery-keepalive-timeout",
        Kind::Duration,
        "6s",
        "Wait for the answer to such a ping.",
    )
    .at(&["discovery-config.client.keepalive-timeout"])
    .later(DISCOVERY),
    Setting::new(
        "discovery-insecure-transport",
        Kind::Bool,
        "true",
        "Speak plaintext with discovery.",
    )
    .at(&["discovery-config.client.secure.insecure-transport"])
    .later(DISCOVERY),
    Setting::new(
        "discovery-insecure-skip-tls-verify",
        Kind::Bool,
        "false",
        "Trust any certificate of discovery.",
    )
    .at(&["discovery-config.client.secure.insecure-skip-tls-verify"])
    .later(DISCOVERY),
    Setting::new("discovery-cert", Kind::Text, "", "Certificate shown to discovery.")
        .at(&["discovery-config.client.secure.cert"])
        .later(DISCOVERY),
    Setting::new("discovery-key", Kind::Text, "", "Key of that certificate.")
        .at(&["discovery-config.client.secure.key"])
        .later(DISCOVERY),
    Setting::new(
        "discovery-cacert",
        Kind::Text,
        "",
        "Authority that signs discovery's certificate.",
    )
    .at(&["discovery-config.client.secure.cacert"])
    .later(DISCOVERY),
    Setting::new("discovery-user", Kind::Text, "", "User at discovery.")
        .at(&["discovery-config.client.auth.username"])
        .later(DISCOVERY),
    Setting::new("discovery-password", Kind::Secret, "", "Password of that user.")
        .at(&["discovery-config.client.auth.password"])
        .later(DISCOVERY),
    Setting::new("enable-v2", Kind::Bool, "false", "Serve API version 2.").later(V2),
    Setting::new(
        "experimental-enable-v2v3",
        Kind::Text,
        "",
        "Key prefix under which API version 2 is emulated.",
    )
    .later(V2),
    Setting::new(
        "v2-deprecation",
        Kind::Choice(&[
            "not-yet",
            "write-only",
            "write-only-skip-check",
            "write-only-drop-data",
            "gone",
        ]),
        "not-yet",
        "How far the removal of API version 2 has come.",
    )
    .idle("there is no version 2 data here"),
    Setting::new(
        "proxy",
        Kind::Choice(&["off", "readonly", "on"]),
        "off",
        "Run as a proxy for API version 2.",
    )
    .later(PROXY),
    Setting::new(
        "proxy-failure-wait",
        Kind::Uint(64),
        "5000",
        "Milliseconds a failed endpoint is avoided.",
    )
    .later(PROXY),
    Setting::new(
        "proxy-refresh-interval",
        Kind::Uint(64),
        "30000",
        "Milliseconds between refreshes of the endpoints.",
    )
    .later(PROXY),
    Setting::new("proxy-dial-timeout", Kind::Uint(64), "1000", "Milliseconds to dial.")
        .later(PROXY),
    Setting::new("proxy-write-timeout", Kind::Uint(64), "5000", "Milliseconds to write.")
        .later(PROXY),
    Setting::new("proxy-read-timeout", Kind::Uint(64), "0", "Milliseconds to read.").later(PROXY),
];
