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

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes};
use hubbub_actors::Connection;
use hubbub_protocol::{
    error::CloseCode,
    frame::{Format, Frame},
    ids::{RoomId, Seq},
    limits::{IN_FLIGHT_MAX, OUTBOX_STUCK_MS},
};
use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Notify, time::Instant};

use super::outbox::{Kind, Outbox};

/// How long the outbox may be full before the connection is closed.
const STUCK: Duration = Duration::from_millis(OUTBOX_STUCK_MS);

#[derive(Debug)]
struct Writing {
    outbox: Outbox,
    /// Since when events have been left out, without a pause.
    full_since: Option<Instant>,
    /// The goodbye, once it is decided.
    closing: Option<CloseCode>,
    broken: bool,
}

/// One client's socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    format: Format,
    writing: Mutex<Writing>,
    /// Wakes the connection's task: there is something to write, or the connection is over.
    wake: Notify,
    in_flight: AtomicUsize,
    over: AtomicBool,
}

impl Socket {
    /// Takes a socket over.
    #[must_use]
    pub fn new(stream: TcpStream, format: Format) -> Arc<Self> {
        let outbox = Outbox::new(format);
        let writing = Writing { outbox, full_since: None, closing: None, broken: false };
        Arc::new(Self {
            stream,
            format,
            writing: Mutex::new(writing),
            wake: Notify::new(),
            in_flight: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    /// The socket, for reading.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The format of its frames.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Takes a place among the requests in flight; `false` when all are taken.
    pub fn begin_request(&self) -> bool {
        let taken = self.in_flight.fetch_add(1, Ordering::AcqRel) < IN_FLIGHT_MAX;
        if !taken {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
        taken
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
            if let Some(rest) = self.try_write(&mut writing, &bytes) {
                writing.outbox.push(rest);
                self.wake.notify_one();
            }
        } else {
            writing.outbox.push(bytes);
        }
    }

    fn deliver(&self, room: RoomId, seq: Seq, frame: &Frame, kind: Kind) {
        let mut writing = self.writing.lock();
        if writing.closing.is_some() || writing.broken {
            return;
        }
        if writing.outbox.is_idle() {
            if let Some(rest) = self.try_write(&mut writing, frame.wire(self.format)) {
                writing.outbox.push_rest(rest, kind);
                self.wake.notify_one();
            }
            return;
        }
        writing.outbox.event(room, seq, frame, kind);
        if !writing.outbox.is_full() {
            writing.full_since = None;
        } else if writing.full_since.get_or_insert_with(Instant::now).elapsed() > STUCK {
            writing.closing = Some(CloseCode::TooSlow);
            self.end();
        }
    }

    /// Writes at once what the socket takes; returns what is left.
    fn try_write(&self, writing: &mut Writing, bytes: &Bytes) -> Option<Bytes> {
        match self.stream.try_write(bytes) {
            Ok(written) if written == bytes.len() => None,
            Ok(written) => Some(bytes.slice(written..)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(bytes.clone()),
            Err(_) => {
                writing.broken = true;
                self.end();
                None
            }
        }
    }

    /// Whether the connection is to be ended, and by which code, if it was ours to choose.
    #[must_use]
    pub fn ended(&self) -> Option<Option<CloseCode>> {
        self.over.load(Ordering::Acquire).then(|| self.writing.lock().closing)
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Waits until there is something to write or the connection is over.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.writing.lock().outbox.has_more()
    }

    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&self) -> io::Result<()> {
        let mut writing = self.writing.lock();
        while writing.outbox.has_more() {
            let written = self.stream.try_write_vectored(&writing.outbox.slices());
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => writing.outbox.written(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        writing.full_since = None;
        Ok(())
    }

    /// Whether the outbox has been full for too long.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.writing.lock().full_since.is_some_and(|since| since.elapsed() > STUCK)
    }

    /// Tries to say goodbye; whatever the socket does not take at once is not sent.
    pub fn say_goodbye(&self, code: CloseCode) {
        let mut wire = vec![0x88, 0];
        wire.extend(code.code().to_be_bytes());
        wire.extend(code.reason().as_bytes());
        wire[1] = u8::try_from(wire.len() - 2).unwrap_or(0);
        let mut rest = Bytes::from(wire);
        while let Ok(written @ 1..) = self.stream.try_write(&rest) {
            rest.advance(written);
            if rest.is_empty() {
                break;
            }
        }
    }
}

impl Connection for Socket {
    fn reply(&self, frame: Frame) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.answer(&frame);
    }

    fn control(&self, frame: Frame) {
        self.answer(&frame);
    }

    fn event(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.deliver(room, seq, frame, Kind::Event);
    }

    fn replay(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.deliver(room, seq, frame, Kind::Replay);
    }

    fn ephemeral(&self, frame: &Arc<Frame>) {
        let mut writing = self.writing.lock();
        if writing.closing.is_some() || writing.broken {
            return;
        }
        if writing.outbox.is_idle() {
            let bytes = frame.wire(self.format);
            if let Some(rest) = self.try_write(&mut writing, bytes).filter(|rest| rest.len() < bytes.len()) {
                // Begun, so it must be finished.
                writing.outbox.push(rest);
                self.wake.notify_one();
            }
        } else {
            writing.outbox.ephemeral(frame);
        }
    }

    fn close(&self, code: CloseCode) {
        self.writing.lock().closing.get_or_insert(code);
        self.end();
    }
}
