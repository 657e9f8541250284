//! The keys a room remembers, so that most repeats are answered without asking the log.
//!
//! # Invariants
//!
//! * Every key stored at [`KeyWindow::since`] or later is in the window.
//! * [`Seen::Never`] is answered only for a key that cannot have been stored before the window: a
//!   version 7 key whose own time lies inside it, allowing for [`SKEW_MS`] between the two clocks.

use std::collections::{HashMap, VecDeque};

use hubbub_protocol::{
    ids::{MessageKey, Seq, UserId},
    limits::KEY_WINDOW_MS,
    time::Timestamp,
};

/// Most keys remembered: 8,192 of about 100 bytes, two tables, under 1 MB in the busiest room.
pub const KEYS_MAX: usize = 8_192;
/// How far a client's clock may be off before its keys are looked for in the log.
pub const SKEW_MS: i64 = 60_000;

/// What the window knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Stored under this number, at this time.
    As(Seq, Timestamp),
    /// Not in the window, but it may have been stored at this time or later.
    MaybeSince(Timestamp),
    /// Not stored.
    Never,
}

/// The keys of the room's last ten minutes, or of its last [`KEYS_MAX`] messages if those are fewer.
#[derive(Debug)]
pub struct KeyWindow {
    since: Timestamp,
    by_key: HashMap<(UserId, MessageKey), (Seq, Timestamp)>,
    in_order: VecDeque<(UserId, MessageKey, Timestamp)>,
}

impl KeyWindow {
    /// An empty window that holds all from `since` on.
    #[must_use]
    pub fn new(since: Timestamp) -> Self {
        Self { since, by_key: HashMap::new(), in_order: VecDeque::new() }
    }

    /// Remembers a key; forgets the oldest beyond the bounds.
    pub fn insert(&mut self, by: UserId, key: MessageKey, seq: Seq, ts: Timestamp) {
        self.by_key.insert((by, key), (seq, ts));
        self.in_order.push_back((by, key, ts));
        let horizon = ts.plus_ms(-(KEY_WINDOW_MS.cast_signed()));
        while let Some(&(by, key, oldest)) = self.in_order.front() {
            if oldest >= horizon && self.in_order.len() <= KEYS_MAX {
                break;
            }
            self.in_order.pop_front();
            self.by_key.remove(&(by, key));
            self.since = self.since.max(oldest.plus_ms(1));
        }
    }

    /// Looks `key` up at time `now`.
    #[must_use]
    pub fn find(&self, by: UserId, key: MessageKey, now: Timestamp) -> Seen {
        if let Some((seq, ts)) = self.by_key.get(&(by, key)) {
            return Seen::As(*seq, *ts);
        }
        let Some(made) = key.unix_ms().and_then(|ms| i64::try_from(ms).ok()).map(Timestamp) else {
            return Seen::MaybeSince(Timestamp(0));
        };
        if made > now.plus_ms(SKEW_MS) {
            return Seen::MaybeSince(Timestamp(0));
        }
        let earliest = made.plus_ms(-SKEW_MS);
        if earliest >= self.since { Seen::Never } else { Seen::MaybeSince(earliest) }
    }

    /// When each author in the window last sent.
    #[must_use]
    pub fn last_sends(&self) -> HashMap<UserId, Timestamp> {
        self.in_order.iter().map(|(by, _, ts)| (*by, *ts)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_795_435_200_000);
    const ADA: UserId = UserId::from_raw(1);

    fn timed(at: Timestamp) -> MessageKey {
        let ms = u64::try_from(at.0).expect("after 1970");
        MessageKey(uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid())
    }

    #[test]
    fn a_key_pushed_out_is_searched_for_and_never_called_new() {
        let mut window = KeyWindow::new(NOW.plus_ms(-600_000));
        let first = timed(NOW);
        window.insert(ADA, first, Seq(1), NOW);
        for n in 0..KEYS_MAX as u64 {
            window.insert(ADA, MessageKey(Uuid::from_u128(u128::from(n))), Seq(n + 2), NOW.plus_ms(5));
        }
        assert!(matches!(window.find(ADA, first, NOW.plus_ms(9)), Seen::MaybeSince(_)));
        assert!(window.by_key.len() <= KEYS_MAX && window.in_order.len() <= KEYS_MAX);
    }

    #[test]
    fn a_fresh_key_needs_no_search() {
        let window = KeyWindow::new(NOW.plus_ms(-600_000));
        assert_eq!(window.find(ADA, timed(NOW), NOW), Seen::Never);
        assert_eq!(window.find(ADA, timed(NOW.plus_ms(-500_000)), NOW), Seen::Never);
        let old = NOW.plus_ms(-590_000);
        assert_eq!(window.find(ADA, timed(old), NOW), Seen::MaybeSince(old.plus_ms(-SKEW_MS)));
    }

    #[test]
    fn keys_older_than_the_window_are_forgotten() {
        let mut window = KeyWindow::new(NOW);
        window.insert(ADA, timed(NOW), Seq(1), NOW);
        let later = NOW.plus_ms(KEY_WINDOW_MS.cast_signed() + 1);
        window.insert(ADA, timed(later), Seq(2), later);
        assert_eq!(window.by_key.len(), 1);
        assert!(matches!(window.find(ADA, timed(NOW), later), Seen::MaybeSince(_)));
    }
}
