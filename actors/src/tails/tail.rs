//! A stretch of a room's log, and the rule by which it is believed.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hubbub_protocol::ids::Seq;
use hubbub_storage::{StoredEvent, cache::HINT_BYTES_MAX};

/// Events of a tail: as many as a relay keeps, and more than a page of messages.
pub(crate) const TAIL_MAX: usize = 256;
/// Events read from the store to confirm a tail, its last one among them. A tail that more has come after is too old.
pub(crate) const REST_MAX: usize = 256;
/// The seq of the first event.
const HEAD_BYTES: usize = 8;
/// The length before each event.
const LENGTH_BYTES: usize = 4;

/// Events that follow each other, as the pushes they are stored as; never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    last: Seq,
    pushes: VecDeque<Bytes>,
    bytes: usize,
}

impl Tail {
    /// One event.
    pub(crate) fn of(seq: Seq, push: Bytes) -> Self {
        Self { last: seq, bytes: HEAD_BYTES + LENGTH_BYTES + push.len(), pushes: VecDeque::from([push]) }
    }

    /// The newest event.
    pub(crate) fn last(&self) -> (Seq, &Bytes) {
        (self.last, self.pushes.back().expect("a tail is never empty"))
    }

    /// Where the store is to be asked from, for the newest event and all that came after.
    pub(crate) fn before_last(&self) -> Seq {
        Seq(self.last.0.saturating_sub(1))
    }

    fn first(&self) -> Seq {
        Seq((self.last.0 + 1).saturating_sub(self.pushes.len() as u64))
    }

    /// Takes the next event in, and lets the oldest go past the bounds. An event that is not the next one begins a new
    /// tail; then this is `false`.
    pub(crate) fn push(&mut self, seq: Seq, push: Bytes) -> bool {
        if seq != self.last.next() {
            *self = Self::of(seq, push);
            return false;
        }
        self.last = seq;
        self.bytes += LENGTH_BYTES + push.len();
        self.pushes.push_back(push);
        while self.pushes.len() > 1 && (self.pushes.len() > TAIL_MAX || self.bytes > HINT_BYTES_MAX) {
            self.bytes -= self.pushes.pop_front().map_or(0, |gone| LENGTH_BYTES + gone.len());
        }
        true
    }

    /// Puts the older events of `before` in front, if it has this tail's first event, byte for byte.
    pub(crate) fn join(&mut self, before: &Self) {
        let first = self.first();
        let Some(at) = first.0.checked_sub(before.first().0).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        if before.pushes.get(at) != self.pushes.front() {
            return;
        }
        for push in before.pushes.range(..at).rev() {
            let bytes = self.bytes + LENGTH_BYTES + push.len();
            if self.pushes.len() == TAIL_MAX || bytes > HINT_BYTES_MAX {
                return;
            }
            self.bytes = bytes;
            self.pushes.push_front(push.clone());
        }
    }

    /// The form in which it is kept.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.bytes);
        bytes.put_u64(self.last.0);
        for push in &self.pushes {
            bytes.put_u32(u32::try_from(push.len()).unwrap_or(u32::MAX));
            bytes.put_slice(push);
        }
        bytes.freeze()
    }

    /// Reads it back.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let mut left = bytes.clone();
        let last = Seq(left.try_get_u64().ok()?);
        let mut pushes = VecDeque::new();
        while left.has_remaining() {
            let length = usize::try_from(left.try_get_u32().ok()?).ok()?;
            if length > left.len() || pushes.len() == TAIL_MAX {
                return None;
            }
            pushes.push_back(left.split_to(length));
        }
        // Seqs begin at 1.
        (!pushes.is_empty() && pushes.len() as u64 <= last.0).then_some(Self { last, pushes, bytes: bytes.len() })
    }

    /// This tail with what came after, given what the store has from its newest event on (see [`Tail::before_last`]);
    /// `None` when that event is not the store's, or when the store may have more than was read.
    ///
    /// That the newest event is the store's makes the older ones so: one owner took them from one log, which only
    /// grows, and an event holds its time and its author's random key.
    pub(crate) fn confirmed(self, rest: Vec<StoredEvent>) -> Option<Vec<(Seq, Bytes)>> {
        let (last, push) = self.last();
        let newest = rest.first()?;
        if newest.seq != last || newest.push != *push || rest.len() == REST_MAX {
            return None;
        }
        let first = self.first();
        let mut events: Vec<(Seq, Bytes)> = (first.0..).map(Seq).zip(self.pushes).collect();
        for event in rest.into_iter().skip(1) {
            let (last, _) = events.last()?;
            if event.seq != last.next() {
                return None;
            }
            events.push((event.seq, event.push));
        }
        Some(events)
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::{
        event::EventKind,
        ids::{RoomId, ShardSeq, UserId},
        time::Timestamp,
    };

    use super::*;

    fn push(seq: u64) -> Bytes {
        format!("event {seq}").into()
    }

    fn tail(seqs: std::ops::RangeInclusive<u64>) -> Tail {
        let mut tail = Tail::of(Seq(*seqs.start()), push(*seqs.start()));
        for seq in seqs.skip(1) {
            assert!(tail.push(Seq(seq), push(seq)));
        }
        tail
    }

    fn stored(seqs: std::ops::RangeInclusive<u64>) -> Vec<StoredEvent> {
        let event = |seq| StoredEvent {
            room: RoomId::from_raw(1),
            seq: Seq(seq),
            shard_seq: ShardSeq(seq),
            kind: EventKind::MessageCreated,
            by: UserId::from_raw(1),
            ts: Timestamp(0),
            push: push(seq),
        };
        seqs.map(event).collect()
    }

    fn seqs(events: &[(Seq, Bytes)]) -> Vec<u64> {
        events.iter().map(|(seq, _)| seq.0).collect()
    }

    #[test]
    fn a_tail_reads_back_and_what_is_none_does_not() {
        let tail = tail(3..=9);
        assert_eq!(Tail::decode(&tail.encode()), Some(tail.clone()));
        for cut in 0..tail.encode().len() {
            let read = Tail::decode(&tail.encode().slice(..cut));
            assert!(read.is_none_or(|read| read.last() != tail.last()), "cut at {cut}");
        }
        let mut impossible = BytesMut::new();
        impossible.put_u64(1);
        for _ in 0..2 {
            impossible.put_u32(0);
        }
        assert_eq!(Tail::decode(&impossible.freeze()), None, "two events up to seq 1");
    }

    #[test]
    fn a_tail_keeps_within_its_bounds_by_letting_the_oldest_go() {
        let long = tail(1..=TAIL_MAX as u64 + 5);
        assert_eq!((long.first(), long.pushes.len()), (Seq(6), TAIL_MAX));
        let mut wide = Tail::of(Seq(1), Bytes::from(vec![0; HINT_BYTES_MAX / 2]));
        for seq in 2..5 {
            wide.push(Seq(seq), Bytes::from(vec![0; HINT_BYTES_MAX / 2]));
        }
        assert_eq!((wide.first(), wide.pushes.len()), (Seq(4), 1));
        assert!(wide.encode().len() <= HINT_BYTES_MAX && wide.bytes == wide.encode().len());
    }

    #[test]
    fn an_event_that_is_not_the_next_begins_anew() {
        for other in [Seq(9), Seq(11), Seq(2)] {
            let mut tail = tail(3..=9);
            assert!(!tail.push(other, push(other.0)));
            assert_eq!((tail.first(), tail.last()), (other, (other, &push(other.0))));
        }
    }

    #[test]
    fn an_older_tail_is_joined_where_it_has_the_same_event_alone() {
        for (before, first) in [(tail(2..=7), 2), (tail(2..=4), 5), (tail(6..=9), 5), (tail(5..=5), 5)] {
            let mut later = tail(5..=9);
            later.join(&before);
            assert_eq!((later.first(), later.last().0), (Seq(first), Seq(9)));
            assert_eq!(later.bytes, later.encode().len());
        }
        let mut forked = Tail::of(Seq(4), push(4));
        forked.push(Seq(5), "another event 5".into());
        let mut later = tail(5..=9);
        later.join(&forked);
        assert_eq!(later.first(), Seq(5));
        let mut full = tail(300..=300 + TAIL_MAX as u64 - 2);
        full.join(&tail(200..=301));
        assert_eq!((full.first(), full.pushes.len()), (Seq(299), TAIL_MAX));
    }

    #[test]
    fn a_tail_is_believed_when_its_newest_event_is_the_stores_and_goes_on_from_there() {
        let events = tail(3..=9).confirmed(stored(9..=12)).expect("the same log");
        assert_eq!(seqs(&events), (3..=12).collect::<Vec<_>>());
        let events = tail(3..=9).confirmed(stored(9..=9)).expect("nothing came after");
        assert_eq!(seqs(&events), (3..=9).collect::<Vec<_>>());
    }

    #[test]
    fn a_tail_of_another_log_or_too_old_a_one_is_not_believed() {
        assert_eq!(tail(3..=9).confirmed(Vec::new()), None, "the log went back");
        assert_eq!(tail(3..=9).confirmed(stored(10..=12)), None);
        let mut forked = tail(3..=8);
        forked.push(Seq(9), "another event 9".into());
        assert_eq!(forked.confirmed(stored(9..=12)), None, "the log went another way");
        assert_eq!(tail(3..=9).confirmed(stored(9..=8 + REST_MAX as u64)), None, "there may be more");
        let mut holed = stored(9..=12);
        holed.remove(2);
        assert_eq!(tail(3..=9).confirmed(holed), None);
    }
}
