//! A connection that keeps events back until the answer that must go ahead of them has been given.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hubbub_protocol::{
    error::CloseCode,
    frame::Frame,
    ids::{RoomId, Seq},
};
use parking_lot::Mutex;

use crate::connection::Connection;

/// An event kept back, and whether it is a replayed one.
type HeldEvent = (RoomId, Seq, Arc<Frame>, bool);

/// Keeps events until [`Holding::release`]; everything else passes. What it may be handed is bounded
/// by whoever asks for a replay.
pub struct Holding {
    inner: Arc<dyn Connection>,
    released: AtomicBool,
    held: Mutex<Vec<HeldEvent>>,
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Holding").field(&self.inner).finish()
    }
}

impl Holding {
    /// Holds events for `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Connection>) -> Self {
        Self { inner, released: AtomicBool::new(false), held: Mutex::default() }
    }

    /// Passes on what was held, in order, and from now on everything at once.
    pub fn release(&self) {
        // The lock is held throughout, so that no later event overtakes a held one.
        let mut held = self.held.lock();
        for (room, seq, frame, replay) in held.drain(..) {
            if replay { self.inner.replay(room, seq, &frame) } else { self.inner.event(room, seq, &frame) }
        }
        self.released.store(true, Ordering::Release);
    }

    fn pass(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>, replay: bool) {
        if !self.released.load(Ordering::Acquire) {
            let mut held = self.held.lock();
            if !self.released.load(Ordering::Acquire) {
                held.push((room, seq, frame.clone(), replay));
                return;
            }
        }
        if replay { self.inner.replay(room, seq, frame) } else { self.inner.event(room, seq, frame) }
    }
}

impl Connection for Holding {
    fn reply(&self, frame: Frame) {
        self.inner.reply(frame);
    }
    fn control(&self, frame: Frame) {
        self.inner.control(frame);
    }
    fn event(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.pass(room, seq, frame, false);
    }
    fn replay(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.pass(room, seq, frame, true);
    }
    fn ephemeral(&self, frame: &Arc<Frame>) {
        self.inner.ephemeral(frame);
    }
    fn close(&self, code: CloseCode) {
        self.inner.close(code);
    }
}
