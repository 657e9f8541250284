//! What an application is told, in the order it has to be shown.

use bytes::Bytes;
use hubbub_protocol::{
    error::Refusal,
    event::Event,
    ids::{RoomId, Seq},
    push::Push,
};
use tokio::sync::mpsc;

/// What comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// An event of a room that is followed: once, in order, without holes; with the bytes it was sent or stored in.
    Event(Box<Event>, Bytes),
    /// The same, of a kind that a later version added: it takes its place in the order.
    LaterEvent {
        /// The room.
        room: RoomId,
        /// Its place.
        seq: Seq,
        /// Its push, as JSON.
        json: Bytes,
    },
    /// These events are gone from the room's log (its retention has passed); what follows comes as usual.
    Lost {
        /// The room.
        room: RoomId,
        /// The first.
        from: Seq,
        /// The last.
        to: Seq,
    },
    /// The room's log ends before what was seen, as after a restore from a backup. Forget what is beyond `head`; the
    /// next event is the one after it.
    Rewound {
        /// The room.
        room: RoomId,
        /// The newest seq that still stands.
        head: Seq,
    },
    /// The room is followed no longer: the node refused to go on with it.
    Unfollowed {
        /// The room.
        room: RoomId,
        /// Why.
        refusal: Refusal,
    },
    /// Typing, presence, unread and the others that have no place in a log.
    Push(Push),
    /// Connected, for the first time or again.
    Connected,
    /// The connection was lost; the client comes back by itself.
    Disconnected,
    /// The client has ended, with this close code. Nothing more comes.
    Ended(u16),
}

/// What comes, in order. An application that does not read it holds the connection up once 1,024 updates wait, and the
/// node then closes it as too slow; nothing is lost by that. One that wants no updates drops this.
#[derive(Debug)]
pub struct Updates(pub(crate) mpsc::Receiver<Update>);

impl Updates {
    /// The next update; `None` once the client has ended or was dropped.
    pub async fn next(&mut self) -> Option<Update> {
        self.0.recv().await
    }
}
