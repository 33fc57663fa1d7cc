//! Settings of TLS and of who may ask.

use super::{Kind, Setting};

const NO_DIALLING: &str = "this server never dials itself";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("cert-file", Kind::Text, "", "Certificate shown to clients, PEM.")
        .at(&["client-transport-security.cert-file"]),
    Setting::new("key-file", Kind::Text, "", "Its private key, PEM.")
        .at(&["client-transport-security.key-file"]),
    Setting::new("client-cert-auth", Kind::Bool, "false", "Demand and verify client certificates.")
        .at(&["client-transport-security.client-cert-auth"]),
    Setting::new(
        "trusted-ca-file",
        Kind::Text,
        "",
        "Authorities of client certificates; naming them makes such certificates mandatory.",
    )
    .at(&["client-transport-security.trusted-ca-file"]),
    Setting::new("client-crl-file", Kind::Text, "", "Revocation list for client certificates.")
        .at(&["ClientTLSInfo.CRLFile"]),
    Setting::new(
        "client-cert-allowed-hostname",
        Kind::List,
        "",
        "Host names of which a client certificate must carry one.",
    )
    .at(&["client-transport-security.allowed-hostname", "ClientTLSInfo.AllowedHostname"]),
    Setting::new(
        "client-cert-file",
        Kind::Text,
        "",
        "Certificate this server shows when it dials itself.",
    )
    .at(&["client-transport-security.client-cert-file"])
    .idle(NO_DIALLING),
    Setting::new("client-key-file", Kind::Text, "", "Its private key.")
        .at(&["client-transport-security.client-key-file"])
        .idle(NO_DIALLING),
    Setting::new(
        "auto-tls",
        Kind::Bool,
        "false",
        "Make a self-signed certificate for clients when none is given.",
    )
    .at(&["client-transport-security.auto-tls"]),
    Setting::new("peer-cert-file", Kind::Text, "", "Certificate shown to members, PEM.")
        .at(&["peer-transport-security.cert-file"]),
    Setting::new("peer-key-file", Kind::Text, "", "Its private key, PEM.")
        .at(&["peer-transport-security.key-file"]),
    Setting::new(
        "peer-client-cert-auth",
        Kind::Bool,
        "false",
        "Demand and verify certificates of members.",
    )
    .at(&["peer-transport-security.client-cert-auth"]),
    Setting::new(
        "peer-trusted-ca-file",
        Kind::Text,
        "",
        "Authorities that sign certificates of members.",
    )
    .at(&["peer-transport-security.trusted-ca-file"]),
    Setting::new("peer-crl-file", Kind::Text, "", "Revocation list for certificates of members.")
        .at(&["PeerTLSInfo.CRLFile"]),
    Setting::new(
        "peer-cert-allowed-cn",
        Kind::List,
        "",
        "Common names of which a member's certificate must carry one.",
    )
    .at(&["peer-transport-security.allowed-cn", "PeerTLSInfo.AllowedCN"]),
    Setting::new(
        "peer-cert-allowed-hostname",
        Kind::List,
        "",
        "Host names of which a member's certificate must carry one.",
    )
    .at(&["peer-transport-security.allowed-hostname", "PeerTLSInfo.AllowedHostname"]),
    Setting::new(
        "peer-client-cert-file",
        Kind::Text,
        "",
        "Certificate shown when dialling members.",
    )
    .at(&["peer-transport-security.client-cert-file"]),
    Setting::new("peer-client-key-file", Kind::Text, "", "Its private key.")
        .at(&["peer-transport-security.client-key-file"]),
    Setting::new(
        "peer-auto-tls",
        Kind::Bool,
        "false",
        "Make a self-signed certificate for members when none is given.",
    )
    .at(&["peer-transport-security.auto-tls"]),
    Setting::new(
        "peer-skip-client-san-verification",
        Kind::Bool,
        "false",
        "Do not compare a member's address with its certificate.",
    )
    .at(&["peer-transport-security.skip-client-san-verification"])
    .old(&["experimental-peer-skip-client-san-verification"]),
    Setting::new(
        "self-signed-cert-validity",
        Kind::Uint(64),
        "1",
        "Years a self-signed certificate lives.",
    ),
    Setting::new(
        "cipher-suites",
        Kind::List,
        "",
        "TLS 1.2 suites by their IANA names; empty is a good choice.",
    ),
    Setting::new(
        "tls-min-version",
        Kind::Text,
        "TLS1.2",
        "Oldest TLS version spoken: TLS1.2 or TLS1.3.",
    ),
    Setting::new(
        "tls-max-version",
        Kind::Text,
        "",
        "Newest TLS version spoken; empty is the newest there is.",
    ),
    Setting::new(
        "pki-dir",
        Kind::Text,
        "",
        "Directory made by `etcd cert`: serves encrypted with the files in it, unless others are named.",
    ),
    Setting::new(
        "require-tls",
        Kind::Bool,
        "false",
        "Refuse to start when anything is to be served or advertised over plaintext http.",
    ),
    Setting::new(
        "harden-process",
        Kind::Bool,
        "true",
        "Give up memory images, new privileges and writing where nothing need be written.",
    ),
    Setting::new(
        "allow-loose-modes",
        Kind::Bool,
        "false",
        "Use private keys that every user can read and a data directory open to others.",
    ),
    Setting::new("cors", Kind::Origins, "*", "Origins that browsers may call from."),
    Setting::new(
        "host-whitelist",
        Kind::List,
        "*",
        "Host names that are served over plaintext HTTP.",
    ),
    Setting::new(
        "auth-token",
        Kind::Text,
        "simple",
        "Kind of token: simple, or jwt with its options.",
    ),
    Setting::new("auth-token-ttl", Kind::Uint(64), "300", "Seconds a simple token lives."),
    Setting::new("bcrypt-cost", Kind::Uint(64), "10", "Work to hash a password, 4 to 31."),
];
