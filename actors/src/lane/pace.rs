//! How brisk a lane is, which says whether a batch waits for company, and how long.

use std::time::Duration;

/// Events a second from which a batch waits for company: below, a commit each is less than a
/// hundredth of a core, and nobody should wait.
pub(super) const LINGER_ABOVE_PER_S: f64 = 50.0;
/// Company that is waited for.
const WANTED: f64 = 4.0;
/// Shortest wait, from 200 events a second on.
const LINGER_MIN: Duration = Duration::from_millis(20);
/// Longest wait, below 100 events a second.
const LINGER_MAX: Duration = Duration::from_millis(40);
/// Waits in a row that brought no company, after which none is waited for: one who sends as fast as it is answered
/// would only be slowed down. Of people who send independently, 50 a second, three in a row are one in four hundred.
const FRUITLESS_MAX: u32 = 3;
/// For how long none is waited for then.
const NO_WAIT_FOR: Duration = Duration::from_secs(1);

/// How many events a second a lane has lately taken.
#[derive(Debug)]
pub(super) struct Pace {
    per_s: f64,
    at: tokio::time::Instant,
    /// Waits in a row that brought no company.
    fruitless: u32,
    no_wait_until: tokio::time::Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = tokio::time::Instant::now();
        Self { per_s: 0.0, at: now, fruitless: 0, no_wait_until: now }
    }

    pub(super) fn is_brisk(&self) -> bool {
        self.per_s > LINGER_ABOVE_PER_S && self.no_wait_until <= tokio::time::Instant::now()
    }

    /// Takes in what a wait brought: `events` in all.
    pub(super) fn waited(&mut self, events: usize) {
        self.fruitless = if events > 1 { 0 } else { self.fruitless + 1 };
        if self.fruitless >= FRUITLESS_MAX {
            self.fruitless = 0;
            self.no_wait_until = tokio::time::Instant::now() + NO_WAIT_FOR;
        }
    }

    /// How long a batch waits.
    pub(super) fn linger(&self) -> Duration {
        Duration::from_secs_f64(WANTED / self.per_s.max(1.0)).clamp(LINGER_MIN, LINGER_MAX)
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
    async fn who_sends_one_after_the_other_is_not_made_to_wait_for_long() {
        let mut pace = pace_of(Duration::from_millis(5), 1, 100).await;
        for _ in 0..FRUITLESS_MAX {
            assert!(pace.is_brisk());
            pace.waited(1);
        }
        assert!(!pace.is_brisk(), "nobody else sends");
        for _ in 0..300 {
            tokio::time::advance(Duration::from_millis(5)).await;
            pace.note(1);
        }
        assert!(pace.is_brisk(), "it is tried again");
        for _ in 0..10 {
            pace.waited(2);
            pace.waited(1);
        }
        assert!(pace.is_brisk(), "company came now and then");
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
