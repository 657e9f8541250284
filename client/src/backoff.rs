//! How long to wait before connecting again: full jitter, so that a crowd does not come back at once.

use std::time::Duration;

/// How the waits between connections grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure.
    pub first: Duration,
    /// Longest wait after any number of failures.
    pub longest: Duration,
    /// A connection that held this long ends a row of failures.
    pub steady: Duration,
}

impl Default for Backoff {
    /// 0.5 s, 30 s, and 10 s.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            steady: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The wait before the next try: between nothing and `first`, doubled with each of `failures` in a row up to
    /// `longest`. `draw` is a random number from 0 to 1.
    #[must_use]
    pub fn wait(&self, failures: u32, draw: f64) -> Duration {
        let longest = self.first.saturating_mul(1 << failures.min(16)).min(self.longest);
        longest.mul_f64(draw.clamp(0.0, 1.0))
    }

    /// Failures in a row after a connection that held for `held`.
    #[must_use]
    pub fn failures(&self, before: u32, held: Duration) -> u32 {
        if held >= self.steady { 0 } else { before.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_half_a_minute_and_not_beyond() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(0, 1.0), Duration::from_millis(500));
        assert_eq!(backoff.wait(3, 1.0), Duration::from_secs(4));
        assert_eq!(backoff.wait(60, 1.0), Duration::from_secs(30));
        assert_eq!(backoff.wait(60, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(1, 0.5), Duration::from_millis(500));
    }

    #[test]
    fn only_a_connection_that_holds_ends_a_row_of_failures() {
        let backoff = Backoff::default();
        assert_eq!(backoff.failures(4, Duration::from_millis(20)), 5);
        assert_eq!(backoff.failures(4, Duration::from_secs(11)), 0);
    }
}
