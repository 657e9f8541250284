//! A room as clients see it.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CommunityId, RoomId, Seq},
    time::Timestamp,
};

/// What a room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Members talk.
    Text,
    /// Some talk, all read.
    Announcement,
    /// A place for threads.
    Forum,
    /// Grew out of one message of another room.
    Thread,
    /// Two people.
    Dm,
    /// A few people.
    Group,
    /// Not a room to talk in: the log of a community.
    Community,
}

impl RoomKind {
    /// Every kind, for parsing and for tables.
    pub const ALL: [Self; 7] =
        [Self::Text, Self::Announcement, Self::Forum, Self::Thread, Self::Dm, Self::Group, Self::Community];

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Announcement => "announcement",
            Self::Forum => "forum",
            Self::Thread => "thread",
            Self::Dm => "dm",
            Self::Group => "group",
            Self::Community => "community",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The message a thread grew out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Parent {
    /// The room of the message.
    pub room: RoomId,
    /// Its place there.
    pub seq: Seq,
}

/// A room, as REST answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Room {
    /// The room's id.
    pub id: RoomId,
    /// The community it belongs to; none for conversations.
    pub community: Option<CommunityId>,
    /// What it is for.
    pub kind: RoomKind,
    /// Its name; empty for conversations.
    pub name: String,
    /// A line about it.
    pub topic: String,
    /// Whether only its own members see it.
    pub private: bool,
    /// For a thread, the message it grew out of.
    pub parent: Option<Parent>,
    /// The category it is listed under.
    pub category: Option<String>,
    /// Its place in the list, from 0.
    pub position: i64,
    /// Seconds a member waits between two sends; 0 for none.
    pub slow_mode_s: u32,
    /// Whether it takes no more messages.
    pub archived: bool,
    /// The seq of its newest event; 0 when there is none.
    pub head: Seq,
    /// When it was made.
    pub created_at: Timestamp,
}
