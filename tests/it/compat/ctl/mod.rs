//! Command lines: the real `etcdctl` and ours, on real etcd and on ours, and scripts see no difference
//! but those that are meant.

mod differences;
mod mask;
mod runner;
mod script;
mod tables;
mod three;
mod traps;

use runner::{Player, Record, ask, parted};
use script::Table;

pub(super) use mask::{cover as mask_field, errors as mask_errors, output as mask_output};
pub(super) use script::{Line, line, words};

use crate::compat::assert_same;
use crate::support::pki::Pki;
use crate::support::reference;
use crate::support::server::{Kind, Server};

/// Plays tables one after the other, each pair of program and server on a thread and a fresh server of
/// its own; the first is what the others are compared with.
fn play_all(
    pairs: &[(&Kind, &Kind)],
    tables: &[Table],
    start: impl Fn(&Kind) -> Server + Sync,
    flags: &[String],
) -> Vec<(Server, Vec<Vec<Record>>)> {
    std::thread::scope(|scope| {
        let plays: Vec<_> = pairs
            .iter()
            .map(|(program, kind)| {
                let start = &start;
                scope.spawn(move || {
                    let server = start(kind);
                    let mut player = Player::new(program, &server, flags);
                    let records = tables.iter().map(|table| player.play(table)).collect();
                    (server, records)
                })
            })
            .collect();
        plays.into_iter().map(|play| play.join().unwrap()).collect()
    })
}

/// Plays one line by itself, and writes down what a script sees of it.
pub(super) fn run(program: &Kind, server: &Server, flags: &[String], line: &Line) -> String {
    Player::new(program, server, flags).line(line, None).to_string()
}

/// The original on its server against the three other pairs.
pub(super) fn four_ways(play: impl Fn(&Kind, &Kind) -> Vec<String>) {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let expected = play(&real, &real);
    for (program, server) in
        [(&Kind::Ours, &real), (&real, &Kind::Ours), (&Kind::Ours, &Kind::Ours)]
    {
        assert_same(&expected, &play(program, server));
    }
}

fn assert_alike(parted: &[String]) {
    let shown = parted.iter().take(8).map(String::as_str).collect::<String>();
    assert!(parted.is_empty(), "{} answers differ from etcd's:{shown}", parted.len());
}

#[test]
fn scripts_cannot_tell_programs_and_servers_apart() {
    let Some(folder) = reference::folder() else { return };
    let (real, ours) = (Kind::Reference(folder), Kind::Ours);
    let pairs = [(&real, &real), (&ours, &real), (&real, &ours), (&ours, &ours)];
    let (mut parts, mut met) = (Vec::new(), Vec::new());
    for group in tables::GROUPS {
        let plays = play_all(&pairs, group, Server::start, &[]);
        let mut compare = |place: usize, original: usize, got: usize| {
            let (original, got) = (&plays[original].1[place], &plays[got].1[place]);
            parts.extend(parted(&group[place], original, got, &mut met));
        };
        for (place, table) in group.iter().enumerate() {
            compare(place, 0, 1);
            compare(place, 2, 3);
            if table.apart.is_none() {
                compare(place, 0, 2);
            }
        }
    }
    for server in [&real, &ours] {
        let server = Server::start(server);
        for table in tables::QUESTIONS {
            let (expected, got) = ask(table, &server, &real);
            parts.extend(parted(table, &expected, &got, &mut met));
        }
    }
    assert_alike(&parts);
    for one in differences::INTENDED {
        let (arguments, reason) = (one.arguments, one.reason);
        assert!(met.contains(&arguments), "no difference any more: {arguments} ({reason})");
    }
}

#[test]
fn members_without_room_are_shown_alike() {
    let Some(folder) = reference::folder() else { return };
    let (real, ours) = (Kind::Reference(folder), Kind::Ours);
    let pairs = [(&real, &real), (&ours, &real), (&real, &ours), (&ours, &ours)];
    let start = |kind: &Kind| Server::start_with(kind, "http", &["--quota-backend-bytes=1"]);
    let plays = play_all(&pairs, tables::CRAMPED, start, &[]);
    let mut parts = Vec::new();
    for (_, records) in &plays[1..] {
        for (table, (expected, got)) in tables::CRAMPED.iter().zip(plays[0].1.iter().zip(records)) {
            parts.extend(parted(table, expected, got, &mut Vec::new()));
        }
    }
    for place in [0, 2] {
        let (expected, got) = ask(tables::ALARMED, &plays[place].0, &real);
        assert!(expected[0].0.out.contains("alarm:NOSPACE"), "{}", expected[0].0);
        parts.extend(parted(tables::ALARMED, &expected, &got, &mut Vec::new()));
    }
    assert_alike(&parts);
}

/// Strangers are refused only once their time is up; it need not be long.
const IMPATIENT: [&str; 2] = ["--dial-timeout=1s", "--command-timeout=2s"];

#[test]
fn over_mutual_tls_everything_is_the_same() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let pki = Pki::new();
    let flags = pki.server_flags();
    let start = |kind: &Kind| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Server::start_with(kind, "https", &flags)
    };
    let ours = Kind::Ours;
    let pairs = [(&real, &real), (&ours, &real), (&real, &ours), (&ours, &ours)];
    let own = pki.client_flags("client");
    let plays = play_all(&pairs, tables::ENCRYPTED, start, &own);
    let mut parts = Vec::new();
    let pki = &pki;
    let refused: Vec<Vec<Record>> = std::thread::scope(|scope| {
        let plays: Vec<_> = pairs
            .iter()
            .zip(&plays)
            .map(|((program, _), (server, _))| scope.spawn(move || strangers(program, server, pki)))
            .collect();
        plays.into_iter().map(|play| play.join().unwrap()).collect()
    });
    for other in 1..pairs.len() {
        for (place, table) in tables::ENCRYPTED.iter().enumerate() {
            let (expected, got) = (&plays[0].1[place], &plays[other].1[place]);
            parts.extend(parted(table, expected, got, &mut Vec::new()));
        }
        let table = Table { name: "strangers", ..Table::SCRIPT };
        parts.extend(parted(&table, &refused[0], &refused[other], &mut Vec::new()));
    }
    assert_alike(&parts);
}

/// What clients see that show no certificate or a wrong one.
fn strangers(program: &Kind, server: &Server, pki: &Pki) -> Vec<Record> {
    let authority = format!("--cacert={}", pki.file("ca.crt").display());
    let shown = ["unknown", "expired"].map(|name| pki.client_flags(name));
    let attempts = [vec![authority]].into_iter().chain(shown);
    let attempt = |flags: Vec<String>| {
        let flags = [&IMPATIENT.map(str::to_owned)[..], &flags].concat();
        (Player::new(program, server, &flags).line(&line("put stranger x"), None), false)
    };
    attempts.map(attempt).collect()
}
