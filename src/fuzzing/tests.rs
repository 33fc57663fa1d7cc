//! The targets as property tests: the kept corpus, then mutations of it from a fixed seed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{
    TARGETS, api, client, config, consensus, ctl, enrol, state, storage, tokens, transport, wal,
};
use crate::certs::{Authority, Key, Leaf, Purpose, Request, Validity};
use crate::types::clock::Clock;
use crate::types::fuzz::Seed;

/// Mutations of each target; `ETCD_FUZZ_ROUNDS` asks for more.
const ROUNDS: u64 = 2_000;
/// What they follow from; `ETCD_FUZZ_SEED` makes others.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Targets that write files get a part of them.
const WITH_FILES: [&str; 4] = ["wal_segment", "journal", "checkpoint", "pem"];
const FILE_SHARE: u64 = 20;
/// Longest input made.
const LONGEST: usize = 64 << 10;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn seeds() -> Vec<Seed> {
    let text = |target, name, text: &str| Seed::new(target, name, text.as_bytes().to_vec());
    let own = vec![
        text("identity", "usual", "member=8e9e05c52164694d cluster=cdf818194e3a8c32"),
        text("urls", "two", "http://127.0.0.1:2379,https://[::1]:0"),
        text("urls", "unix", "unixs://folder/socket"),
        text("token", "token", &enrol::some_token()),
        text(
            "peer_json",
            "members",
            r#"[{"id":7,"peerURLs":["http://a:1"],"name":"a","clientURLs":["http://a:2"]}]"#,
        ),
        text("peer_json", "versions", r#"{"etcdserver":"3.5.16","etcdcluster":"3.5.0"}"#),
        text("peer_json", "question", r#"{"revision":9}"#),
        text("token", "issuer", &enrol::some_issuer()),
    ];
    let rooms = [
        wal::seeds(),
        storage::seeds(),
        state::seeds(),
        tokens::seeds(),
        consensus::seeds(),
        config::seeds(),
        api::seeds(),
        client::seeds(),
        enrol::seeds(),
        transport::seeds(),
        ctl::seeds(),
        own,
    ];
    rooms.into_iter().flatten().collect()
}

/// Certificates and lists are new each time; keys are never kept.
fn fresh() -> Vec<Seed> {
    let validity = Validity::starting(Clock.unix(), std::time::Duration::from_secs(3600));
    let authority = Authority::create("fuzz", validity).unwrap();
    let list = authority.revoke(&[vec![1, 2, 3]], 1, Clock.unix(), validity.until - validity.from);
    let seed = |name, text: &str| Seed::new("pem", name, text.as_bytes().to_vec());
    let (common_name, hosts) = ("fuzz".to_owned(), vec!["localhost".to_owned(), "::1".to_owned()]);
    let leaf = Leaf { common_name, hosts, purpose: Purpose::Peer, validity };
    let request = Request::make(&leaf, &Key::generate().unwrap()).unwrap();
    vec![
        seed("certificate", authority.certificate()),
        seed("list", &list.unwrap()),
        seed("request", &request),
    ]
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let files =
        fs::read_dir(folder(target)).unwrap_or_else(|e| panic!("no corpus of {target}: {e}"));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// With `ETCD_FUZZ_WRITE=1` it is written instead.
#[test]
fn the_kept_corpus_is_what_the_encoders_write() {
    let write = std::env::var_os("ETCD_FUZZ_WRITE").is_some();
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in seeds() {
        *kept.entry(seed.target).or_default() += 1;
        let file = folder(seed.target).join(seed.name);
        if write {
            fs::create_dir_all(folder(seed.target)).unwrap();
            fs::write(&file, &seed.bytes).unwrap();
        }
        let found = fs::read(&file).unwrap_or_default();
        assert!(found == seed.bytes, "{} is not what is written now", file.display());
    }
    if write {
        fs::create_dir_all(folder("pem")).unwrap();
        for seed in fresh() {
            fs::write(folder("pem").join(seed.name), &seed.bytes).unwrap();
        }
    }
    for (target, _) in TARGETS {
        let program = format!("{target}.rs");
        let program =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets").join(program);
        let text = fs::read_to_string(&program).unwrap_or_default();
        assert!(text.contains(&format!("run(\"{target}\", ")), "{}", program.display());
        assert!(target == "pem" || kept.contains_key(target), "{target} has no seed");
    }
}

#[test]
fn no_target_fails_on_its_corpus_or_on_what_becomes_of_it() {
    let rounds = number("ETCD_FUZZ_ROUNDS", ROUNDS);
    let seed = number("ETCD_FUZZ_SEED", SEED);
    let chosen = std::env::var("ETCD_FUZZ_TARGET").ok();
    let chosen = |target: &str| chosen.as_ref().is_none_or(|chosen| chosen == target);
    assert!(TARGETS.iter().any(|(target, _)| chosen(target)), "there is no such target");
    for (target, run) in TARGETS.into_iter().filter(|(target, _)| chosen(target)) {
        let begun = Clock.now();
        let mut inputs = corpus(target);
        inputs.extend(fresh().into_iter().filter(|seed| seed.target == target).map(|s| s.bytes));
        inputs.push(Vec::new());
        inputs.iter().for_each(|input| run(input));
        let rounds = if WITH_FILES.contains(&target) { rounds / FILE_SHARE } else { rounds };
        let mut random = Random(seed | 1);
        for _ in 0..rounds {
            let input = random.mutation(&inputs);
            // What fails is shown, so that it can be kept.
            let caught = std::panic::catch_unwind(|| run(&input));
            assert!(caught.is_ok(), "{target} fails on {:?}", bytes::Bytes::from(input));
        }
        eprintln!("{target}: {rounds} inputs from seed {seed}, {:.1?}", Clock.now() - begun);
    }
}

/// A generator that gives the same numbers on every machine (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn mutation(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, inputs);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'-', b'='];
        let at = self.below(input.len() + 1);
        let length = 1 + self.below(16);
        let end = (at + length).min(input.len());
        match self.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].repeat(1 + self.below(40));
                input.splice(at..at, again);
            }
            3 => {
                let bytes: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
                input.splice(at..at, bytes);
            }
            4 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len() + 1);
                input.splice(at..end, other[from..].iter().copied());
            }
            5 => input[at..end].fill(EDGES[self.below(EDGES.len())]),
            6 => input.insert(at, EDGES[self.below(EDGES.len())]),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }
}
