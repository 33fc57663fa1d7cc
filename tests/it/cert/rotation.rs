//! Other authorities for a cluster under load.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use etcd::certs::Facts;

use crate::cert::enrol;
use crate::cert::load::{Cluster, Load, point_at, put, term, url};
use crate::cert::{Answer, Desk};
use crate::support::cluster::address;
use crate::support::server::Kind;
use crate::support::wait::{comes_true, eventually};

fn subjects(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    Facts::from_pem("", &text).unwrap().into_iter().map(|facts| facts.subject).collect()
}

/// What somebody has who is told nothing of all this.
fn keep(desk: &Desk) -> PathBuf {
    let kept = desk.folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    for (from, to) in [
        ("ca.crt", "ca.crt"),
        ("clients/admin.crt", "admin.crt"),
        ("clients/admin.key", "admin.key"),
    ] {
        std::fs::copy(desk.path(from), kept.join(to)).unwrap();
    }
    kept
}

/// The one command the client needs that joined.
fn renew(client: &Path) {
    let mut renew = Command::new(Kind::Ours.program("etcd"));
    renew.env_clear().args(["cert", "renew", "--pki-dir"]).arg(client);
    Answer::of(&renew.output().unwrap()).good();
}

/// Whether every member goes by what its issuer trusts.
fn all_ready(cluster: &Cluster) -> Option<()> {
    let told = cluster.rotate("status").good().json();
    let members = told["members"].as_array()?;
    members.iter().all(|member| member["state"] == "ready").then_some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_are_replaced_under_load_and_no_client_fails() {
    let cluster = Cluster::start();
    let (desk, app) = (&cluster.desk, cluster.app());
    let kept = keep(desk);
    let old = subjects(&kept.join("ca.crt"));
    let before = term(&app).await;
    let load = Load::start(&app).await;

    let early = cluster.rotate("finish").good().json();
    assert_eq!((&early["phase"], &early["changed"]), (&"settled".into(), &false.into()));
    cluster.rotate("start").good();
    assert_eq!(subjects(&desk.path("ca.crt")).len(), 2);
    let told = cluster.rotate("status").good().json();
    assert_eq!(told["phase"], "reissuing");
    // The client that joined is left, and the one command it needs is known to it.
    let late = cluster.rotate_with("finish", &["--timeout=0s"]);
    assert!(late.stderr.contains("of \"app\""), "{}", late.stderr);
    renew(&cluster.app);
    let told = cluster.rotate("finish").good().json();
    assert_eq!((&told["phase"], &told["changed"]), (&"settled".into(), &true.into()));
    let again = cluster.rotate("finish").good().json();
    assert_eq!((&again["changed"], &again["generation"]), (&false.into(), &told["generation"]));

    assert_eq!(term(&app).await, before, "a leader was lost");
    let new = subjects(&desk.path("ca.crt"));
    assert!(new.len() == 1 && new != old, "{new:?}");
    comes_true("every member to go by the new authorities alone", async || all_ready(&cluster))
        .await;
    // What the daemons wrote, who make everything else for their own eyes only, is there for clients.
    for home in ["m2/pki", "m3/pki"].map(|home| desk.folder.path().join(home)) {
        for (file, mode) in [("ca.crt", 0o644), ("server.crt", 0o644), ("server.key", 0o600)] {
            let found = std::fs::metadata(home.join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{file}: {found:o}");
        }
    }
    load.end().await;
    // A new client certificate goes with the old root, since servers still show the way from it.
    put(&cluster.options(&kept.join("ca.crt"), &desk.path("clients/admin")), 0).await.unwrap();
    let refused = put(&cluster.options(&desk.path("ca.crt"), &kept.join("admin")), 0).await;
    refused.unwrap_err();
    assert!(!desk.path("ca/rotation").exists());
    // Whoever joins now learns of the new ones only.
    let home = desk.folder.path().join("late");
    let token = enrol::token(desk, &cluster.issuer, "client", "late", &[]);
    enrol::join(&home, &token, &[]).good();
    assert_eq!(subjects(&home.join("pki/ca.crt")), new);
}

#[test]
fn a_member_that_is_down_holds_a_replacement_up_until_it_is_left_behind() {
    let mut cluster = Cluster::start();
    let old = subjects(&cluster.desk.path("ca.crt"));
    cluster.members[2].kill();
    let waits = cluster.rotate_with("start", &["--timeout=0s"]);
    assert_eq!(waits.code, Some(1));
    assert!(waits.stderr.contains("\"m3\": "), "{}", waits.stderr);
    assert_eq!(cluster.rotate("status").good().json()["phase"], "trusting");
    eventually("those that are up to trust both", || {
        let again = cluster.rotate_with("start", &["--timeout=0s"]);
        (!again.stderr.contains("\"m1\"") && !again.stderr.contains("\"m2\"")).then_some(())
    });
    let forced = cluster.rotate_with("start", &["--timeout=0s", "--force"]).good();
    assert!(forced.stderr.contains("going on without what is missing"), "{}", forced.stderr);
    assert_eq!(forced.json()["phase"], "reissuing");
    eventually("a write through those that are up", || {
        let put = enrol::etcdctl(&cluster.desk, cluster.places[0].0, &["put", "k", "2"]);
        (put.code == Some(0)).then_some(())
    });
    // The old authorities are trusted still, so that it comes back and does what it missed.
    let home = cluster.desk.folder.path().join("m3");
    cluster.members[2] = enrol::start(&home);
    enrol::three_voters(&cluster.desk, &cluster.places);
    eventually("everybody to be done with the old ones", || all_ready(&cluster));
    // One that is done with the old authorities may be down when they go.
    cluster.members[2].kill();
    renew(&cluster.app);
    cluster.rotate("finish").good();
    assert_ne!(subjects(&cluster.desk.path("ca.crt")), old);
    cluster.members[2] = enrol::start(&home);
    eventually("every member to go by the new authorities alone", || all_ready(&cluster));
    enrol::three_voters(&cluster.desk, &cluster.places);
}

#[test]
fn a_replacement_is_given_up_and_what_was_goes_on() {
    let desk = Desk::new();
    let place = (address::reserve(), address::reserve());
    let _member = enrol::found(&desk, place);
    let issuer = enrol::serve(&desk, &["--endpoints", &url(place.0)]);
    let old = subjects(&desk.path("ca.crt"));
    let rotate = |verb: &str, patience: &str| {
        let timeout = format!("--timeout={patience}");
        desk.run(&["rotate-ca", verb, &timeout, "--endpoints", &url(place.0)])
    };
    eventually("a write", || {
        (enrol::etcdctl(&desk, place.0, &["put", "k", "1"]).code == Some(0)).then_some(())
    });
    // The member asks nobody who would answer, so it cannot be known to trust anybody new.
    let refused = rotate("start", "0s");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("has not reported"), "{}", refused.stderr);
    assert_eq!(subjects(&desk.path("ca.crt"))[0], old[0], "the old root signs still");
    point_at(&desk, &issuer);
    rotate("start", "60s").good();
    eventually("a certificate of the new authority", || {
        let issuers = subjects(&desk.path("client-ca.crt"));
        let text = desk.read("server.crt");
        let facts = Facts::from_pem("", &text).unwrap().remove(0);
        (facts.issuer == issuers[0]).then_some(())
    });
    enrol::etcdctl(&desk, place.0, &["put", "k", "2"]).good();
    rotate("abort", "60s").good();
    assert_eq!(subjects(&desk.path("ca.crt")), old);
    enrol::etcdctl(&desk, place.0, &["put", "k", "3"]).good();
    let nothing = rotate("abort", "0s").good();
    assert!(nothing.stdout.contains("No authority is being replaced"), "{}", nothing.stdout);
}
