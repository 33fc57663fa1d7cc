//! Waiting for facts. The limit only decides how long a broken test takes to fail.

use std::time::{Duration, Instant};

/// How long a fact may take on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none within [`LIMIT`]; the message names `what`.
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_for(LIMIT, what, ask)
}

/// The same with another limit, for what takes long even when all is well.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may look at the clock and rest between looks"
)]
pub(crate) fn eventually_for<T>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Asks by a future until there is an answer.
///
/// # Panics
/// When there is none within [`LIMIT`]; the message names `what`.
pub(crate) async fn comes_true<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await
}

/// Awaits a future that must finish.
///
/// # Panics
/// When it has not within [`LIMIT`]; the message names `what`.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {LIMIT:?} in vain for: {what}"),
    }
}
