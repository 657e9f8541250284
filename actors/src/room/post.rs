//! What is asked of a room. Nodes send these to a room's owner: new variants go to the end.

use hubbub_protocol::{
    emoji::Emoji,
    event::EventBody,
    ids::{MessageKey, Seq, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// A message on its way to a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPost {
    /// The client's key.
    pub key: MessageKey,
    /// The text, not yet judged.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// Ids of files.
    pub files: Vec<String>,
    /// Whether the client says that it sent this before.
    pub retry: bool,
}

/// A change of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Another text.
    Edit(String),
    /// Delete it.
    Delete(Option<String>),
    /// React.
    React(Emoji),
    /// Take a reaction back.
    Unreact(Emoji),
    /// Pin it.
    Pin,
    /// Unpin it.
    Unpin,
}

/// An event of an archive, with the time it had there.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived {
    /// Who did it.
    pub by: UserId,
    /// When.
    pub ts: Timestamp,
    /// A key, so that importing twice stores once.
    pub key: Option<MessageKey>,
    /// What happened.
    pub body: EventBody,
}
