//! Commands that want several members: the original and ours, on three of etcd's and three of ours, each
//! cluster on the tutorial's ports in a network of its own.

use crate::support::own_network;
use crate::support::reference;
use crate::support::server::Kind;

fn play(program: &Kind, server: &Kind) -> Option<String> {
    let programs = [("etcd", server.program("etcd")), ("etcdctl", program.program("etcdctl"))];
    own_network::run(include_str!("three.sh"), &programs)
}

/// What is compared, and what the original breaks down at.
fn parted(printed: &str) -> (Vec<&str>, Vec<&str>) {
    printed.lines().partition(|line| !line.starts_with("mended "))
}

#[test]
fn three_members_are_asked_alike() {
    let Some(folder) = reference::folder() else { return };
    let (real, ours) = (Kind::Reference(folder), Kind::Ours);
    let Some(expected) = play(&real, &real) else { return };
    for part in ["Leadership transferred from LEADER to FOLLOWER\n", "\nmoved\n"] {
        assert!(expected.contains(part), "{part}: {expected}");
    }
    let (expected, broken) = parted(&expected);
    for format in ["json", "fields", "table", "protobuf"] {
        let panic = format!("mended {format}: panic: ");
        assert!(broken.iter().any(|line| line.starts_with(&panic)), "mended meanwhile? {broken:?}");
    }
    for (program, server) in [(&ours, &real), (&real, &ours), (&ours, &ours)] {
        let printed = play(program, server).unwrap();
        let (got, mended) = parted(&printed);
        let differ = expected.iter().zip(&got).filter(|(one, other)| one != other);
        let differ: Vec<_> = differ.take(12).collect();
        assert!(differ.is_empty(), "{program:?} on {server:?}: {differ:#?}\n{printed}");
        assert_eq!(expected.len(), got.len(), "{program:?} on {server:?}: {printed}");
        if program == &ours {
            assert_eq!(
                mended.iter().filter(|line| line.ends_with(": => 0")).count(),
                2,
                "{mended:?}"
            );
            assert_eq!(
                mended.iter().filter(|line| line.ends_with(": => 4")).count(),
                2,
                "{mended:?}"
            );
            assert!(mended.contains(&"mended json: ID:NEW"), "{mended:?}");
        }
    }
}
