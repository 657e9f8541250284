//! What waits to be written to one connection, and what is left out when too much waits.
//!
//! # Invariants
//!
//! * Frames leave in the order in which they came.
//! * At most [`OUTBOX_FRAMES_MAX`] live events and [`OUTBOX_BYTES_MAX`] of their bytes wait, and at
//!   most [`REPLAY_QUEUE_MAX`] replayed ones; answers are bounded by the requests in flight.
//! * Of the events of a room, each is written or covered by exactly one `gap`, which goes ahead of
//!   the room's next event.

use std::{
    collections::{BTreeMap, VecDeque},
    io::IoSlice,
};

use bytes::{Buf, Bytes};
use hubbub_actors::connection::REPLAY_QUEUE_MAX;
use hubbub_protocol::{
    frame::{Format, Frame},
    ids::{RoomId, Seq},
    limits::{OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX},
    push::Push,
};

/// Replayed bytes that may wait: as many events as may, of about 512 bytes.
const REPLAY_BYTES_MAX: usize = REPLAY_QUEUE_MAX * 512;
/// Frames given to the socket at once: more gain nothing, since the call is no longer what costs.
const SLICES_MAX: usize = 64;

/// Why a frame waits; decides which bound it counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An answer or a steering push: never left out.
    Must,
    /// A live event.
    Event,
    /// A replayed event.
    Replay,
}

/// Frames waiting for one connection.
#[derive(Debug)]
pub struct Outbox {
    format: Format,
    waiting: VecDeque<(Bytes, Kind)>,
    events: usize,
    event_bytes: usize,
    replays: usize,
    replay_bytes: usize,
    /// Events left out, by room: first and last.
    left_out: BTreeMap<RoomId, (Seq, Seq)>,
}

impl Outbox {
    /// An empty outbox for frames of `format`.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self {
            format,
            waiting: VecDeque::new(),
            events: 0,
            event_bytes: 0,
            replays: 0,
            replay_bytes: 0,
            left_out: BTreeMap::new(),
        }
    }

    /// Whether nothing waits and nothing was left out: a frame may be written at once.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.left_out.is_empty()
    }

    /// Whether live events are left out for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.events >= OUTBOX_FRAMES_MAX || self.event_bytes >= OUTBOX_BYTES_MAX
    }

    /// Queues bytes that must be written.
    pub fn push(&mut self, bytes: Bytes) {
        self.waiting.push_back((bytes, Kind::Must));
    }

    /// Queues what is left of an event that was written in part, whatever the bounds.
    pub fn push_rest(&mut self, bytes: Bytes, kind: Kind) {
        self.count(&bytes, kind);
        self.waiting.push_back((bytes, kind));
    }

    /// Queues an event, or leaves it out.
    pub fn event(&mut self, room: RoomId, seq: Seq, frame: &Frame, kind: Kind) {
        let full = match kind {
            Kind::Replay => self.replays >= REPLAY_QUEUE_MAX || self.replay_bytes >= REPLAY_BYTES_MAX,
            Kind::Event | Kind::Must => self.is_full(),
        };
        if full {
            let (_, last) = self.left_out.entry(room).or_insert((seq, seq));
            *last = seq;
            return;
        }
        if let Some((from, to)) = self.left_out.remove(&room) {
            self.gap(room, from, to);
        }
        let bytes = frame.wire(self.format).clone();
        self.count(&bytes, kind);
        self.waiting.push_back((bytes, kind));
    }

    /// Queues an ephemeral push, unless much waits already.
    pub fn ephemeral(&mut self, frame: &Frame) {
        if self.events < OUTBOX_FRAMES_MAX / 2 && self.waiting.len() < 2 * OUTBOX_FRAMES_MAX {
            self.push_rest(frame.wire(self.format).clone(), Kind::Event);
        }
    }

    fn gap(&mut self, room: RoomId, from: Seq, to: Seq) {
        let frame = Frame::of(&Push::Gap { room, from, to });
        self.push(frame.wire(self.format).clone());
    }

    /// Queues the gaps of all rooms, once half of what may wait has been written.
    fn settle(&mut self) {
        if !self.left_out.is_empty()
            && self.events <= OUTBOX_FRAMES_MAX / 2
            && self.event_bytes <= OUTBOX_BYTES_MAX / 2
            && self.replays <= REPLAY_QUEUE_MAX / 2
        {
            for (room, (from, to)) in std::mem::take(&mut self.left_out) {
                self.gap(room, from, to);
            }
        }
    }

    /// The first of what waits, for one vectored write.
    #[must_use]
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.waiting.iter().take(SLICES_MAX).map(|(bytes, _)| IoSlice::new(bytes)).collect()
    }

    /// Takes out what was written.
    pub fn written(&mut self, mut bytes: usize) {
        while let Some((front, kind)) = self.waiting.front_mut() {
            if bytes < front.len() {
                front.advance(bytes);
                break;
            }
            bytes -= front.len();
            let (kind, length) = (*kind, front.len());
            self.waiting.pop_front();
            self.uncount(length, kind);
        }
        self.settle();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
            (self.event_bytes, self.replay_bytes) = (0, 0);
        }
    }

    /// Whether anything waits.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn count(&mut self, bytes: &Bytes, kind: Kind) {
        match kind {
            Kind::Must => {}
            Kind::Event => {
                self.events += 1;
                self.event_bytes += bytes.len();
            }
            Kind::Replay => {
                self.replays += 1;
                self.replay_bytes += bytes.len();
            }
        }
    }

    const fn uncount(&mut self, bytes: usize, kind: Kind) {
        match kind {
            Kind::Must => {}
            Kind::Event => {
                self.events -= 1;
                self.event_bytes = self.event_bytes.saturating_sub(bytes);
            }
            Kind::Replay => {
                self.replays -= 1;
                self.replay_bytes = self.replay_bytes.saturating_sub(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId::from_raw(1);

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        let mut frames = Vec::new();
        while outbox.has_more() {
            let first = outbox.waiting.front().expect("something waits").0.clone();
            let header = if first[1] < 126 { 2 } else { 4 };
            frames.push(String::from_utf8_lossy(&first[header..]).into_owned());
            outbox.written(first.len());
        }
        frames
    }

    fn event(outbox: &mut Outbox, seq: u64) {
        outbox.event(ROOM, Seq(seq), &Frame::new(format!("e{seq}").as_bytes()), Kind::Event);
    }

    #[test]
    fn frames_leave_in_the_order_in_which_they_came() {
        let mut outbox = Outbox::new(Format::Json);
        event(&mut outbox, 1);
        outbox.push(Frame::new(b"answer").wire(Format::Json).clone());
        event(&mut outbox, 2);
        assert_eq!(drain(&mut outbox), ["e1", "answer", "e2"]);
        assert!(outbox.is_idle());
    }

    #[test]
    fn what_does_not_fit_becomes_one_gap_ahead_of_the_rooms_next_event() {
        let mut outbox = Outbox::new(Format::Json);
        let max = OUTBOX_FRAMES_MAX as u64;
        for seq in 1..=max + 10 {
            event(&mut outbox, seq);
        }
        assert!(outbox.is_full());
        let first = outbox.waiting.front().expect("something waits").0.len();
        outbox.written(first);
        event(&mut outbox, max + 11);
        let frames = drain(&mut outbox);
        let gap = format!(r#"{{"ev":"gap","room":"{ROOM}","from":{},"to":{}}}"#, max + 1, max + 10);
        let at = frames.iter().position(|frame| *frame == gap).expect("a gap");
        assert_eq!(frames[at + 1], format!("e{}", max + 11));
        assert_eq!(frames.iter().filter(|frame| frame.contains("gap")).count(), 1);
        assert_eq!(frames.len() as u64, max - 1 + 2, "one was written; the gap and an event came");
    }

    #[test]
    fn a_gap_is_told_even_when_no_later_event_comes() {
        let mut outbox = Outbox::new(Format::Json);
        for seq in 1..=OUTBOX_FRAMES_MAX as u64 + 1 {
            event(&mut outbox, seq);
        }
        let frames = drain(&mut outbox);
        assert!(frames.last().expect("frames").contains("gap") || frames.iter().any(|frame| frame.contains("gap")));
        assert!(outbox.is_idle());
    }

    #[test]
    fn partial_writes_lose_nothing() {
        let mut outbox = Outbox::new(Format::Json);
        event(&mut outbox, 1);
        event(&mut outbox, 2);
        let all: Vec<u8> = outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect();
        let mut written = Vec::new();
        while outbox.has_more() {
            let next: Vec<u8> = outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            written.push(next[0]);
            outbox.written(1);
        }
        assert_eq!(written, all);
    }

    #[test]
    fn a_replay_does_not_count_against_live_events() {
        let mut outbox = Outbox::new(Format::Json);
        for seq in 1..=1_000 {
            outbox.event(ROOM, Seq(seq), &Frame::new(b"old"), Kind::Replay);
        }
        event(&mut outbox, 1_001);
        assert_eq!(drain(&mut outbox).len(), 1_001);
    }
}
