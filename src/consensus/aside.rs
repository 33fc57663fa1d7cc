//! Work that may wait for the disk, done beside the runtime.

use std::io;

/// Does it on a thread for that.
///
/// # Errors
/// When it panics, or the runtime ends.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    #[cfg(test)]
    if super::simulation::runs() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
