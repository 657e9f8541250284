//! How many requests one connection may still make: a bucket that fills with time.

use tokio::time::Instant;

/// Requests that may come at once: a client that follows two hundred rooms when it starts.
const BURST: f64 = 200.0;
/// Requests earned a second; people need a few, programs are told to slow down.
const PER_SECOND: f64 = 50.0;

/// The requests a connection has left.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    left: f64,
    earned_at: Instant,
}

impl Allowance {
    /// A full one.
    #[must_use]
    pub const fn full(now: Instant) -> Self {
        Self { left: BURST, earned_at: now }
    }

    /// Takes one request; `false` when none is left.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.earned_at).as_secs_f64();
        self.earned_at = now;
        self.left = passed.mul_add(PER_SECOND, self.left).min(BURST);
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(allowance: &mut Allowance, now: Instant) -> usize {
        (0..1_000).filter(|_| allowance.take(now)).count()
    }

    #[test]
    fn a_burst_is_served_and_then_what_time_earns() {
        let start = Instant::now();
        let mut allowance = Allowance::full(start);
        assert_eq!(taken(&mut allowance, start), 200);
        assert_eq!(taken(&mut allowance, start + Duration::from_secs(2)), 100);
        assert_eq!(
            taken(&mut allowance, start + Duration::from_secs(3_600)),
            200,
            "no more than one burst is saved"
        );
    }
}
