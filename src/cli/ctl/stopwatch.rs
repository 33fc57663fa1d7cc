//! How long requests took, and what that says.

use std::time::Duration;

/// Times of requests.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn note(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn slowest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// The standard deviation in seconds.
    pub(super) fn deviation(&self) -> f64 {
        let seconds: Vec<f64> = self.0.iter().map(Duration::as_secs_f64).collect();
        let count = seconds.len().max(1) as f64;
        let mean = seconds.iter().sum::<f64>() / count;
        (seconds.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    /// The time that so many of a thousand requests did not exceed.
    pub(super) fn quantile(&self, per_mille: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// The usual quantiles in one line.
    pub(super) fn summary(&self) -> String {
        let part = |(name, per_mille): (&str, usize)| {
            format!("{name} {:.1}ms", self.quantile(per_mille).as_secs_f64() * 1_000.0)
        };
        let parts = [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)].map(part);
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let mut times = Times::default();
        (1..=1_000).rev().for_each(|ms| times.note(Duration::from_millis(ms)));
        assert_eq!(times.quantile(500), Duration::from_millis(500));
        assert_eq!(times.quantile(999), Duration::from_millis(999));
        assert_eq!(times.slowest(), Duration::from_secs(1));
        assert!((times.deviation() - 0.288_675).abs() < 1e-4, "{}", times.deviation());
        assert_eq!(times.summary(), "p50 500.0ms, p90 900.0ms, p99 990.0ms, p99.9 999.0ms");
        assert_eq!(Times::default().quantile(990), Duration::ZERO);
    }
}
