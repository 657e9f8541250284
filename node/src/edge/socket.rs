//! One client's socket as the actors see it: [`Connection`] over TCP.
//!
//! Whoever has a frame writes it at once, from their own thread, when nothing else waits: no task is
//! woken for a delivery. Only what the socket does not take is queued, and written by the
//! connection's task when the socket has room.
//!
//! # Invariants
//!
//! * Frames are written in the order of the calls: each call holds the lock while it writes or
//!   queues.
//! * A frame written in part is finished before anything else is written.

mod backlog;
mod ending;

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use hubbub_actors::{Connection, meter::Stamp};
use hubbub_protocol::{
    error::CloseCode,
    frame::{Format, Frame},
    ids::{RoomId, Seq},
    limits::OUTBOX_STUCK_MS,
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

pub use self::backlog::Backlog;
use super::{
    flight::Flight,
    outbox::{Kind, Outbox, SLICES_MAX},
};
use crate::{metrics::EdgeMeters, net::Stream};

/// How long the outbox may be full, or answers lie there unmoved, before the connection is closed.
const STUCK: Duration = Duration::from_millis(OUTBOX_STUCK_MS);

#[derive(Debug)]
struct Writing {
    outbox: Outbox,
    /// From when on the oldest event is timed that waits.
    behind_since: Stamp,
    /// Since when events are left out: it has been full and has not had room since.
    full_since: Option<Instant>,
    /// Since when answers clog it and not a byte has left.
    clogged_since: Option<Instant>,
    /// The goodbye, once it is decided; nothing more is taken after it.
    closing: Option<CloseCode>,
    broken: bool,
}

impl Writing {
    /// Looks at how full the outbox is; says whether it has just begun to be stuck.
    fn look(&mut self) -> bool {
        let before = self.stuck_at().is_some();
        if self.outbox.is_full() {
            self.full_since.get_or_insert_with(Instant::now);
        } else if self.outbox.has_room() {
            self.full_since = None;
        }
        if self.outbox.is_clogged() {
            self.clogged_since.get_or_insert_with(Instant::now);
        } else {
            self.clogged_since = None;
        }
        !before && self.stuck_at().is_some()
    }

    /// Times the oldest event that waits, if any does: `frame`, unless one before it is timed.
    fn time(&mut self, frame: &Frame) {
        if self.behind_since.is_none() && self.outbox.has_more() {
            self.behind_since = Stamp::from_raw(frame.since());
        }
    }

    fn stuck_at(&self) -> Option<Instant> {
        self.full_since.into_iter().chain(self.clogged_since).min().map(|since| since + STUCK)
    }
}

/// One client's socket.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    format: Format,
    writing: Mutex<Writing>,
    /// Wakes the connection's task: there is something to write, or the connection is over.
    wake: Notify,
    /// Wakes whoever waits to make a long answer: one was written, or the connection is over.
    drained: Notify,
    flight: Flight,
    over: AtomicBool,
}

impl Socket {
    /// Takes a socket over.
    #[must_use]
    pub fn new(stream: Stream, format: Format, meters: Arc<EdgeMeters>) -> Arc<Self> {
        let outbox = Outbox::new(format);
        let (behind_since, closing) = (Stamp::NONE, None);
        let writing =
            Writing { outbox, behind_since, full_since: None, clogged_since: None, closing, broken: false };
        Arc::new(Self {
            stream,
            format,
            writing: Mutex::new(writing),
            wake: Notify::new(),
            drained: Notify::new(),
            flight: Flight::new(meters),
            over: AtomicBool::new(false),
        })
    }

    /// The socket, for reading.
    #[must_use]
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The format of its frames.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The requests in flight.
    #[must_use]
    pub const fn flight(&self) -> &Flight {
        &self.flight
    }

    /// Queues an answer that took no place among the requests in flight.
    pub fn answer(&self, frame: &Frame) {
        self.must(frame.wire(self.format).clone());
    }

    /// Queues bytes that are no message: a pong.
    pub fn raw(&self, bytes: Vec<u8>) {
        self.must(Bytes::from(bytes));
    }

    fn must(&self, bytes: Bytes) {
        let mut writing = self.writing.lock();
        if writing.closing.is_some() || writing.broken {
            return;
        }
        if writing.outbox.is_idle() {
            self.try_write(&mut writing, &bytes, Kind::Must);
        } else {
            writing.outbox.push(bytes);
        }
        self.look(&mut writing);
    }

    fn deliver(&self, room: RoomId, seq: Seq, frame: &Frame, kind: Kind) {
        let mut writing = self.writing.lock();
        if writing.closing.is_some() || writing.broken {
            return;
        }
        if writing.outbox.is_idle() {
            self.try_write(&mut writing, frame.wire(self.format), kind);
        } else {
            self.queue(&mut writing, room, seq, frame, kind);
            self.look(&mut writing);
        }
        writing.time(frame);
    }

    /// Queues an event behind what waits, or leaves it out.
    fn queue(&self, writing: &mut Writing, room: RoomId, seq: Seq, frame: &Frame, kind: Kind) {
        if !writing.outbox.event(room, seq, frame, kind) {
            self.flight.meters().left_out(kind);
        }
    }

    /// Writes as many of `events` at once as the socket takes, and queues the rest.
    fn deliver_all(&self, room: RoomId, events: &[(Seq, Arc<Frame>)]) {
        let mut writing = self.writing.lock();
        if writing.closing.is_some() || writing.broken {
            return;
        }
        let mut left = events;
        while writing.outbox.is_idle() && !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(SLICES_MAX));
            self.try_write_all(&mut writing, room, now);
            left = later;
        }
        for (seq, frame) in left {
            self.queue(&mut writing, room, *seq, frame, Kind::Event);
        }
        if let Some((_, first)) = events.first() {
            writing.time(first);
        }
        self.look(&mut writing);
    }

    fn try_write_all(&self, writing: &mut Writing, room: RoomId, events: &[(Seq, Arc<Frame>)]) {
        // On the stack: a list on the heap would be an allocation for every follower.
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        for (slice, (_, frame)) in slices.iter_mut().zip(events) {
            *slice = IoSlice::new(frame.wire(self.format));
        }
        let mut written = match self.stream.try_write_vectored(&slices[..events.len().min(SLICES_MAX)]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                writing.broken = true;
                self.end();
                return;
            }
        };
        for (seq, frame) in events {
            let bytes = frame.wire(self.format);
            if written >= bytes.len() {
                written -= bytes.len();
            } else if written > 0 || writing.outbox.is_idle() {
                writing.outbox.push_rest(bytes.clone(), std::mem::take(&mut written), Kind::Event);
                self.wake.notify_one();
            } else {
                self.queue(writing, room, *seq, frame, Kind::Event);
            }
        }
    }

    /// What was taken and has not left the stream is left to the task.
    fn see_off(&self) {
        if self.stream.has_more() {
            self.wake.notify_one();
        }
    }

    fn look(&self, writing: &mut Writing) {
        if writing.look() {
            // The task sets its timer.
            self.wake.notify_one();
        }
        self.see_off();
    }

    /// Writes at once what the socket takes, and queues what is left.
    fn try_write(&self, writing: &mut Writing, bytes: &Bytes, kind: Kind) {
        let written = match self.stream.try_write(bytes) {
            Ok(written) if written == bytes.len() => {
                self.see_off();
                return;
            }
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                writing.broken = true;
                self.end();
                return;
            }
        };
        writing.outbox.push_rest(bytes.clone(), written, kind);
        self.wake.notify_one();
    }

    /// Whether the connection is to be ended, and by which code, if it was ours to choose.
    #[must_use]
    pub fn ended(&self) -> Option<Option<CloseCode>> {
        self.over.load(Ordering::Acquire).then(|| self.writing.lock().closing)
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits until there is something to write or the connection is over.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&self) -> io::Result<()> {
        let mut writing = self.writing.lock();
        let begun = Instant::now();
        self.stream.flush()?;
        while writing.outbox.has_more() {
            let written = self.stream.try_write_vectored(&writing.outbox.slices());
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    writing.outbox.written(bytes);
                    writing.clogged_since = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.flight.meters().wrote_late(begun.elapsed());
        writing.look();
        if !writing.outbox.has_more() && !writing.behind_since.is_none() {
            let times = &self.flight.meters().times;
            times.delivery.observe(std::mem::take(&mut writing.behind_since), times.stamp());
        }
        if !writing.outbox.is_clogged() {
            self.drained.notify_waiters();
        }
        Ok(())
    }
}

impl Connection for Socket {
    fn reply(&self, frame: Frame) {
        self.flight.end(&frame);
        self.answer(&frame);
    }

    fn control(&self, frame: Frame) {
        self.answer(&frame);
    }

    fn event(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.deliver(room, seq, frame, Kind::Event);
    }

    fn events(&self, room: RoomId, events: &[(Seq, Arc<Frame>)]) {
        match events {
            [(seq, frame)] => self.event(room, *seq, frame),
            _ => self.deliver_all(room, events),
        }
    }

    fn replay(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.deliver(room, seq, frame, Kind::Replay);
    }

    fn ephemeral(&self, frame: &Arc<Frame>) {
        let mut writing = self.writing.lock();
        if writing.closing.is_some() || writing.broken {
            return;
        }
        if !writing.outbox.is_idle() {
            if !writing.outbox.ephemeral(frame) {
                self.flight.meters().ephemeral_left_out();
            }
            self.look(&mut writing);
        } else {
            self.try_write(&mut writing, frame.wire(self.format), Kind::Event);
        }
    }

    fn room_for_answer(&self) -> BoxFuture<'_, bool> {
        async {
            loop {
                // Made before the look, so that what is written in between is not missed.
                let drained = self.drained.notified();
                let (is_over, is_clogged) = {
                    let writing = self.writing.lock();
                    (writing.closing.is_some() || writing.broken, writing.outbox.is_clogged())
                };
                if is_over || !is_clogged {
                    return !is_over;
                }
                drained.await;
            }
        }
        .boxed()
    }

    fn close(&self, code: CloseCode) {
        self.writing.lock().closing.get_or_insert(code);
        self.end();
    }
}

#[cfg(test)]
mod tests;
