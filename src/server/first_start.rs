//! What to do next, told once by a service that begins with certificates of its own making.

use crate::config::Config;

/// Logs the next three commands, if this is the first start, the certificates come from the directory of
/// `etcd cert`, and its authorities are on this machine.
pub(super) fn advise(config: &Config, served_before: bool) {
    let dir = config.pki_dir.as_ref().filter(|dir| !served_before && dir.join("ca").is_dir());
    let Some(dir) = dir else { return };
    let usual = dir.as_os_str() == "/etc/etcd/pki";
    let (admin, flag) = (dir.join("clients/admin"), format!(" --pki-dir {}", dir.display()));
    let flag = if usual { "" } else { flag.as_str() };
    let flags = if usual {
        String::new()
    } else {
        let (ca, admin) = (dir.join("ca.crt"), admin.display());
        format!(" --cacert {} --cert {admin}.crt --key {admin}.key", ca.display())
    };
    let endpoint = config.member.advertise_client_urls.first().map(ToString::to_string);
    let endpoint = endpoint.unwrap_or_default();
    tracing::info!(
        "try-it" = format!("etcdctl --endpoints {endpoint}{flags} put foo bar"),
        "let-a-program-in" = format!("etcd cert issue client NAME{flag}"),
        "see-what-ends-when" = format!("etcd cert status{flag}"),
        "this member is new; next, as root or the user of the service"
    );
}
