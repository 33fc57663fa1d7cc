use super::*;
use crate::certs::{Files, Leaf, Purpose};

const NOW: Duration = Duration::from_secs(1_800_000_000);
const LIFE: Duration = Duration::from_secs(365 * 86_400);

fn pki(dir: &Path) -> Pki {
    let pki = Pki::create(Layout::of(dir), None, NOW).unwrap();
    pki.ensure_authorities(LIFE, false).unwrap();
    pki
}

fn issue(pki: &Pki, purpose: Purpose, name: &str) -> Files {
    let files = pki.layout().pair(purpose, name);
    let hosts = vec!["localhost".to_owned()];
    let validity = pki.validity(Duration::from_secs(86_400));
    let leaf = Leaf { common_name: name.to_owned(), hosts, purpose, validity };
    pki.ensure_leaf(&files, &leaf, true).unwrap();
    files
}

fn facts(path: &Path) -> Vec<Facts> {
    Facts::from_pem("", &read(path).unwrap().unwrap()).unwrap()
}

/// The subjects of what is trusted: the root, then the two sides.
fn trusted(pki: &Pki) -> [Vec<String>; 3] {
    let own = pki.layout();
    [own.root(), own.authority(Side::Client), own.authority(Side::Peer)]
        .map(|path| facts(&path).into_iter().map(|facts| facts.subject).collect())
}

#[test]
fn both_are_trusted_until_everything_is_of_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let pki = pki(dir.path());
    let old = trusted(&pki);
    let client = issue(&pki, Purpose::Client, "app");
    let key = read(&pki.layout().root_key()).unwrap();
    assert_eq!(
        pki.start_rotation(LIFE).unwrap(),
        Trusted { generation: 2, phase: Phase::Trusting }
    );
    pki.publish().unwrap();
    let both = trusted(&pki);
    for (old, both) in old.iter().zip(&both) {
        assert_eq!((both.len(), &both[0]), (2, &old[0]));
    }
    // The old ones sign still, and starting again changes nothing.
    issue(&pki, Purpose::Server, "db1");
    assert!(pki.outstanding().unwrap().is_empty());
    assert_eq!(pki.start_rotation(LIFE).unwrap().generation, 2);
    assert_eq!(pki.sign_with(true).unwrap(), Trusted { generation: 3, phase: Phase::Reissuing });
    pki.publish().unwrap();
    assert_eq!(trusted(&pki).map(|names| names[0].clone()), both.map(|names| names[1].clone()));
    let mut left: Vec<_> =
        pki.outstanding().unwrap().into_iter().map(|one| one.common_name).collect();
    left.sort();
    assert_eq!(left, ["app", "db1"]);
    pki.renew(&client, &[], None).unwrap();
    let server = issue(&pki, Purpose::Server, "db1");
    assert!(pki.outstanding().unwrap().is_empty());
    // What a server shows leads to either root.
    let chain = facts(&server.certificate);
    let issuers: Vec<_> = chain[1..].iter().map(|facts| facts.issuer.clone()).collect();
    assert_eq!(issuers, [old[0][0].clone(), trusted(&pki)[0][0].clone()]);
    assert_eq!(pki.end_rotation().unwrap(), Trusted { generation: 4, phase: Phase::Settled });
    pki.publish().unwrap();
    assert!(trusted(&pki).iter().zip(&old).all(|(new, old)| new.len() == 1 && new != old));
    assert_ne!(read(&pki.layout().root_key()).unwrap(), key);
    assert!(!pki.layout().rotation_dir().exists());
    issue(&pki, Purpose::Peer, "");
    pki.ensure_authorities(LIFE, false).unwrap();
}

#[test]
fn a_certificate_is_taken_back_by_whoever_signed_it() {
    let dir = tempfile::tempdir().unwrap();
    let pki = pki(dir.path());
    let old = facts(&issue(&pki, Purpose::Client, "old").certificate).remove(0);
    pki.start_rotation(LIFE).unwrap();
    pki.sign_with(true).unwrap();
    let new = facts(&issue(&pki, Purpose::Client, "new").certificate).remove(0);
    pki.revoke(Side::Client, &[old.clone(), new.clone()]).unwrap();
    let lists = read(&pki.layout().revocations(Side::Client)).unwrap().unwrap();
    assert_eq!(lists.matches("BEGIN X509 CRL").count(), 2);
    assert!(pki.is_revoked(&old).unwrap() && pki.is_revoked(&new).unwrap());
    // What was revoked need not be made anew, and stays revoked where its authority stays.
    assert!(pki.outstanding().unwrap().is_empty());
    pki.end_rotation().unwrap();
    pki.publish().unwrap();
    assert!(!pki.is_revoked(&old).unwrap() && pki.is_revoked(&new).unwrap());
}

#[test]
fn a_replacement_that_is_given_up_leaves_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let pki = pki(dir.path());
    let before = trusted(&pki);
    pki.start_rotation(LIFE).unwrap();
    pki.sign_with(true).unwrap();
    pki.publish().unwrap();
    let server = issue(&pki, Purpose::Server, "db1");
    assert_eq!(pki.sign_with(false).unwrap(), Trusted { generation: 4, phase: Phase::Trusting });
    assert_eq!(pki.outstanding().unwrap().len(), 1);
    pki.renew(&server, &[], None).unwrap();
    // Whoever knows only the new root by now still finds its way.
    assert_eq!(facts(&server.certificate).len(), 3);
    assert!(pki.outstanding().unwrap().is_empty());
    assert_eq!(pki.end_rotation().unwrap(), Trusted { generation: 5, phase: Phase::Settled });
    pki.publish().unwrap();
    assert_eq!(trusted(&pki), before);
    pki.ensure_authorities(LIFE, false).unwrap();
}

#[test]
fn the_key_of_the_old_root_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let pki = pki(dir.path());
    std::fs::remove_file(pki.layout().root_key()).unwrap();
    assert!(pki.start_rotation(LIFE).unwrap_err().to_string().contains("bring it back"));
    assert_eq!(pki.trusted().unwrap(), Trusted::default());
}
