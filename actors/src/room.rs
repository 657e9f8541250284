//! A room: an ordered log of events, one owner that numbers them, and everyone who follows it.
//!
//! * [`core`] the rules: pure, no async, no clock, no randomness; [`change`] those for changing a
//!   message, [`keys`] what is remembered of keys.
//! * [`actor`] the shell: mailbox → rules → appender → relay.
//! * [`handle`] [`Rooms`], which finds a room's actor, activates it when needed, and checks rights.
//! * [`asked`] what is asked of the owner on another node.
//! * [`reads`] history and its kin, which ask the store and not the actor.

pub mod actor;
pub mod asked;
pub mod change;
pub mod core;
pub mod handle;
pub mod keys;
pub mod post;
pub mod reads;

use ractor::ActorRef;

use crate::meter::Stamp;

pub use self::{
    actor::{RoomMessage, RoomStatus},
    handle::Rooms,
    post::{Archived, Change, NewPost},
};

/// One activation of a room, for those that only report to it.
#[derive(Debug, Clone)]
pub struct RoomRef(pub(crate) ActorRef<RoomMessage>);

impl RoomRef {
    /// Tells the room that its oldest `events` are on disk since `at`.
    pub fn committed(&self, events: usize, at: Stamp) {
        // A room that has died meanwhile is loaded anew, with these events in its log.
        let _ = self.0.cast(RoomMessage::Committed { events, at });
    }

    /// Tells the room that an append of its failed.
    pub fn failed(&self) {
        let _ = self.0.cast(RoomMessage::Failed);
    }
}
