//! What happened: the kinds of events, each with its number, its name and its fields.

use serde::{Deserialize, Serialize};

use super::{Created, EventError};
use crate::{
    emoji::Emoji,
    ids::{RoomId, Seq, UserId},
    text::Mentions,
};

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal {
        $($(#[$fattr:meta])* $field:ident: $type:ty),* $(,)?
    };)*) => {
        /// The number of a kind of event in the database.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum EventKind {
            /// `message.created`.
            MessageCreated = 1,
            $($(#[$doc])* $name = $number,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[Self::MessageCreated, $(Self::$name),*];

            /// The `type` of the push.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::MessageCreated => "message.created",
                    $(Self::$name => $text,)*
                }
            }

            /// The kind with that number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
            }
        }

        /// What happened.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum EventBody {
            /// A message was sent.
            MessageCreated(Box<Created>),
            $($(#[$doc])* $name {
                $($(#[$fattr])* #[doc = concat!("`", stringify!($field), "` of the push's `data`.")] $field: $type,)*
            },)*
        }

        impl EventBody {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> EventKind {
                match self {
                    Self::MessageCreated(_) => EventKind::MessageCreated,
                    $(Self::$name { .. } => EventKind::$name,)*
                }
            }

            pub(super) fn decode(kind: &str, data: &str) -> Result<Self, EventError> {
                match kind {
                    "message.created" => Ok(Self::MessageCreated(serde_json::from_str(data)?)),
                    $($text => {
                        #[derive(Deserialize)]
                        struct Data { $($(#[$fattr])* $field: $type,)* }
                        let Data { $($field),* } = serde_json::from_str(data)?;
                        Ok(Self::$name { $($field),* })
                    })*
                    other => Err(EventError::Kind(other.to_owned())),
                }
            }
        }
    };
}

bodies! {
    /// The author changed a message's text.
    MessageEdited = 2, "message.edited" { target: Seq, text: String, mentions: Mentions };
    /// A message was deleted; its place stays.
    MessageDeleted = 3, "message.deleted" {
        target: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
    };
    /// Many messages were deleted at once.
    MessagesPurged = 4, "messages.purged" {
        #[serde(default, skip_serializing_if = "Option::is_none")] user: Option<UserId>,
        from: Seq,
        to: Seq,
    };
    /// Somebody reacted. `count` stands for so many people unnamed by an archive.
    ReactionAdded = 5, "reaction.added" {
        target: Seq,
        emoji: Emoji,
        #[serde(default, skip_serializing_if = "Option::is_none")] count: Option<u32>,
    };
    /// Somebody took a reaction back.
    ReactionRemoved = 6, "reaction.removed" { target: Seq, emoji: Emoji };
    /// A message was pinned.
    MessagePinned = 7, "message.pinned" { target: Seq };
    /// A message was unpinned.
    MessageUnpinned = 8, "message.unpinned" { target: Seq };
    /// A thread grew out of a message; `room` is the thread's own room.
    ThreadCreated = 9, "thread.created" { target: Seq, room: RoomId, title: String };
    /// Somebody became a member.
    MemberJoined = 10, "member.joined" { user: UserId };
    /// A member left.
    MemberLeft = 11, "member.left" { user: UserId };
    /// A member was removed by somebody else.
    MemberRemoved = 12, "member.removed" {
        user: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
        by: UserId,
    };
    /// A member's roles changed.
    MemberUpdated = 13, "member.updated" { user: UserId, roles: Vec<String> };
    /// The room's settings changed; the fields that did, with their new values.
    RoomUpdated = 14, "room.updated" { #[serde(flatten)] changed: serde_json::Map<String, serde_json::Value> };
    /// In a community's log: a room was made.
    RoomCreated = 15, "room.created" { room: RoomId, name: String, kind: crate::room::RoomKind };
    /// In a community's log: a room was deleted.
    RoomDeleted = 16, "room.deleted" { room: RoomId, name: String };
    /// In a community's log: its settings changed; the fields that did, with their new values.
    CommunityUpdated = 17, "community.updated" {
        #[serde(flatten)] changed: serde_json::Map<String, serde_json::Value>
    };
    /// In a community's log: an invite was made or revoked.
    InviteUpdated = 18, "invite.updated" { code: String, revoked: bool };
}

impl EventBody {
    /// The message this changes, for kinds that change one.
    #[must_use]
    pub const fn target(&self) -> Option<Seq> {
        match self {
            Self::MessageEdited { target, .. }
            | Self::MessageDeleted { target, .. }
            | Self::ReactionAdded { target, .. }
            | Self::ReactionRemoved { target, .. }
            | Self::MessagePinned { target }
            | Self::MessageUnpinned { target }
            | Self::ThreadCreated { target, .. } => Some(*target),
            Self::MessageCreated(_)
            | Self::MessagesPurged { .. }
            | Self::MemberJoined { .. }
            | Self::MemberLeft { .. }
            | Self::MemberRemoved { .. }
            | Self::MemberUpdated { .. }
            | Self::RoomUpdated { .. }
            | Self::RoomCreated { .. }
            | Self::RoomDeleted { .. }
            | Self::CommunityUpdated { .. }
            | Self::InviteUpdated { .. } => None,
        }
    }
}
