//! What a client asks over its socket.
//!
//! A frame that names no `id` and `op` cannot be answered and closes the connection
//! ([`Unanswerable`]); everything else is answered, if only with a refusal that names the field.
//!
//! * `read` turns a frame's fields into an [`Op`], as a node does.
//! * `write` turns an [`Op`] into a frame's fields, as a client does.

mod intents;
mod kind;
mod read;
mod write;

use serde_json::Value;

pub use self::{intents::Intents, kind::OpKind, read::page};
use crate::{
    emoji::Emoji,
    error::Refusal,
    fields::Fields,
    frame::Format,
    ids::{MessageKey, RoomId, Seq, UserId},
    push::Status,
    secret::Secret,
};

/// A frame that cannot be answered; the connection is closed with 4001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame is no object with a number `id` and a string `op`")]
pub struct Unanswerable;

/// A request, with the number its answer will carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The client's number.
    pub id: u32,
    /// What is asked, or why it cannot be.
    pub op: Result<Op, Refusal>,
}

/// How a session follows a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every event.
    #[default]
    Live,
    /// Only how far the room has got.
    Unread,
}

impl Mode {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Unread => "unread",
        }
    }
}

/// Which page of history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Newest,
    /// Before a seq.
    Before(Seq),
    /// After a seq.
    After(Seq),
    /// Around a seq.
    Around(Seq),
}

/// Whose presence is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// These people.
    Users(Vec<UserId>),
    /// A stretch of a room's member list.
    Members {
        /// The room.
        room: RoomId,
        /// First place, from 0.
        from: u64,
        /// Place after the last.
        to: u64,
    },
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the contract, docs/protocol.md")]
pub enum Op {
    /// Begins a session.
    Identify { token: Secret, device: String, intents: Intents },
    /// Goes on with a session.
    Resume { token: Secret, session: Secret, cursors: Vec<(RoomId, Seq)> },
    /// Says that the client is there.
    Heartbeat,
    /// Brings a fresh access token.
    Reauth { token: Secret },
    /// Follows a room.
    Subscribe { room: RoomId, after: Option<Seq>, mode: Mode },
    /// Stops following a room.
    Unsubscribe { room: RoomId },
    /// Sends a message.
    Send { room: RoomId, key: MessageKey, text: String, reply_to: Option<Seq>, files: Vec<String>, retry: bool },
    /// Changes the text of one's message.
    Edit { room: RoomId, seq: Seq, text: String },
    /// Deletes a message.
    Delete { room: RoomId, seq: Seq, reason: Option<String> },
    /// Reacts.
    React { room: RoomId, seq: Seq, emoji: Emoji },
    /// Takes a reaction back.
    Unreact { room: RoomId, seq: Seq, emoji: Emoji },
    /// Pins a message.
    Pin { room: RoomId, seq: Seq },
    /// Unpins a message.
    Unpin { room: RoomId, seq: Seq },
    /// Reads a page of messages.
    History { room: RoomId, page: Page, limit: usize },
    /// Begins a thread, or finds it.
    Thread { room: RoomId, seq: Seq, title: Option<String> },
    /// Says that the user is typing.
    Typing { room: RoomId },
    /// Moves the read marker.
    Read { room: RoomId, seq: Seq },
    /// Sets one's presence.
    Presence { status: Status, text: Option<String>, emoji: Option<Emoji> },
    /// Asks for the presence of people, and to be told of changes.
    Watch(Watched),
}

impl Request {
    /// Reads a client's frame, JSON or MessagePack.
    ///
    /// # Errors
    /// [`Unanswerable`].
    pub fn decode(payload: &[u8], format: Format) -> Result<Self, Unanswerable> {
        let value = format.read(payload).ok_or(Unanswerable)?;
        let object = value.as_object().ok_or(Unanswerable)?;
        let id =
            object.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()).ok_or(Unanswerable)?;
        let op = object.get("op").and_then(Value::as_str).ok_or(Unanswerable)?;
        Ok(Self { id, op: Op::read(op, Fields(object)) })
    }
}

#[cfg(test)]
mod tests;
