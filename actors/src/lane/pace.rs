//! How brisk a lane is, which says whether a batch waits for company, and how long.

use std::time::Duration;

/// Events a second from which a batch waits for company: below, a commit each is less than a
/// hundredth of a core, and nobody should wait.
pub(super) const LINGER_ABOVE_PER_S: f64 = 30.0;
/// Company that is waited for.
const WANTED: f64 = 20.0;
/// Shortest wait, from 4,000 events a second on.
const LINGER_MIN: Duration = Duration::from_millis(5);
/// Longest wait, up to 500 events a second.
const LINGER_MAX: Duration = Duration::from_millis(40);
/// Waits in a row to whose later part nobody came, after which none is waited for: who sends as fast as they are
/// answered come at once or not at all, and would only be slowed down. Of people who send independently, 50 a second,
/// six such waits in a row are one in ten thousand.
const FRUITLESS_MAX: u32 = 6;
/// For how long none is waited for then.
const NO_WAIT_FOR: Duration = Duration::from_secs(2);

/// How many events a second a lane has lately taken.
#[derive(Debug)]
pub(super) struct Pace {
    per_s: f64,
    at: tokio::time::Instant,
    /// Waits in a row to whose later part nobody came.
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

    /// Takes in how a wait of `linger`, which ends now, went: when who came last came.
    pub(super) fn waited(&mut self, linger: Duration, last: tokio::time::Instant) {
        let came_late = last.elapsed() < linger.mul_f32(0.75);
        self.fruitless = if came_late { 0 } else { self.fruitless + 1 };
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

    /// A wait to which somebody came after `after_ms`.
    async fn wait(pace: &mut Pace, after_ms: u64) {
        let linger = pace.linger();
        let after = Duration::from_millis(after_ms);
        tokio::time::advance(after).await;
        let last = tokio::time::Instant::now();
        tokio::time::advance(linger - after).await;
        pace.waited(linger, last);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_one_after_the_other_is_not_made_to_wait_for_long() {
        let mut pace = pace_of(Duration::from_millis(5), 1, 100).await;
        // They come one after the other or several together, but at once, as they are answered.
        for at_once in 0..FRUITLESS_MAX {
            assert!(pace.is_brisk());
            wait(&mut pace, (at_once % 2).into()).await;
        }
        assert!(!pace.is_brisk(), "nobody else sends");
        for _ in 0..500 {
            tokio::time::advance(Duration::from_millis(5)).await;
            pace.note(1);
        }
        assert!(pace.is_brisk(), "it is tried again");
        for _ in 0..10 {
            wait(&mut pace, 20).await;
            wait(&mut pace, 1).await;
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
