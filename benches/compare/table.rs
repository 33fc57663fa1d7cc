//! The table: one row per workload and program, ratios of the rounds beside them.

use crate::load::{Measured, Workload};

const HEAD: &str = "| workload | in flight | program | req/s | p50 µs | p99 µs | p99.9 µs | server CPU µs/req | peak RSS MB |\n|---|--:|---|--:|--:|--:|--:|--:|--:|";

/// Prints itself as it grows, so that a long run can be watched.
pub(crate) struct Table;

impl Table {
    /// Prints the head.
    pub(crate) fn new(plain: bool) -> Self {
        let wire = if plain { "plaintext" } else { "mutual TLS" };
        println!("Client and server on the same machine, {wire}; medians of the rounds.\n\n{HEAD}");
        Self
    }

    /// Adds the rows of one workload: a pair (real, ours) per round.
    pub(crate) fn add(&mut self, workload: &Workload, rounds: &[Vec<Measured>]) {
        for (column, program) in ["etcd", "ours"].into_iter().enumerate() {
            let of = |pick: &dyn Fn(&Measured) -> f64| {
                median(rounds.iter().filter_map(|pair| pair.get(column)).map(pick).collect())
            };
            println!(
                "| {} | {} | {program} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} |",
                workload.name,
                workload.in_flight,
                of(&|run| run.rate),
                of(&|run| f64::from(run.percentile(0.5))),
                of(&|run| f64::from(run.percentile(0.99))),
                of(&|run| f64::from(run.percentile(0.999))),
                of(&Measured::cpu_per_request),
                of(&|run| run.usage.peak_bytes as f64 / 1e6),
            );
        }
        let ratio = |pick: &dyn Fn(&Measured) -> f64| {
            let ratios = rounds.iter().filter_map(|pair| match pair.as_slice() {
                [real, ours] => Some(pick(ours) / pick(real)),
                _ => None,
            });
            median(ratios.collect())
        };
        println!(
            "| {} | {} | **ours / etcd** | **{:.2}** | {:.2} | {:.2} | {:.2} | **{:.2}** | {:.2} |",
            workload.name,
            workload.in_flight,
            ratio(&|run| run.rate),
            ratio(&|run| f64::from(run.percentile(0.5))),
            ratio(&|run| f64::from(run.percentile(0.99))),
            ratio(&|run| f64::from(run.percentile(0.999))),
            ratio(&Measured::cpu_per_request),
            ratio(&|run| run.usage.peak_bytes as f64),
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
