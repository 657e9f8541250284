//! What waits to be written to one connection, and what is left out when too much waits.
//!
//! # Invariants
//!
//! * Frames leave in the order in which they came, and one that was begun is finished first.
//! * At most [`OUTBOX_FRAMES_MAX`] live events and [`OUTBOX_BYTES_MAX`] of their bytes wait, and at
//!   most [`REPLAY_QUEUE_MAX`] replayed ones. Of answers, those to the requests in flight and
//!   [`OUTBOX_BYTES_MAX`] beyond: while more waits, no further request is read and no page of history
//!   is made, so that of these at most one is beyond the bound.
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
use smallvec::SmallVec;

/// Replayed bytes that may wait: as many events as may, of about 512 bytes.
const REPLAY_BYTES_MAX: usize = REPLAY_QUEUE_MAX * 512;
/// Frames given to the socket at once: more gain nothing, since the call is no longer what costs.
pub const SLICES_MAX: usize = 64;
/// Places for frames that stay with a connection that has just caught up, 40 bytes each: one that is behind again soon,
/// as all are in a hot room, queues without allocating. More go at once, and these when it stays idle ([`Outbox::rest`]).
const KEPT_MAX: usize = 64;

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

/// What waits, of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    frames: usize,
    bytes: usize,
}

impl Load {
    const fn reaches(self, frames: usize, bytes: usize) -> bool {
        self.frames >= frames || self.bytes >= bytes
    }
}

/// Frames waiting for one connection.
#[derive(Debug)]
pub struct Outbox {
    format: Format,
    waiting: VecDeque<(Bytes, Kind)>,
    /// Whether anything has waited since the last [`Outbox::rest`].
    used: bool,
    /// Whether a part of the first frame has been written.
    begun: bool,
    answers: Load,
    events: Load,
    replays: Load,
    /// Events left out, by room: first and last.
    left_out: BTreeMap<RoomId, (Seq, Seq)>,
}

impl Outbox {
    /// An empty outbox for frames of `format`.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        let none = Load { frames: 0, bytes: 0 };
        Self {
            format,
            waiting: VecDeque::new(),
            used: false,
            begun: false,
            answers: none,
            events: none,
            replays: none,
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
    pub const fn is_full(&self) -> bool {
        self.events.reaches(OUTBOX_FRAMES_MAX, OUTBOX_BYTES_MAX)
    }

    /// Whether so many live events have left that it is not full any more.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        !self.events.reaches(OUTBOX_FRAMES_MAX / 2 + 1, OUTBOX_BYTES_MAX / 2 + 1)
    }

    /// Whether so many answers wait that no further request should be read.
    #[must_use]
    pub const fn is_clogged(&self) -> bool {
        self.answers.bytes > OUTBOX_BYTES_MAX
    }

    /// Queues bytes that must be written.
    pub fn push(&mut self, bytes: Bytes) {
        self.queue(bytes, Kind::Must);
    }

    /// Queues what is left of a frame of which the socket took `written` bytes, whatever the bounds.
    pub fn push_rest(&mut self, mut bytes: Bytes, written: usize, kind: Kind) {
        bytes.advance(written);
        self.begun = written > 0;
        self.queue(bytes, kind);
    }

    /// Queues an event, or leaves it out; says whether it was queued.
    pub fn event(&mut self, room: RoomId, seq: Seq, frame: &Frame, kind: Kind) -> bool {
        let full = match kind {
            Kind::Replay => self.replays.reaches(REPLAY_QUEUE_MAX, REPLAY_BYTES_MAX),
            Kind::Event | Kind::Must => self.is_full(),
        };
        if full {
            let (_, last) = self.left_out.entry(room).or_insert((seq, seq));
            *last = seq;
            return false;
        }
        if let Some((from, to)) = self.left_out.remove(&room) {
            self.gap(room, from, to);
        }
        self.queue(frame.wire(self.format).clone(), kind);
        true
    }

    /// Queues an ephemeral push, unless much waits already; says whether it was queued.
    pub fn ephemeral(&mut self, frame: &Frame) -> bool {
        let fits = self.has_room() && self.waiting.len() < 2 * OUTBOX_FRAMES_MAX;
        if fits {
            self.queue(frame.wire(self.format).clone(), Kind::Event);
        }
        fits
    }

    fn gap(&mut self, room: RoomId, from: Seq, to: Seq) {
        let frame = Frame::of(&Push::Gap { room, from, to });
        self.push(frame.wire(self.format).clone());
    }

    /// Queues the gaps of all rooms, once half of what may wait has been written.
    fn settle(&mut self) {
        if !self.left_out.is_empty() && self.has_room() && self.replays.frames <= REPLAY_QUEUE_MAX / 2 {
            for (room, (from, to)) in std::mem::take(&mut self.left_out) {
                self.gap(room, from, to);
            }
        }
    }

    /// The first of what waits, for one vectored write. They are on the stack, all of them.
    #[must_use]
    pub fn slices(&self) -> SmallVec<[IoSlice<'_>; SLICES_MAX]> {
        self.waiting.iter().take(SLICES_MAX).map(|(bytes, _)| IoSlice::new(bytes)).collect()
    }

    /// Takes out what was written.
    pub fn written(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some((front, kind)) = self.waiting.front_mut() else { break };
            let (kind, taken) = (*kind, bytes.min(front.len()));
            front.advance(taken);
            bytes -= taken;
            let whole = front.is_empty();
            self.begun = !whole;
            if whole {
                self.waiting.pop_front();
            }
            let load = self.load(kind);
            load.bytes -= taken;
            load.frames -= usize::from(whole);
        }
        self.settle();
        if self.waiting.is_empty() {
            self.waiting.shrink_to(KEPT_MAX);
        }
    }

    /// Gives back the places of frames when none has waited since the last time; called now and then.
    pub fn rest(&mut self) {
        if !std::mem::take(&mut self.used) && self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// Forgets everything but a frame that was begun.
    pub fn forget(&mut self) {
        let begun = self.waiting.pop_front().filter(|_| self.begun);
        *self = Self::new(self.format);
        if let Some((rest, kind)) = begun {
            self.begun = true;
            self.queue(rest, kind);
        }
    }

    /// Whether anything waits.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn queue(&mut self, bytes: Bytes, kind: Kind) {
        let load = self.load(kind);
        load.frames += 1;
        load.bytes += bytes.len();
        self.used = true;
        self.waiting.push_back((bytes, kind));
    }

    const fn load(&mut self, kind: Kind) -> &mut Load {
        match kind {
            Kind::Must => &mut self.answers,
            Kind::Event => &mut self.events,
            Kind::Replay => &mut self.replays,
        }
    }
}

#[cfg(test)]
mod tests;
