//! What actors know of a client's connection: something that takes frames and never makes them wait.
//!
//! The edge implements it over a socket. Every call returns at once; what the socket cannot take is
//! queued within [`OUTBOX_FRAMES_MAX`](hubbub_protocol::limits::OUTBOX_FRAMES_MAX) and
//! [`OUTBOX_BYTES_MAX`](hubbub_protocol::limits::OUTBOX_BYTES_MAX), and beyond that events turn into
//! a `gap`, and ephemeral frames are dropped.

use std::{fmt::Debug, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use hubbub_protocol::{
    error::CloseCode,
    frame::Frame,
    ids::{RoomId, Seq},
};

/// Replayed events that may wait for one connection: four rooms that are as far behind as they may
/// be, about 1.6 MB.
pub const REPLAY_QUEUE_MAX: usize = 4_096;

/// One client's connection.
pub trait Connection: Send + Sync + Debug {
    /// Answers request `re` and frees its place among the requests in flight. Always queued: the
    /// limit on requests in flight bounds it.
    fn reply(&self, frame: Frame);

    /// Pushes something that is neither an answer nor an event of a room, and must not be dropped:
    /// `resumed`, `reconnect`, `gap`.
    fn control(&self, frame: Frame);

    /// Pushes the event `seq` of `room`. When the queue is full the event is left out, and one
    /// `gap` for all that was left out goes ahead of the room's next event, or as soon as the queue
    /// has room again.
    fn event(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>);

    /// Pushes `events` of `room`, in the order of their seqs, as [`Connection::event`] pushes each.
    fn events(&self, room: RoomId, events: &[(Seq, Arc<Frame>)]) {
        for (seq, frame) in events {
            self.event(room, *seq, frame);
        }
    }

    /// Pushes an event that a `subscribe` or `resume` replays. Such events do not count against the
    /// bounds of live ones; [`REPLAY_QUEUE_MAX`] of them may wait, and more become a `gap`.
    fn replay(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.event(room, seq, frame);
    }

    /// Pushes something that nobody misses when it is dropped.
    fn ephemeral(&self, frame: &Arc<Frame>);

    /// Waits until so little lies unread at the client that one more long answer may be made for it;
    /// `false` when the connection is over.
    fn room_for_answer(&self) -> BoxFuture<'_, bool> {
        std::future::ready(true).boxed()
    }

    /// Closes the connection with `code` once what is queued has been tried.
    fn close(&self, code: CloseCode);
}
