//! How long this node may believe that the cluster knows it: until its lease is over, on a clock that does not stop
//! while the machine sleeps.
//!
//! A lease starts when the heartbeat is *sent* that a majority confirmed, so a slow answer never lengthens it. When it
//! is over the node coasts: it goes on appending, for the fence in the store decides, and what it says of presence and
//! permissions may be old.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Time since the machine started, asleep or awake. `std::time::Instant` stops in suspend.
#[derive(Debug)]
pub(super) struct BootClock {
    started: Instant,
}

impl BootClock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now() }
    }

    /// In milliseconds, in steps of ten. Linux tells it in `/proc/uptime`; elsewhere a clock that may stop must do.
    pub(super) fn now_ms(&self) -> u64 {
        let uptime = std::fs::read_to_string("/proc/uptime").ok();
        uptime
            .as_deref()
            .and_then(milliseconds)
            .unwrap_or_else(|| u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// The first number of `/proc/uptime`, which has two decimals.
fn milliseconds(uptime: &str) -> Option<u64> {
    let (seconds, hundredths) = uptime.split_whitespace().next()?.split_once('.')?;
    let hundredths: u64 = hundredths.get(..2)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()? * 1_000 + hundredths * 10)
}

/// When this node's word ends.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) clock: BootClock,
    until_ms: AtomicU64,
    confirmed_ms: AtomicU64,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self { clock: BootClock::new(), until_ms: AtomicU64::new(0), confirmed_ms: AtomicU64::new(0) }
    }

    /// A heartbeat sent at `sent_ms` was confirmed.
    pub(super) fn extend(&self, sent_ms: u64, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.until_ms.fetch_max(sent_ms.saturating_add(by), Ordering::Relaxed);
        self.confirmed_ms.fetch_max(sent_ms, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.clock.now_ms() >= self.until_ms.load(Ordering::Relaxed)
    }

    /// How long ago the last confirmed heartbeat was sent; `None` before the first.
    pub(super) fn last_contact(&self) -> Option<Duration> {
        let confirmed = self.confirmed_ms.load(Ordering::Relaxed);
        (confirmed > 0).then(|| Duration::from_millis(self.clock.now_ms().saturating_sub(confirmed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_read_to_the_hundredth() {
        assert_eq!(milliseconds("350735.47 234388.90\n"), Some(350_735_470));
        assert_eq!(milliseconds("0.05 1.0"), Some(50));
        assert_eq!(milliseconds("soon"), None);
    }

    #[test]
    fn a_lease_counts_from_the_sending_and_a_late_answer_does_not_shorten_it() {
        let lease = Lease::new();
        assert!(lease.is_over() && lease.last_contact().is_none());
        let now = lease.clock.now_ms();
        lease.extend(now, Duration::from_secs(60));
        assert!(!lease.is_over());
        lease.extend(now.saturating_sub(50), Duration::from_millis(10));
        assert!(!lease.is_over());
        let old = Lease::new();
        old.extend(now.saturating_sub(100), Duration::from_millis(50));
        assert!(old.is_over(), "it was over before the answer came");
    }
}
