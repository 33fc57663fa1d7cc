//! The tool for data at rest.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    etcd::cli::utl::run(&arguments)
}
