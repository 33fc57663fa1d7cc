//! Many seeds; the same seed twice; one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::{child, run};
use crate::types::clock::Clock;

/// How the line of a seed begins that went well.
const RIGHT: &str = "all is right: ";
/// Seeds of a usual run.
const SEEDS: u64 = 200;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// What a seed that went well says last; the rest of its output otherwise.
fn play(seed: u64) -> Result<String, String> {
    play_broken(seed, "")
}

/// The same with something broken on purpose.
fn play_broken(seed: u64, broken: &str) -> Result<String, String> {
    let output = child::run(seed, broken);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = said.lines().find(|line| line.starts_with(RIGHT)).map(str::to_owned);
    report.filter(|_| output.status.success()).ok_or_else(|| format!("{told}\n{said}"))
}

#[test]
fn whatever_fails_no_promise_is_broken() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        println!("{}", play(seed).unwrap_or_else(|said| panic!("seed {seed}: {said}")));
        return;
    }
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let first = variable("SIMULATION_FIRST").unwrap_or(1);
    let began = Clock.now();
    let (next, failed) = (AtomicU64::new(first), AtomicUsize::new(0));
    let lane = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            if let Err(said) = play(seed) {
                failed.fetch_add(1, Ordering::Relaxed);
                eprintln!("{said}\nagain: SIMULATION_SEED={seed} cargo test --lib simulation");
            }
        }
    };
    let lanes = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..lanes).for_each(|_| {
            scope.spawn(lane);
        });
    });
    let (failed, took) = (failed.into_inner(), Clock.now() - began);
    println!("{seeds} seeds from {first} on took {took:?}, {failed} failed");
    assert_eq!(failed, 0, "seeds failed; what they said stands above");
}

#[test]
fn promises_that_are_broken_are_found_out() {
    let signs: [(&str, &[&str]); 2] =
        [("answers", &["lost:", "no register", "does not start"]), ("reads", &["no register"])];
    for (broken, signs) in signs {
        let found = (1..=30).any(|seed| {
            let said = play_broken(seed, broken).err().unwrap_or_default();
            signs.iter().any(|sign| said.contains(sign))
        });
        assert!(found, "nobody noticed the broken {broken}");
    }
}

#[test]
fn a_seed_is_played_again_event_by_event() {
    for seed in [1, 2, 3] {
        assert_eq!(play(seed), play(seed), "seed {seed}");
    }
}

#[test]
#[ignore = "is started by the others, in a process prepared for it"]
fn one_seed_in_this_process() {
    let seed = variable("SIMULATION_SEED").expect("SIMULATION_SEED says which");
    let folder = PathBuf::from(std::env::var_os("SIMULATION_FOLDER").expect("SIMULATION_FOLDER"));
    super::RUNS.store(true, Ordering::Relaxed);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // Time moves with each look at what else has happened, and consensus waits for microseconds now and
    // then: looking seldom would make it wait for long.
    let runtime = builder.enable_all().event_interval(3).build().unwrap();
    let played = runtime.block_on(run::play(seed, &folder));
    match &played {
        // On a line of its own: the test program has begun one.
        Ok(report) => println!("\n{RIGHT}{report}"),
        Err(what) => eprintln!("seed {seed}: {what}"),
    }
    let well = played.is_ok();
    runtime.shutdown_timeout(Duration::ZERO);
    assert!(well, "seed {seed} failed");
}
