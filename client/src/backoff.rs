//! How long to wait before connecting again: full jitter, so that a crowd does not come back at once.

use std::time::Duration;

/// Longest wait after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait after any number of failures.
const LONGEST: Duration = Duration::from_secs(30);

/// The wait before try `failures + 1`: between nothing and 0.5 s, doubled with each failure in a row
/// up to 30 s. `draw` is a random number from 0 to 1.
#[must_use]
pub fn wait(failures: u32, draw: f64) -> Duration {
    let longest = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
    longest.mul_f64(draw.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_half_a_minute_and_not_beyond() {
        assert_eq!(wait(0, 1.0), Duration::from_millis(500));
        assert_eq!(wait(3, 1.0), Duration::from_secs(4));
        assert_eq!(wait(60, 1.0), Duration::from_secs(30));
        assert_eq!(wait(60, 0.0), Duration::ZERO);
        assert_eq!(wait(1, 0.5), Duration::from_millis(500));
    }
}
