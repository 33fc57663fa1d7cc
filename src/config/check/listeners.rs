//! URLs to listen on and to advertise, and the TLS they need.

use std::path::PathBuf;

use super::Findings;
use crate::config::{Config, Tls};
use crate::types::url::{Scheme, Url};

pub(super) fn check(config: &Config, found: &mut Findings) {
    let member = &config.member;
    let client = [&member.listen_client_urls[..], &member.listen_client_http_urls].concat();
    for urls in [&member.listen_peer_urls, &client, &member.listen_metrics_urls] {
        bindable(urls, found);
    }
    for url in &member.listen_client_http_urls {
        if member.listen_client_urls.contains(url) {
            found.fault(format!(
                "cannot bind both --client-listen-urls and --client-listen-http-urls on the same \
                 url {url}"
            ));
        }
    }
    reachable("initial-advertise-peer-urls", &member.initial_advertise_peer_urls, found);
    reachable("advertise-client-urls", &member.advertise_client_urls, found);
    material("client", &client, &config.client_tls, found);
    material("peer", &member.listen_peer_urls, &config.peer_tls, found);
    plaintext_anywhere(config, found);
    let secure = member.listen_metrics_urls.iter().any(|url| url.scheme.is_tls());
    if secure && missing(&config.client_tls) {
        found.fault(
            "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
        );
    }
}

/// What anybody on the network can read: refused with `--require-tls`, told otherwise.
fn plaintext_anywhere(config: &Config, found: &mut Findings) {
    let member = &config.member;
    let open = |url: &&Url| url.scheme == Scheme::Http;
    if config.tls.required {
        for (flag, urls) in [
            ("listen-client-urls", &member.listen_client_urls),
            ("listen-client-http-urls", &member.listen_client_http_urls),
            ("listen-peer-urls", &member.listen_peer_urls),
            ("listen-metrics-urls", &member.listen_metrics_urls),
            ("advertise-client-urls", &member.advertise_client_urls),
            ("initial-advertise-peer-urls", &member.initial_advertise_peer_urls),
        ] {
            for url in urls.iter().filter(open) {
                found.fault(format!(
                    "--{flag} has {url}, and --require-tls allows no plaintext: write https://{}, \
                     with certificates (`etcd cert init` makes them), or drop --require-tls",
                    url.authority
                ));
            }
        }
        return;
    }
    let everything = "read and write everything";
    for (flag, urls, may) in [
        ("listen-client-urls", &member.listen_client_urls, everything),
        ("listen-client-http-urls", &member.listen_client_http_urls, everything),
        ("listen-peer-urls", &member.listen_peer_urls, everything),
        ("listen-metrics-urls", &member.listen_metrics_urls, "read metrics and health"),
    ] {
        for url in urls.iter().filter(open).filter(|url| !url.is_local()) {
            found.warn(format!(
                "--{flag} has {url}: whoever reaches it can {may}, unencrypted; use https, and \
                 --require-tls to be sure"
            ));
        }
    }
}

/// A host name may resolve to anything, so only an address or `localhost` is bound.
fn bindable(urls: &[Url], found: &mut Findings) {
    for url in urls.iter().filter(|url| !url.scheme.is_unix()) {
        let host = url.host();
        if host != "localhost" && host.parse::<std::net::IpAddr>().is_err() {
            found.fault(format!("expected IP in URL for binding ({url})"));
        }
    }
}

fn reachable(name: &str, urls: &[Url], found: &mut Findings) {
    let nowhere = urls.iter().find(|url| !url.scheme.is_unix() && url.host().is_empty());
    if let Some(url) = nowhere {
        let list: Vec<String> = urls.iter().map(ToString::to_string).collect();
        found.fault(format!(
            "--{name} {:?} must be \"host:port\" (unexpected empty host ({url}))",
            list.join(",")
        ));
    }
}

/// Neither certificate nor key, and none to be made.
fn missing(tls: &Tls) -> bool {
    tls.cert_file.is_none() && tls.key_file.is_none() && !tls.auto
}

fn material(side: &str, urls: &[Url], tls: &Tls, found: &mut Findings) {
    if urls.iter().any(|url| url.scheme.is_tls()) {
        halves(tls, found);
    }
    for url in urls {
        match (url.scheme.is_tls(), side) {
            (true, "client") if missing(tls) => found.fault(format!(
                "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} \
                 with HTTPS scheme"
            )),
            (true, _) if missing(tls) => found.fault(format!(
                "cannot listen on TLS for {}: KeyFile and CertFile are not presented",
                url.authority
            )),
            (true, _) => {}
            (false, _) => plaintext(side, url, tls, found),
        }
    }
}

/// A certificate without its key or a key without its certificate.
fn halves(tls: &Tls, found: &mut Findings) {
    let show = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    };
    let (cert, key) = (&tls.cert_file, &tls.key_file);
    if cert.is_some() != key.is_some() {
        found.fault(format!(
            "KeyFile and CertFile must both be present[key: {}, cert: {}]",
            show(key),
            show(cert)
        ));
    }
    let (cert, key) = (&tls.client_cert_file, &tls.client_key_file);
    if cert.is_some() != key.is_some() {
        found.fault(format!(
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: {}, cert: {}",
            show(key),
            show(cert)
        ));
    }
}

fn plaintext(side: &str, url: &Url, tls: &Tls, found: &mut Findings) {
    if tls.cert_file.is_some() || tls.key_file.is_some() {
        found.warn(format!(
            "scheme is HTTP while key and cert files are present; ignoring key and cert files \
             ({side} url {url})"
        ));
    }
    if tls.auto {
        found.warn(format!(
            "scheme is HTTP while self-made certificates are asked for; none is made ({side} url \
             {url})"
        ));
    }
    if tls.client_cert_auth {
        found.warn(format!(
            "scheme is HTTP while client certificates are demanded; ignoring that demand \
             ({side} url {url})"
        ));
    }
}
