//! Messages over REST: posting, editing, reading back.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{MessageKey, Seq},
    message::Message,
    time::Timestamp,
};

/// `POST /v1/rooms/{r}/messages`; the key comes in the header `Idempotency-Key`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostMessage {
    /// The text.
    pub text: String,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Ids of files.
    #[serde(default)]
    pub files: Vec<String>,
}

/// `PATCH /v1/rooms/{r}/messages/{seq}`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// The new text.
    pub text: String,
}

/// A page of history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct History {
    /// Messages in seq order.
    pub messages: Vec<Message>,
    /// Whether there are messages before.
    pub more_before: bool,
    /// Whether there are messages after.
    pub more_after: bool,
    /// The room's newest seq.
    pub head: Seq,
}

/// One text a message had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edit {
    /// The event that brought it.
    pub seq: Seq,
    /// When.
    pub ts: Timestamp,
    /// The text.
    pub text: String,
}

/// The answer to `send`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sent {
    /// The message's place.
    pub seq: Seq,
    /// When it was taken in.
    pub ts: Timestamp,
    /// Set when the key had been used before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
}

/// The answer to `edit`, `delete`, `react`, `pin` and their like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Changed {
    /// The event that tells of it.
    Event {
        /// Its place.
        event_seq: Seq,
    },
    /// Nothing was to be done.
    Repeat {
        /// Always true.
        repeat: bool,
    },
}

/// A key as REST takes it, in the header `Idempotency-Key`.
pub type IdempotencyKey = MessageKey;
