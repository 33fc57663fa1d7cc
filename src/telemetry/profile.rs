//! CPU profiles of this process, in the format of `pprof`.

mod proto;

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::{ProfilerGuard, ProfilerGuardBuilder};
use prost::Message;

/// Samples per second of processor time, as Go's profiler takes them.
const FREQUENCY: i32 = 100;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// One profile at a time: they share the signal that samples.
    #[error("cpu profiling already in use")]
    Busy,
    /// The profiler did not work.
    #[error("{0}")]
    Profiler(pprof::Error),
    /// The thread that evaluates the samples ended early.
    #[error("evaluating the samples failed: {0}")]
    Evaluation(tokio::task::JoinError),
    /// The result could not be packed.
    #[error("packing the profile failed: {0}")]
    Pack(#[from] io::Error),
}

/// Samples all threads for `duration` and returns a gzipped profile with its symbols.
///
/// # Errors
/// If another profile is running or the profiler does not work on this machine.
pub async fn cpu(duration: Duration) -> Result<Vec<u8>, ProfileError> {
    let guard = start()?;
    tokio::time::sleep(duration).await;
    // Finding symbols reads the debug information of the program: too long for a runtime thread.
    let evaluate = tokio::task::spawn_blocking(move || evaluate(&guard));
    evaluate.await.map_err(ProfileError::Evaluation)?
}

fn start() -> Result<ProfilerGuard<'static>, ProfileError> {
    ProfilerGuardBuilder::default()
        .frequency(FREQUENCY)
        // Interrupted there, walking the stack could wait for a lock its own thread holds.
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()
        .map_err(|error| match error {
            pprof::Error::Running => ProfileError::Busy,
            other => ProfileError::Profiler(other),
        })
}

fn evaluate(guard: &ProfilerGuard<'static>) -> Result<Vec<u8>, ProfileError> {
    let report = guard.report().build().map_err(ProfileError::Profiler)?;
    let profile = proto::encode(&report).encode_to_vec();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&profile)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_profile_names_what_runs() {
        let stop = Arc::new(AtomicBool::new(false));
        let spinner = Arc::clone(&stop);
        let busy = std::thread::spawn(move || spin_for_the_profile(&spinner));
        // The first profile of a process may start while another test holds the profiler.
        let packed = cpu(Duration::from_millis(300)).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(busy.join().unwrap() > 0);
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        let profile = proto::Profile::decode(bytes.as_slice()).unwrap();
        assert_eq!(profile.period, 10_000_000);
        let named = |needle| profile.string_table.iter().any(|name| name.contains(needle));
        assert!(named("spin_for_the_profile"), "{:?}", profile.string_table);
        assert!(profile.sample.iter().all(|sample| sample.value.len() == 2));
    }

    #[inline(never)]
    fn spin_for_the_profile(stop: &AtomicBool) -> u64 {
        let mut n = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            n = std::hint::black_box(n + 1);
        }
        n
    }
}
