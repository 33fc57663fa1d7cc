//! The machine a run was made on, as far as it matters for the figures and tells nothing of its
//! owner.

use std::fs::{File, read_to_string};
use std::io::Write;
use std::time::Duration;

use etcd::types::clock::Clock;

use crate::Error;

/// Writes of which the median is told.
const WRITES: usize = 200;
const WRITE_BYTES: usize = 4 << 10;

/// One line about processor, memory, kernel and disk.
///
/// # Errors
/// If the kernel does not tell, or nothing can be written.
pub(crate) fn describe() -> Result<String, Error> {
    let cores = std::thread::available_parallelism()?;
    let processors = read_to_string("/proc/cpuinfo")?;
    let model = field(&processors, "model name").unwrap_or("unknown processor");
    let memory = read_to_string("/proc/meminfo")?;
    let kib: f64 = field(&memory, "MemTotal").unwrap_or("0").trim_end_matches(" kB").parse()?;
    let kernel = read_to_string("/proc/sys/kernel/osrelease")?;
    let release = kernel.split('-').next().unwrap_or_default().trim();
    Ok(format!(
        "{cores} cores ({model}), {:.0} GB memory, Linux {release}; writing 4 KiB and syncing it \
         takes {} µs on its disk (median of {WRITES})",
        kib * 1024.0 / 1e9,
        sync_time()?.as_micros()
    ))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']))
}

fn sync_time() -> Result<Duration, Error> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("synced"))?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Clock.now();
        file.write_all(&[0x55; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(WRITES / 2).copied().unwrap_or_default())
}
