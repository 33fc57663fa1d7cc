//! Real etcd and ours in turn, on this machine, with the same client, over mutual TLS:
//! `cargo bench --bench compare -- --reference DIR [--seconds N] [--rounds N] [--plain]`.
//!
//! Each workload runs on a fresh server of either kind, alternating, so that a machine whose speed
//! drifts hurts both alike. The ratio in the last column is the median of the rounds' ratios.

mod load;
mod server;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use crate::load::{Load, Workload};
use crate::server::{Identity, Program, Server};
use crate::table::Table;

/// Everything measured, in the order of the table.
const WORKLOADS: &[Workload] = &[
    Workload { name: "put 256 B", in_flight: 1, connections: 1, load: Load::Put },
    Workload { name: "put 256 B", in_flight: 100, connections: 1, load: Load::Put },
    Workload { name: "put 256 B", in_flight: 1000, connections: 4, load: Load::Put },
    Workload { name: "linearizable get", in_flight: 1, connections: 1, load: Load::Get },
    Workload { name: "linearizable get", in_flight: 100, connections: 1, load: Load::Get },
    Workload { name: "linearizable get", in_flight: 1000, connections: 4, load: Load::Get },
];

struct Options {
    reference: PathBuf,
    length: Duration,
    rounds: usize,
    plain: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        reference: std::env::var_os("ETCD_REFERENCE_DIR").map(PathBuf::from).unwrap_or_default(),
        length: Duration::from_secs(4),
        rounds: 3,
        plain: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is not a number"));
        match argument.as_str() {
            "--reference" => options.reference = PathBuf::from(value()?),
            "--seconds" => options.length = Duration::from_secs(number(value()?)?),
            "--rounds" => options.rounds = number(value()?)? as usize,
            "--plain" => options.plain = true,
            // cargo itself adds this one.
            "--bench" => {}
            other => return Err(format!("unknown option {other}")),
        }
    }
    if !options.reference.join("etcd").is_file() {
        return Err("name the folder of real etcd: --reference DIR or ETCD_REFERENCE_DIR".into());
    }
    Ok(options)
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let options = options()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(&options))
}

async fn compare(options: &Options) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let identity = Identity::new(options.plain)?;
    let programs = [
        Program::Reference(options.reference.join("etcd")),
        Program::Ours(env!("CARGO_BIN_EXE_etcd").into()),
    ];
    let mut table = Table::new(options.plain);
    for workload in WORKLOADS {
        let mut rounds = Vec::new();
        for _ in 0..options.rounds {
            let mut pair = Vec::new();
            for program in &programs {
                let server = Server::start(program, &identity)?;
                pair.push(load::run(workload, &server, &identity, options.length).await?);
            }
            rounds.push(pair);
        }
        table.add(workload, &rounds);
    }
    Ok(())
}
