//! Pushes that have no place in a log: ephemeral ones, which may be dropped, and those that steer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    emoji::Emoji,
    ids::{CommunityId, RoomId, Seq, UserId},
    limits::{FRAME_BYTES_MAX, IN_FLIGHT_MAX, SUBSCRIPTIONS_MAX, TEXT_CHARS_MAX},
    room::RoomKind,
    time::Timestamp,
};

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Here.
    Online,
    /// Here, but not looking.
    Idle,
    /// Not to be disturbed.
    Dnd,
    /// Here, but shown as offline. Never sent to others.
    Invisible,
    /// Not here. Never set by a client.
    Offline,
}

impl Status {
    /// The status of that name, if a client may set it.
    #[must_use]
    pub fn settable(name: &str) -> Option<Self> {
        match name {
            "online" => Some(Self::Online),
            "idle" => Some(Self::Idle),
            "dnd" => Some(Self::Dnd),
            "invisible" => Some(Self::Invisible),
            _ => None,
        }
    }
}

/// The presence of one user, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// `online`, `idle`, `dnd` or `offline`.
    pub status: Status,
    /// A line of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// An emoji beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<Emoji>,
}

/// The limits announced by `hello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest frame of a client, in bytes.
    pub frame_bytes: usize,
    /// Longest text, in characters.
    pub text_chars: usize,
    /// Requests awaiting an answer.
    pub in_flight: usize,
    /// Rooms a session may follow.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: FRAME_BYTES_MAX,
            text_chars: TEXT_CHARS_MAX,
            in_flight: IN_FLIGHT_MAX,
            subscriptions: SUBSCRIPTIONS_MAX,
        }
    }
}

/// Why a user is notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyReason {
    /// Mentioned by name.
    Mention,
    /// Answered.
    Reply,
    /// Written to directly.
    Dm,
    /// A word the user asked for.
    Keyword,
}

/// Every push but that of a room's event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of the contract, docs/protocol.md")]
pub enum Push {
    /// The server's first word.
    Hello { protocol: u32, node: String, version: String, time: Timestamp, heartbeat_ms: u64, limits: Limits },
    /// Who is typing: at most three, and how many more.
    Typing { room: RoomId, users: Vec<UserId>, more: u64 },
    /// Presence of watched people changed.
    Presence { users: Vec<Presence> },
    /// A room followed in mode `unread` has got further.
    Unread { room: RoomId, head: Seq, mentions: u64 },
    /// One's own read marker moved on another device.
    Read { room: RoomId, seq: Seq },
    /// One's own account changed.
    User {
        #[serde(flatten)]
        changed: Map<String, Value>,
    },
    /// A community of one's own changed, or one was removed from it.
    Community {
        community: CommunityId,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        removed: bool,
        #[serde(flatten)]
        changed: Map<String, Value>,
    },
    /// A message wants the user's attention.
    Notify { room: RoomId, seq: Seq, reason: NotifyReason },
    /// Events `from` to `to` were not sent; fetch them.
    Gap { room: RoomId, from: Seq, to: Seq },
    /// Connect anew after this long.
    Reconnect { after_ms: u64 },
    /// All that was missed has been sent.
    Resumed,
}

/// A room in the answer to `identify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// The room.
    pub room: RoomId,
    /// Its community.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub community: Option<CommunityId>,
    /// What it is for.
    pub kind: RoomKind,
    /// Its name.
    pub name: String,
    /// Its newest seq.
    pub head: Seq,
    /// The newest seq the user has read.
    pub read: Seq,
    /// Unread mentions of the user.
    pub mentions: u64,
    /// How the user follows it: `live` or `unread`.
    pub mode: String,
}

/// What became of one room of a `resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumedRoom {
    /// Its newest seq.
    pub head: Seq,
    /// Events that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<u64>,
    /// Set when too much was missed, or the cursor was beyond the head: load pages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

/// The answer to `resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The session's token.
    pub session: String,
    /// By room.
    pub rooms: BTreeMap<RoomId, ResumedRoom>,
}

/// The answer to `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The room's newest seq.
    pub head: Seq,
    /// The newest seq the user has read.
    pub read: Seq,
    /// What the user may do there.
    pub permissions: crate::permissions::Permissions,
    /// How many members the room has.
    pub members: u64,
    /// How many of them follow it now.
    pub online: u64,
    /// Set when events between `after` and `head` are not sent: load pages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_have_the_shapes_of_the_contract() {
        let room = RoomId::from_raw(1);
        let typing = Push::Typing { room, users: vec![UserId::from_raw(2)], more: 4 };
        let json = serde_json::to_string(&typing).expect("plain data");
        assert_eq!(json, r#"{"ev":"typing","room":"0000000000001","users":["0000000000002"],"more":4}"#);
        assert_eq!(serde_json::to_string(&Push::Resumed).expect("plain data"), r#"{"ev":"resumed"}"#);
        let removed = Push::Community { community: CommunityId::from_raw(1), removed: true, changed: Map::new() };
        let json = serde_json::to_string(&removed).expect("plain data");
        assert_eq!(json, r#"{"ev":"community","community":"0000000000001","removed":true}"#);
        assert_eq!(serde_json::from_str::<Push>(&json).expect("our own form"), removed);
    }
}
