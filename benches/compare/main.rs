//! Real etcd and ours in turn, on this machine, with the same client: `cargo bench --bench compare`.
//!
//! Each workload runs on a fresh server of either kind, alternating, so that a machine whose speed
//! drifts hurts both alike. A ratio is the median of the rounds' ratios. The client works on one
//! thread, and what it takes of it is told too: a client that is busy all the time hides how fast
//! the server could be.

mod big;
mod failover;
mod fanout;
mod figures;
mod identity;
mod idle;
mod keys;
mod kubernetes;
mod leases;
mod machine;
mod measure;
mod member;
mod options;
mod plot;
mod process;
mod report;
mod requests;
mod server;
mod stall;
mod table;
mod targets;
mod tool;
mod watching;
mod wire;
mod workloads;

use crate::figures::Row;
use crate::identity::Identity;
use crate::options::Options;
use crate::server::{Program, Server};
use crate::workloads::{Workload, workloads};

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let options = Options::read(std::env::args().skip(1))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(&options))
}

async fn compare(options: &Options) -> Result<(), Error> {
    let programs = [
        Program { name: "etcd", path: options.reference.join("etcd") },
        Program { name: "ours", path: env!("CARGO_BIN_EXE_etcd").into() },
    ];
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for plain in [false, true] {
        if if plain { !options.plain } else { !options.tls } {
            continue;
        }
        let identity = Identity::new(plain)?;
        let wanted = |workload: &Workload| {
            options.wants(&workload.name) && (!plain || !options.tls || workload.plain_too)
        };
        for workload in workloads(options).iter().filter(|workload| wanted(workload)) {
            match alternate(workload, &programs, &identity, options).await {
                Ok(fresh) => {
                    fresh.iter().for_each(table::print);
                    rows.extend(fresh);
                }
                // The others are worth their time all the same.
                Err(error) => failed.push(error.to_string()),
            }
        }
    }
    if rows.is_empty() && failed.is_empty() {
        let names: Vec<_> = workloads(options).into_iter().map(|workload| workload.name).collect();
        return Err(format!("nothing is called so; there are: {}", names.join(", ")).into());
    }
    let report = report::Report { options, programs: &programs, rows: &rows };
    report.finish()?;
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

/// Plays a workload on both programs in turn, as often as asked.
async fn alternate(
    workload: &Workload,
    programs: &[Program; 2],
    identity: &Identity,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let mut rows: Vec<Row> = Vec::new();
    let [real, ours] = programs;
    // Plaintext is a look aside unless it is all that is asked for.
    let once = workload.once || (options.tls && identity.is_plain());
    for _ in 0..if once { 1 } else { options.rounds } {
        let mut pair = Vec::new();
        for program in [real, ours] {
            let host = if workload.is_of_a_tool() { real } else { program };
            let mut server = Server::start(host, identity, workload.members)?;
            let played = workload.play(program, &mut server, identity, options).await;
            pair.push(
                played
                    .map_err(|error| format!("{} on {}: {error}", workload.name, program.name))?,
            );
        }
        let (Some(ours), Some(real)) = (pair.pop(), pair.pop()) else { continue };
        for (place, (real, ours)) in real.into_iter().zip(ours).enumerate() {
            let round = [real.2, ours.2];
            match rows.get_mut(place) {
                Some(row) => row.rounds.push(round),
                None => rows.push(Row {
                    name: real.0,
                    in_flight: real.1,
                    wire: identity.name(),
                    rounds: vec![round],
                }),
            }
        }
    }
    Ok(rows)
}
