//! What several commands need: the moment, the environment, the directory, the owner.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Words;
use super::report::Refusal;
use crate::certs::{
    CertError, Facts, Layout, Lives, Owner, Purpose, make_dir as make_cert_dir, read,
};
use crate::transport::sha256;
use crate::types::url::Url;

/// Where packages keep certificates.
const PKI_DIR: &str = "/etc/etcd/pki";

/// What a command runs in.
pub(super) struct Context {
    /// Since the Unix epoch.
    pub(super) now: Duration,
    /// The environment.
    pub(super) env: Vec<(String, String)>,
}

impl Context {
    /// The moment in Unix seconds.
    pub(super) fn seconds(&self) -> i64 {
        self.now.as_secs().cast_signed()
    }
}

/// The directory that `--pki-dir` names.
///
/// # Errors
/// If there is no such path, as when the working directory is gone.
pub(super) fn layout(words: &Words) -> Result<Layout, Refusal> {
    let dir = words.get("pki-dir").unwrap_or(PKI_DIR);
    Ok(Layout::of(&absolute(dir)?))
}

/// Makes a directory for certificates outside the authorities' own, if it is missing: the one that holds
/// everything for all to read, those below it and elsewhere for their owner alone. Tells whom files in it
/// are to belong to.
///
/// # Errors
/// If it cannot be made.
pub(super) fn make_dir(layout: &Layout, dir: &Path) -> Result<Option<Owner>, Refusal> {
    let top = layout.dir();
    if !dir.starts_with(top) {
        make_cert_dir(dir, 0o700, None)?;
        return Ok(Owner::of(dir)?);
    }
    make_cert_dir(top, 0o755, None)?;
    let owner = Owner::of(top)?;
    make_cert_dir(dir, 0o700, owner)?;
    Ok(owner)
}

/// A path that means the same in every working directory: it is shown for use elsewhere.
pub(super) fn absolute(path: &str) -> Result<PathBuf, Refusal> {
    std::path::absolute(path).map_err(|error| Refusal::Failed(format!("{path}: {error}")))
}

/// ` --pki-dir DIR`, if it has to be said.
pub(super) fn dir_flag(layout: &Layout) -> String {
    if layout.dir() == Path::new(PKI_DIR) {
        return String::new();
    }
    format!(" --pki-dir {}", layout.dir().display())
}

/// How long leaves are to live.
pub(super) fn leaf_life(words: &Words) -> Result<Duration, Refusal> {
    let life = words.life("ttl").map_err(Refusal::Misuse)?;
    Ok(life.unwrap_or(Lives::default().leaf))
}

/// The names `--san` gives.
///
/// # Errors
/// If one is neither a host name nor an address.
pub(super) fn sans(words: &Words) -> Result<Vec<String>, Refusal> {
    let names = words.list("san");
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.*".contains(letter);
    match names.iter().find(|name| name.parse::<IpAddr>().is_err() && !name.chars().all(letter)) {
        None => Ok(names),
        Some(name) => Err(Refusal::Misuse(format!(
            "--san: {name:?} is neither a host name nor an address; write it without scheme and port"
        ))),
    }
}

/// `server`, `peer` or `client`.
pub(super) fn purpose(word: &str) -> Result<Purpose, Refusal> {
    match word {
        "server" => Ok(Purpose::Server),
        "peer" => Ok(Purpose::Peer),
        "client" => Ok(Purpose::Client),
        other => Err(Refusal::Misuse(format!(
            "{other:?} is no kind of certificate; there are server, peer and client"
        ))),
    }
}

/// The user `--owner` names.
pub(super) fn owner(words: &Words) -> Result<Option<Owner>, Refusal> {
    let Some(name) = words.get("owner") else { return Ok(None) };
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find_owner(name, &known).map(Some).ok_or_else(|| {
        let hint = "give a user of /etc/passwd, or UID:GID";
        Refusal::Misuse(format!("--owner: there is no user {name:?}; {hint}"))
    })
}

fn find_owner(name: &str, known: &str) -> Option<Owner> {
    if let Some((uid, gid)) = name.split_once(':') {
        return Some(Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? });
    }
    known.lines().find_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
        [user, _, uid, gid, ..] if *user == name || *uid == name => {
            Some(Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        }
        _ => None,
    })
}

/// The issuers `--issuer` names, or this one when it names none.
///
/// # Errors
/// If one is no URL, or is not encrypted.
pub(super) fn issuers(words: &Words, usual: String) -> Result<Vec<Url>, Refusal> {
    let fault = |text: String| Refusal::Misuse(format!("--issuer: {text}"));
    let given = match words.list("issuer") {
        given if given.is_empty() => vec![usual],
        given => given,
    };
    let mut urls = Vec::new();
    for text in given {
        let url = Url::parse(&text).map_err(|error| fault(error.to_string()))?;
        if !url.scheme.is_tls() {
            return Err(fault(format!("{text} is not encrypted; write https://")));
        }
        urls.push(url);
    }
    Ok(urls)
}

/// By which others know the root: SHA-256 of its public key.
///
/// # Errors
/// If it is not here.
pub(super) fn pin(layout: &Layout) -> Result<Vec<u8>, Refusal> {
    let path = layout.root();
    let roots = certificates(&path)?;
    let root =
        roots.first().ok_or_else(|| Refusal::Failed(format!("{} is empty", path.display())))?;
    Ok(sha256(&root.spki))
}

/// Does what takes a runtime, in one of its own.
///
/// # Errors
/// If there cannot be one.
pub(super) fn block_on<T>(job: impl Future<Output = T>) -> Result<T, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Refusal::Failed(format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(job);
    // Looking up a name may still block a thread, and nobody waits for it.
    runtime.shutdown_background();
    Ok(done)
}

/// The certificates in a file.
///
/// # Errors
/// If it is not there, cannot be read, or holds something else.
pub(super) fn certificates(path: &Path) -> Result<Vec<Facts>, CertError> {
    let what = path.display().to_string();
    match read(path)? {
        Some(text) => Facts::from_pem(&what, &text),
        None => Err(CertError::Content { what, detail: "there is no such file".to_owned() }),
    }
}

/// The SHA-256 of a certificate or a key as browsers and `openssl` show it.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let pairs: Vec<String> = sha256(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// A moment, Unix seconds, as `2026-11-26 13:00:00Z`.
pub(super) fn moment(seconds: i64) -> String {
    let layout =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(layout).ok()).unwrap_or_else(|| "?".to_owned())
}

/// A span in the unit a person would use; negative is past.
pub(super) fn span(seconds: i64) -> String {
    let (sign, length) = if seconds < 0 { ("-", seconds.saturating_neg()) } else { ("", seconds) };
    match length {
        0..7200 => format!("{sign}{}m", length / 60),
        7200..172_800 => format!("{sign}{}h", length / 3600),
        _ => format!("{sign}{}d", length / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_known_user_or_two_numbers() {
        let known = "root:x:0:0:root:/root:/bin/sh\netcd:x:977:976::/:/sbin/nologin\n";
        assert_eq!(find_owner("etcd", known), Some(Owner { uid: 977, gid: 976 }));
        assert_eq!(find_owner("977", known), Some(Owner { uid: 977, gid: 976 }));
        assert_eq!(find_owner("5:6", known), Some(Owner { uid: 5, gid: 6 }));
        assert_eq!(find_owner("nobody", known), None);
    }

    #[test]
    fn fingerprints_and_moments_look_as_elsewhere() {
        assert!(fingerprint(b"abc").starts_with("BA:78:16:BF:8F:01"));
        assert_eq!(moment(1_800_000_000), "2027-01-15 08:00:00Z");
        assert_eq!(
            (span(-90_000), span(172_800), span(60)),
            ("-25h".into(), "2d".into(), "1m".into())
        );
    }
}
