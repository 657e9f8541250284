//! Latencies of the measured window, and the count of deliveries at any moment.
//!
//! # Invariants
//! - A latency is recorded only for a message that was due within the window, and counts from when it was due.
//! - `delivered` counts all deliveries of the run, so the difference of two readings is what arrived between them.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::schedule::Schedule;

/// Longest latency told apart; later ones are entered as this. A run drains for 10 s, so none can be longer than its
/// window and that.
const LATENCY_US_MAX: u64 = 600_000_000;

#[derive(Debug)]
pub(crate) struct Recorder {
    delivered: u64,
    received_bytes: u64,
    deliveries: Histogram<u64>,
    answers: Histogram<u64>,
}

/// Percentiles in milliseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Recorder {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            delivered: 0,
            received_bytes: 0,
            deliveries: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            answers: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
        })
    }

    pub(crate) fn delivery(&mut self, number: u32, now: Instant, schedule: &Schedule) {
        self.delivered += 1;
        record(&mut self.deliveries, number, now, schedule);
    }

    pub(crate) fn answer(&mut self, number: u32, now: Instant, schedule: &Schedule) {
        record(&mut self.answers, number, now, schedule);
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Enters that a client has read so many bytes.
    pub(crate) fn bytes(&mut self, read: usize) {
        self.received_bytes += read as u64;
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    pub(crate) fn delivery_latency(&self) -> Latency {
        latency(&self.deliveries)
    }

    pub(crate) fn answer_latency(&self) -> Latency {
        latency(&self.answers)
    }
}

fn record(histogram: &mut Histogram<u64>, number: u32, now: Instant, schedule: &Schedule) {
    if schedule.is_measured(number) {
        histogram.saturating_record(micros(now.saturating_duration_since(schedule.due(number))));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LATENCY_US_MAX).clamp(1, LATENCY_US_MAX)
}

/// Reads the percentiles out of a histogram of microseconds.
pub(crate) fn latency(histogram: &Histogram<u64>) -> Latency {
    let ms = |us: u64| us as f64 / 1_000.0;
    Latency {
        count: histogram.len(),
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    }
}

/// A histogram of durations that nobody schedules, such as joins.
pub(crate) fn summary(times: &[Duration]) -> Result<Latency> {
    let mut histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?;
    for time in times {
        histogram.saturating_record(micros(*time));
    }
    Ok(latency(&histogram))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Case, Timing};

    #[test]
    fn only_messages_due_in_the_window_are_timed_and_all_are_counted() {
        let timing =
            Timing { warm_up: Duration::from_secs(1), window: Duration::from_secs(1), drain: Duration::ZERO };
        let case = Case::named("fan5k").expect("a known case");
        let schedule = Schedule::new(case, timing, Instant::now());
        let mut recorder = Recorder::new().expect("bounds are valid");
        for number in 0..schedule.total() {
            let late = Duration::from_millis(if number < 50 { 900 } else { 4 });
            recorder.delivery(number, schedule.due(number) + late, &schedule);
        }
        recorder.answer(60, schedule.due(60) + Duration::from_millis(2), &schedule);
        assert_eq!(recorder.delivered(), 100);
        let latency = recorder.delivery_latency();
        assert_eq!(latency.count, 50);
        assert!((3.9..4.1).contains(&latency.max_ms), "{latency:?}");
        assert_eq!(recorder.answer_latency().count, 1);
    }

    #[test]
    fn a_stall_is_charged_to_every_message_it_made_wait() {
        let timing = Timing { warm_up: Duration::ZERO, window: Duration::from_secs(2), drain: Duration::ZERO };
        let case = Case::named("fan5k").expect("a known case");
        let schedule = Schedule::new(case, timing, Instant::now());
        let mut recorder = Recorder::new().expect("bounds are valid");
        let stall_end = schedule.due(schedule.total());
        for number in 0..schedule.total() {
            recorder.delivery(number, stall_end, &schedule);
        }
        let p50 = recorder.delivery_latency().p50_ms;
        assert!((990.0..1_030.0).contains(&p50), "{p50}");
    }
}
