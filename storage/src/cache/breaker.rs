//! When a cache that does not answer is left alone: a rule over values, told the time.
//!
//! # Invariants
//!
//! * After [`FAILURES_MAX`] failures in a row nothing is asked until a wait is over; then one question at a time is, and
//!   its answer ends the wait or doubles it.
//! * A wait is never longer than [`WAIT_MAX`]: a cache that is back is used again within that.

use std::time::Duration;

/// Failures in a row after which the cache is left alone: at 50 ms each, a quarter of a second of slowness.
pub const FAILURES_MAX: u32 = 5;
/// The first wait.
pub const WAIT_MIN: Duration = Duration::from_millis(250);
/// The longest one.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// A question whose end was not told within this was given up by who asked; an answer takes 50 ms.
const ASKED_FOR_MAX: Duration = Duration::from_secs(1);

/// See the module. Times are since any fixed moment.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    wait: Duration,
    until: Duration,
    /// Since when the one question is under way.
    asking: Option<Duration>,
}

/// Whether a question may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Ask,
    /// It may, as the one that finds out whether the cache is back.
    Probe,
    /// It may not.
    Skip,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing new.
    Same,
    /// From now on the cache is left alone.
    Opened,
}

impl Breaker {
    /// Asks for a turn.
    pub fn turn(&mut self, now: Duration) -> Turn {
        let Some(open) = &mut self.open else { return Turn::Ask };
        let under_way = open.asking.is_some_and(|since| now.saturating_sub(since) < ASKED_FOR_MAX);
        if now < open.until || under_way {
            return Turn::Skip;
        }
        open.asking = Some(now);
        Turn::Probe
    }

    /// Notes an answer to a question of this turn; whether the cache is back by it.
    pub fn answered(&mut self, turn: Turn) -> bool {
        self.failures = 0;
        // A late answer from before says nothing of now.
        turn == Turn::Probe && self.open.take().is_some()
    }

    /// Notes that a question of this turn failed.
    pub fn failed(&mut self, turn: Turn, now: Duration) -> After {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            Some(open) if turn == Turn::Probe => {
                open.wait = open.wait.saturating_mul(2).min(WAIT_MAX);
                open.until = now.saturating_add(open.wait);
                open.asking = None;
                After::Same
            }
            None if self.failures >= FAILURES_MAX => {
                self.open = Some(Open { wait: WAIT_MIN, until: now.saturating_add(WAIT_MIN), asking: None });
                After::Opened
            }
            Some(_) | None => After::Same,
        }
    }

    /// Whether the cache is left alone.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=FAILURES_MAX {
            assert_eq!(breaker.turn(ms(0)), Turn::Ask);
            let after = breaker.failed(Turn::Ask, ms(0));
            assert_eq!(after == After::Opened, failure == FAILURES_MAX);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_leave_the_cache_alone_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..FAILURES_MAX {
                assert_eq!(breaker.failed(Turn::Ask, ms(0)), After::Same);
            }
            assert!(!breaker.answered(Turn::Ask));
        }
        assert!(!breaker.is_open());
        let mut breaker = opened();
        assert!(breaker.is_open());
        assert_eq!(breaker.turn(ms(249)), Turn::Skip);
    }

    #[test]
    fn after_the_wait_one_question_finds_out_whether_the_cache_is_back() {
        let mut breaker = opened();
        assert_eq!(breaker.turn(ms(250)), Turn::Probe);
        assert_eq!(breaker.turn(ms(251)), Turn::Skip, "one at a time");
        assert!(breaker.answered(Turn::Probe));
        assert!(!breaker.is_open());
        assert_eq!(breaker.turn(ms(252)), Turn::Ask);
    }

    #[test]
    fn each_question_in_vain_doubles_the_wait_up_to_a_bound() {
        let (mut breaker, mut now, mut waits) = (opened(), ms(0), Vec::new());
        for _ in 0..9 {
            let begun = now;
            while breaker.turn(now) == Turn::Skip {
                now += ms(10);
            }
            waits.push((now - begun).as_millis());
            assert_eq!(breaker.failed(Turn::Probe, now), After::Same);
        }
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn a_late_answer_from_before_does_not_end_the_wait_and_a_late_failure_does_not_prolong_it() {
        let mut breaker = opened();
        assert!(!breaker.answered(Turn::Ask));
        assert!(breaker.is_open());
        assert_eq!(breaker.failed(Turn::Ask, ms(200)), After::Same);
        assert_eq!(breaker.turn(ms(250)), Turn::Probe);
    }

    #[test]
    fn a_question_that_was_given_up_makes_place_for_the_next() {
        let mut breaker = opened();
        assert_eq!(breaker.turn(ms(250)), Turn::Probe);
        assert_eq!(breaker.turn(ms(1_249)), Turn::Skip);
        assert_eq!(breaker.turn(ms(1_250)), Turn::Probe);
    }
}
