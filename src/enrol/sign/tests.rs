use super::*;
use crate::certs::read;
use crate::certs::{Files, Key, Lives};

/// An authority, and a desk beside it.
struct Office {
    _folder: tempfile::TempDir,
    desk: Desk,
}

impl Office {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::of(folder.path());
        let pki = Pki::create(layout.clone(), None, Clock.unix()).unwrap();
        pki.ensure_authorities(Lives::default().authority, false).unwrap();
        Self { _folder: folder, desk: Desk { layout, life: Duration::from_secs(3600) } }
    }

    /// A pair that was signed here.
    fn pair(&self, name: &str, hosts: &[&str], life: Duration) -> Pair {
        self.pair_made_at(Clock.unix(), name, hosts, life)
    }

    fn pair_made_at(&self, now: Duration, name: &str, hosts: &[&str], life: Duration) -> Pair {
        let pki = Pki::open(self.desk.layout.clone(), now).unwrap();
        let purpose = Purpose::Server;
        let dir = self.desk.layout.dir();
        let files = Files {
            certificate: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        };
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let validity = pki.validity(life);
        let leaf = Leaf { common_name: name.to_owned(), hosts, purpose, validity };
        pki.ensure_leaf(&files, &leaf, false).unwrap();
        let text = |path| read(path).unwrap().unwrap();
        let facts = Facts::from_pem("", &text(&files.certificate)).unwrap().remove(0);
        Pair { facts, key: Key::from_pem("", &text(&files.key)).unwrap(), leaf }
    }

    /// A token's credential, and its record on the disk.
    fn token(&self, role: Role, hosts: &[&str]) -> Credential {
        let record = Record {
            id: "00ff".to_owned(),
            secret_sha256: hex(&sha256(b"secret")),
            role,
            name: "db2".to_owned(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            expires: Clock.unix().as_secs() + 60,
            uses_left: 1,
            keys: Vec::new(),
            member: None,
            revoked: false,
        };
        self.desk.tokens().write(&self.desk.open().unwrap(), &record).unwrap();
        Credential { id: record.id, secret: b"secret".to_vec().into() }
    }
}

struct Pair {
    facts: Facts,
    key: Key,
    leaf: Leaf,
}

impl Pair {
    fn request(&self, new: &Key) -> RenewRequest {
        let request = Request::make(&self.leaf, new).unwrap();
        let signature = self.key.sign(&renewal_text(&self.facts.der, &request)).unwrap().into();
        RenewRequest { certificate: self.facts.der.clone().into(), request, signature }
    }
}

fn refused<T>(answer: Result<T, Refusal>) -> String {
    match answer {
        Err(Refusal::Denied(text) | Refusal::Request(text)) => text,
        Err(Refusal::Broken(error)) => panic!("{error}"),
        Ok(_) => panic!("it was signed"),
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_certificate_is_renewed_for_its_owner_and_says_the_same() {
    let office = Office::new();
    let (pair, new) = (office.pair("db1", &["db1", "::1"], HOUR), Key::generate().unwrap());
    let answer = office.desk.renew(&pair.request(&new), "here").unwrap();
    let facts = Facts::from_pem("", &answer.certificate).unwrap().remove(0);
    assert_eq!(facts.public_key, new.public());
    assert_ne!(facts.serial, pair.facts.serial);
    assert_eq!(
        (&facts.common_name, &facts.hosts, facts.life()),
        (&pair.facts.common_name, &pair.facts.hosts, pair.facts.life())
    );
}

#[test]
fn nobody_else_has_it_renewed() {
    let (office, new) = (Office::new(), Key::generate().unwrap());
    let pair = office.pair("db1", &["db1"], HOUR);
    let good = || pair.request(&new);
    let renew = |request: &RenewRequest| refused(office.desk.renew(request, "there"));

    // Of another authority, and with a key that is not the certificate's.
    let stranger = Office::new().pair("db1", &["db1"], HOUR);
    assert!(renew(&stranger.request(&new)).contains("not signed here"));
    let thief = Pair { key: Key::generate().unwrap(), ..office.pair("db1", &["db1"], HOUR) };
    assert!(renew(&thief.request(&new)).contains("not signed with the key"));
    // A signature is good for the request it was made for alone.
    let other = Request::make(&pair.leaf, &Key::generate().unwrap()).unwrap();
    let swapped = RenewRequest { request: other, ..good() };
    assert!(renew(&swapped).contains("not signed with the key"));
    let garbage = RenewRequest { certificate: b"no certificate".to_vec().into(), ..good() };
    assert!(renew(&garbage).contains("not an X.509 certificate"));
    // With the key there is already, and with the issuer's own name.
    assert!(renew(&pair.request(&pair.key)).contains("a new key"));
    let issuer = office.pair("issuer", &[ISSUER_NAME], HOUR);
    assert!(renew(&issuer.request(&new)).contains("renews its own"));

    let pki = office.desk.open().unwrap();
    pki.revoke(Side::Client, std::slice::from_ref(&pair.facts)).unwrap();
    drop(pki);
    assert!(renew(&good()).contains("was revoked"));
}

#[test]
fn what_has_expired_is_not_renewed() {
    let office = Office::new();
    let long_ago = Clock.unix().saturating_sub(100 * HOUR);
    let pair = office.pair_made_at(long_ago, "old", &["old"], HOUR);
    let answer = office.desk.renew(&pair.request(&Key::generate().unwrap()), "there");
    assert!(refused(answer).contains("has expired"));
}

#[test]
fn a_token_may_say_which_names_there_are() {
    let office = Office::new();
    let credential = office.token(Role::Member, &["10.0.0.6", "db2.example.org"]);
    let request = |purpose, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let validity = office.desk.open().unwrap().validity(HOUR);
        let leaf = Leaf { common_name: "anybody".to_owned(), hosts, purpose, validity };
        Request::make(&leaf, &Key::generate().unwrap()).unwrap()
    };
    let asked = ["db1", "10.0.0.5"];
    let (server, peer) = (request(Purpose::Server, &asked), request(Purpose::Peer, &asked));
    let request =
        EnrolRequest { credential: Some(credential), server, peer, client: String::new() };
    let answer = office.desk.enrol(&request, "there").unwrap();
    for (text, purpose) in [(&answer.server, Purpose::Server), (&answer.peer, Purpose::Peer)] {
        let facts = Facts::from_pem("", text).unwrap().remove(0);
        assert_eq!(facts.common_name, "db2");
        let told = ["localhost", "127.0.0.1", "::1", "db2", "10.0.0.6", "db2.example.org"];
        assert_eq!(facts.hosts, told, "{purpose:?}");
        assert_eq!((facts.serves, facts.connects), (true, purpose == Purpose::Peer));
    }
}

#[test]
fn a_token_brings_no_name_of_the_issuer_and_no_certificate_of_another_role() {
    let office = Office::new();
    let credential = office.token(Role::Member, &[]);
    let request = |host: &str, purpose| {
        let hosts = vec![host.to_owned()];
        let validity = office.desk.open().unwrap().validity(HOUR);
        let leaf = Leaf { common_name: "db2".to_owned(), hosts, purpose, validity };
        Request::make(&leaf, &Key::generate().unwrap()).unwrap()
    };
    let both = |host: &str| EnrolRequest {
        credential: Some(credential.clone()),
        server: request(host, Purpose::Server),
        peer: request("db2", Purpose::Peer),
        client: String::new(),
    };
    let client = EnrolRequest { client: request("db2", Purpose::Client), ..both("db2") };
    assert!(refused(office.desk.enrol(&client, "there")).contains("is for a member"));
    let wrong = Credential { secret: b"guessed".to_vec().into(), ..credential.clone() };
    let guessed = EnrolRequest { credential: Some(wrong), ..both("db2") };
    assert!(refused(office.desk.enrol(&guessed, "there")).contains("not known here"));
    let named = both("Issuer.etcd.invalid.");
    assert!(refused(office.desk.enrol(&named, "there")).contains("no name a machine"));
}

#[test]
fn a_token_that_was_taken_back_is_good_for_nothing_more() {
    let office = Office::new();
    let credential = office.token(Role::Member, &[]);
    let request = |purpose| {
        let hosts = vec!["db2".to_owned()];
        let validity = office.desk.open().unwrap().validity(HOUR);
        let leaf = Leaf { common_name: "db2".to_owned(), hosts, purpose, validity };
        Request::make(&leaf, &Key::generate().unwrap()).unwrap()
    };
    let both = EnrolRequest {
        credential: Some(credential.clone()),
        server: request(Purpose::Server),
        peer: request(Purpose::Peer),
        client: String::new(),
    };
    let id = &credential.id;
    office.desk.enrol(&both, "there").unwrap();
    office.desk.note(id, 7, Membership::Learner).unwrap();
    let mut record = office.desk.may_register(Some(&credential)).unwrap();
    assert!(record.waits());
    record.revoked = true;
    office.desk.tokens().write(&office.desk.open().unwrap(), &record).unwrap();
    // Not even the keys that were certified with it may come again, and nobody is made a voter.
    assert!(refused(office.desk.enrol(&both, "there")).contains("was revoked"));
    assert!(refused(office.desk.may_register(Some(&credential))).contains("was revoked"));
    let record = office.desk.tokens().find(id).unwrap().unwrap();
    assert_eq!((record.waits(), record.state(Clock.unix())), (false, "revoked"));
}
