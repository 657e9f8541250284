//! How fast a node is, measured where it happens: how long messages take from one stage to the next.
//!
//! A stage takes a [`Stamp`] at its beginning and hands it on with the message; whoever ends the stage puts the time
//! between into a [`Histogram`]. `node` shows them to operators; `docs/metrics.md` says what they mean.
//!
//! # Invariants
//!
//! * Nothing here locks, allocates or waits: a histogram is a row of counters.
//! * A clock is read once for a message or a batch, never once for a recipient.
//! * With meters that are off no clock is read and nothing is counted: their stamps are [`Stamp::NONE`], and a time
//!   from or to such a stamp is left out.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Upper bounds of the times that are told apart, in microseconds; what is longer than the last counts for itself.
///
/// From a delivery within one node, tens of microseconds, to what clients give up on.
pub const BOUNDS_US: [u64; 14] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// A moment, in microseconds since the meters were made, counted from 1; 0 is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// No moment: what is measured from or to it is left out.
    pub const NONE: Self = Self(0);

    /// Its number, for those who carry it without knowing what it is.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The stamp of that number.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Whether it is no moment.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each of [`BOUNDS_US`], and one for what is longer; a time counts in one of them.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Takes one time in.
    pub fn observe(&self, from: Stamp, to: Stamp) {
        self.observe_many(from, to, 1);
    }

    /// Takes the same time in for each of `times`.
    pub fn observe_many(&self, from: Stamp, to: Stamp, times: u64) {
        if from.is_none() || to.is_none() {
            return;
        }
        let took_us = to.0.saturating_sub(from.0);
        let bucket = BOUNDS_US.iter().take_while(|bound| took_us > **bound).count();
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us.saturating_mul(times), Ordering::Relaxed);
    }

    /// How often each of [`BOUNDS_US`] was kept and no smaller one; the last are those that were longer.
    #[must_use]
    pub fn counts(&self) -> [u64; BOUNDS_US.len() + 1] {
        std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed))
    }

    /// All times together.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

/// The meters of one node.
#[derive(Debug)]
pub struct Meters {
    on: bool,
    origin: Instant,
    /// From a request's arrival at its room until what it stores is given to the lane.
    pub queue: Histogram,
    /// From there until it is on disk.
    pub append: Histogram,
    /// From there until it is given to the relay and the author is answered.
    pub fan_out: Histogram,
    /// One batch of a lane, from its being made up to the store's answer.
    pub batch: Histogram,
    /// From the commit of an event, or its arrival from the room's owner, to the write for the last of those who
    /// follow here: once for what is handed on together. Also once for each connection that had to be waited for.
    pub delivery: Histogram,
    /// Nanoseconds in which connections' tasks wrote what sockets had not taken at once, taken out by who reads it.
    pub late_ns: AtomicU64,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Meters {
    /// Meters that measure, or that do not.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self {
            on,
            origin: Instant::now(),
            queue: Histogram::default(),
            append: Histogram::default(),
            fan_out: Histogram::default(),
            batch: Histogram::default(),
            delivery: Histogram::default(),
            late_ns: AtomicU64::default(),
        }
    }

    /// Whether anything is measured.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// This moment; none when nothing is measured.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        if !self.on {
            return Stamp::NONE;
        }
        let us = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        Stamp(us + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_counts_at_the_smallest_bound_that_it_keeps() {
        let meters = Meters::new(true);
        let from = meters.stamp();
        for ms in [0, 1, 9, 990, 9_000] {
            tokio::time::advance(Duration::from_millis(ms)).await;
            meters.queue.observe(from, meters.stamp());
        }
        let counts = meters.queue.counts();
        let at = |bound: u64| counts[BOUNDS_US.iter().position(|us| *us == bound).expect("a bound")];
        assert_eq!((at(100), at(1_000), at(10_000), at(1_000_000), counts[BOUNDS_US.len()]), (1, 1, 1, 1, 1));
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert_eq!(meters.queue.sum_us(), 1_000 + 10_000 + 1_000_000 + 10_000_000);
    }

    #[test]
    fn meters_that_are_off_count_nothing() {
        let (off, on) = (Meters::new(false), Meters::new(true));
        assert!(off.stamp().is_none() && !on.stamp().is_none());
        off.append.observe(off.stamp(), off.stamp());
        off.append.observe(on.stamp(), off.stamp());
        off.append.observe(Stamp::NONE, on.stamp());
        assert_eq!(off.append.counts().iter().sum::<u64>(), 0);
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS_US.is_sorted());
    }
}
