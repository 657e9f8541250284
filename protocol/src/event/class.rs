//! The classes of events that a client's intents name.

use serde::{Deserialize, Serialize};

use super::EventKind;

/// Groups of events that a client may ask for or leave out (`intents` of `identify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventClass {
    /// Messages, edits, deletions, pins, threads and the room's own settings.
    Messages,
    /// Reactions.
    Reactions,
    /// Members coming and going.
    Members,
}

impl EventKind {
    /// The class a client asks for it by.
    #[must_use]
    pub const fn class(self) -> EventClass {
        match self {
            Self::ReactionAdded | Self::ReactionRemoved => EventClass::Reactions,
            Self::MemberJoined | Self::MemberLeft | Self::MemberRemoved | Self::MemberUpdated => {
                EventClass::Members
            }
            Self::MessageCreated
            | Self::MessageEdited
            | Self::MessageDeleted
            | Self::MessagesPurged
            | Self::MessagePinned
            | Self::MessageUnpinned
            | Self::ThreadCreated
            | Self::RoomUpdated
            | Self::RoomCreated
            | Self::RoomDeleted
            | Self::CommunityUpdated
            | Self::InviteUpdated => EventClass::Messages,
        }
    }
}
