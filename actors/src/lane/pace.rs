//! How brisk a lane is, which says whether a batch waits for company.

/// Events a second from which a batch waits for company: below, a commit each is less than a
/// hundredth of a core, and nobody should wait.
pub(super) const LINGER_ABOVE_PER_S: f64 = 100.0;

/// How many events a second a lane has lately taken.
#[derive(Debug)]
pub(super) struct Pace {
    per_s: f64,
    at: tokio::time::Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { per_s: 0.0, at: tokio::time::Instant::now() }
    }

    pub(super) const fn is_brisk(&self) -> bool {
        self.per_s > LINGER_ABOVE_PER_S
    }

    /// Takes a batch of `events` in. A pause of a second or more forgets what was before.
    pub(super) fn note(&mut self, events: usize) {
        let passed_s = self.at.elapsed().as_secs_f64().max(0.000_1);
        self.at = tokio::time::Instant::now();
        let weight = passed_s.min(1.0);
        let now = f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / passed_s;
        self.per_s += (now - self.per_s) * weight.max(0.05);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn pace_of(every: Duration, events: usize, batches: usize) -> Pace {
        let mut pace = Pace::new();
        for _ in 0..batches {
            tokio::time::advance(every).await;
            pace.note(events);
        }
        pace
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_lane_makes_nobody_wait_and_a_busy_one_gathers() {
        assert!(!pace_of(Duration::from_millis(50), 1, 100).await.is_brisk());
        assert!(pace_of(Duration::from_millis(5), 1, 100).await.is_brisk());
        let mut pace = pace_of(Duration::from_millis(5), 1, 100).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        pace.note(1);
        assert!(!pace.is_brisk(), "what was before a pause still counts");
    }
}
