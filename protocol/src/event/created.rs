//! The content of a message when it was sent, or taken in from an archive.

use serde::{Deserialize, Serialize};

use crate::{ids::Seq, text::Mentions};

/// Where a message of an archive came from: what an export needs to write it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// The id it had.
    pub id: String,
    /// Its time, to the digit.
    pub ts: String,
    /// Name of its author there, when an account could not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id there of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Its thread there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// `join`, `system`, `action` or `deleted`; none for a plain message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether a bot wrote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Whether it had been edited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
}

/// The content of `message.created`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Created {
    /// The text as it was sent.
    pub text: String,
    /// The message it answers, in the same room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Ids of its files.
    #[serde(default)]
    pub files: Vec<String>,
    /// Whom it mentions.
    #[serde(default)]
    pub mentions: Mentions,
    /// Where it came from, for a message of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}
