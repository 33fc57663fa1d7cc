//! Keys that never leave their machine, and what else goes from one machine to another.

use crate::cert::Desk;

#[test]
fn a_request_is_signed_elsewhere_and_its_key_stays() {
    let (authority, node) = (Desk::ready(), Desk::new());
    node.run(&["csr", "peer", "db2", "--san", "10.0.0.6"]).good();
    let key = node.read("peer.key");
    assert_eq!(node.mode("peer.key"), 0o600);
    assert!(!node.read("peer.csr").contains("PRIVATE"));
    // The same again changes nothing; something else has to be forced, and never touches the key.
    node.run(&["csr", "peer", "db2", "--san", "10.0.0.6"]).good();
    assert_eq!(node.run(&["csr", "peer", "db2", "--san", "10.0.0.7"]).code, Some(1));
    node.run(&["csr", "peer", "db2", "--san", "10.0.0.7", "--force"]).good();
    assert_eq!(node.read("peer.key"), key);
    let csr = node.path("peer.csr").display().to_string();
    let signed = authority.run(&["sign", "peer", &csr, "--output=json"]).good().json();
    assert!(signed["names"].as_array().unwrap().contains(&"10.0.0.7".into()), "{signed}");
    // The same again changes nothing, and something else has to be forced.
    let text = node.read("peer.crt");
    let again = authority.run(&["sign", "peer", &csr, "--output=json"]).good().json();
    assert_eq!((&again["changed"], &again["serial"]), (&false.into(), &signed["serial"]));
    for other in [&["sign", "peer", &csr, "--san", "10.0.0.8"][..], &["sign", "server", &csr]] {
        assert_eq!(authority.run(other).code, Some(1), "replaced without --force: {other:?}");
    }
    assert_eq!(node.read("peer.crt"), text);
    let ca = authority.path("ca.crt").display().to_string();
    let pair = ["verify", "--pair", "pki/peer.crt", "pki/peer.key", "--cacert", &ca];
    let said = node.run(&pair);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stdout.contains("a member's"), "{}", said.stdout);
    // Signed twice for one key, there are two serial numbers, and both can be taken back.
    let again = authority.run(&["sign", "peer", &csr, "--force", "--output=json"]).good().json();
    assert_ne!(again["serial"], signed["serial"]);
    let revoked = authority.run(&["revoke", "db2", "--output=json"]).good().json();
    assert_eq!(revoked["revoked"].as_array().unwrap().len(), 2, "{revoked}");
}

#[test]
fn the_signer_says_what_a_certificate_is_good_for() {
    let (authority, node) = (Desk::ready(), Desk::new());
    node.run(&["csr", "server", "x"]).good();
    let csr = node.path("server.csr").display().to_string();
    authority.run(&["sign", "client", &csr, "--name", "app", "--san", "app.example"]).good();
    let row = node.run(&["status", "pki/server.crt"]).good().stdout;
    let row = row.lines().nth(1).unwrap();
    assert!(row.contains("  client  ") && row.contains("  app.example  "), "{row}");
    std::fs::write(node.path("bad.csr"), node.read("server.csr").replace("MI", "MJ")).unwrap();
    let bad = node.path("bad.csr").display().to_string();
    let refused = authority.run(&["sign", "server", &bad]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("bad.csr: not a usable certificate signing request"));
    assert_eq!(node.run(&["sign", "server", &csr]).code, Some(1), "signed without an authority");
}

#[test]
fn trust_is_exported_with_its_fingerprints() {
    let desk = Desk::ready();
    let said = desk.run(&["export-trust"]).good();
    assert_eq!(said.stdout, desk.read("ca.crt"));
    let json = desk.run(&["export-trust", "--output=json"]).good().json();
    for name in ["sha256", "spki_sha256"] {
        let print = json[name].as_str().unwrap();
        assert_eq!(print.split(':').count(), 32, "{print}");
        assert!(said.stderr.contains(print), "{}", said.stderr);
    }
    desk.run(&["export-trust", "--out", "trust.crt"]).good();
    desk.run(&["export-trust", "--out", "trust.crt"]).good();
    std::fs::write(desk.folder.path().join("trust.crt"), "another").unwrap();
    assert_eq!(desk.run(&["export-trust", "--out", "trust.crt"]).code, Some(1));
    desk.run(&["export-trust", "--out", "trust.crt", "--force"]).good();
    let copy = std::fs::read_to_string(desk.folder.path().join("trust.crt")).unwrap();
    assert_eq!(copy, desk.read("ca.crt"));
}
