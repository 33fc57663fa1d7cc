//! Host names as certificates hold them.

/// Whether the name in a certificate stands for a host, whatever the case of either: one `*` may be in the place
/// of the first label (RFC 6125, section 6.4.3).
pub fn stands_for(name: &str, host: &str) -> bool {
    let below = |suffix: &str| {
        let parts = host.split_once('.');
        parts.is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(suffix))
    };
    name.eq_ignore_ascii_case(host) || name.strip_prefix("*.").is_some_and(below)
}
