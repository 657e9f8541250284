//! One room's stretch of events, put in order: what came is handed on once, what is missing is named.
//!
//! # Invariants
//!
//! * Events are handed on in seq order, each once, without a hole.
//! * At most [`AHEAD_MAX`] events wait for a hole to be filled; beyond that they are let go, and
//!   fetched with the rest.

use std::collections::BTreeMap;

use bytes::Bytes;
use hubbub_protocol::{event::Event, ids::Seq};

/// Events kept while a hole before them is being filled: about 100 KB.
const AHEAD_MAX: usize = 256;

/// An event with the bytes it came in.
pub type Came = (Event, Bytes);

/// Follows one room.
#[derive(Debug, Default)]
pub struct Track {
    seen: Seq,
    /// The newest seq known to exist.
    head: Seq,
    /// What came too early; nothing, for an event that is of no use to us.
    ahead: BTreeMap<Seq, Option<Came>>,
}

impl Track {
    /// A track that goes on after `seen`.
    #[must_use]
    pub fn after(seen: Seq) -> Self {
        Self { seen, head: seen, ahead: BTreeMap::new() }
    }

    /// The newest seq handed on.
    #[must_use]
    pub const fn seen(&self) -> Seq {
        self.seen
    }

    /// Takes an event in; returns what can be handed on now.
    pub fn take(&mut self, came: Came) -> Vec<Came> {
        self.place(came.0.seq, Some(came))
    }

    /// Takes in that there is an event of a kind we do not know; returns what can be handed on now.
    pub fn skip(&mut self, seq: Seq) -> Vec<Came> {
        self.place(seq, None)
    }

    fn place(&mut self, seq: Seq, came: Option<Came>) -> Vec<Came> {
        self.head = self.head.max(seq);
        if seq > self.seen && (self.ahead.len() < AHEAD_MAX || seq == self.seen.next()) {
            self.ahead.insert(seq, came);
        }
        let mut ready = Vec::new();
        while let Some(next) = self.ahead.remove(&self.seen.next()) {
            self.seen = self.seen.next();
            ready.extend(next);
        }
        ready
    }

    /// Learns that the room has got to `head`.
    pub fn head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Whether something before the newest known event is missing.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.seen < self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubbub_protocol::{
        event::EventBody,
        ids::{RoomId, UserId},
        time::Timestamp,
    };

    fn came(seq: u64) -> Came {
        let body = EventBody::MemberJoined { user: UserId::from_raw(1) };
        let (room, by) = (RoomId::from_raw(1), UserId::from_raw(1));
        (Event { room, seq: Seq(seq), ts: Timestamp(0), by, key: None, body }, Bytes::new())
    }

    fn seqs(ready: Vec<Came>) -> Vec<u64> {
        ready.into_iter().map(|(event, _)| event.seq.0).collect()
    }

    #[test]
    fn doubles_are_dropped_and_holes_are_waited_for() {
        let mut track = Track::after(Seq(0));
        assert_eq!(seqs(track.take(came(1))), [1]);
        assert_eq!(seqs(track.take(came(3))), Vec::<u64>::new());
        assert!(track.is_behind());
        assert_eq!(seqs(track.take(came(1))), Vec::<u64>::new());
        assert_eq!(seqs(track.take(came(2))), [2, 3]);
        assert!(!track.is_behind());
    }

    #[test]
    fn in_whatever_order_they_come_each_is_handed_on_once_in_order() {
        let mut noise = 12_345_u64;
        for _ in 0..200 {
            let mut order: Vec<u64> = (1..=40).chain(1..=40).collect();
            for at in (1..order.len()).rev() {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                order.swap(at, usize::try_from(noise >> 33).expect("small") % (at + 1));
            }
            let mut track = Track::after(Seq(0));
            let handed: Vec<u64> = order.into_iter().flat_map(|seq| seqs(track.take(came(seq)))).collect();
            assert_eq!(handed, (1..=40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_event_of_a_later_version_leaves_no_hole() {
        let mut track = Track::after(Seq(0));
        assert_eq!(seqs(track.take(came(1))), [1]);
        assert_eq!(seqs(track.take(came(3))), Vec::<u64>::new());
        assert_eq!(seqs(track.skip(Seq(2))), [3]);
        assert!(!track.is_behind());
    }

    #[test]
    fn what_waits_is_bounded_and_fetched_again() {
        let mut track = Track::after(Seq(0));
        for seq in 2..1_000 {
            assert!(track.take(came(seq)).is_empty());
        }
        assert!(track.ahead.len() <= AHEAD_MAX);
        let handed: Vec<u64> = (1..1_000).flat_map(|seq| seqs(track.take(came(seq)))).collect();
        assert_eq!(handed, (1..1_000).collect::<Vec<_>>());
    }
}
