//! What a client asks to make or change a room, a conversation or a thread.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{RoomId, UserId},
    room::RoomKind,
};

/// `POST /v1/communities/{c}/rooms`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// Its name, 1–100 characters.
    pub name: String,
    /// `text`, `announcement` or `forum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RoomKind>,
    /// A line about it.
    #[serde(default)]
    pub topic: String,
    /// Whether only its own members see it.
    #[serde(default)]
    pub private: bool,
    /// The category it is listed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// `PATCH /v1/rooms/{r}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRoom {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The category it is listed under; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Its place in the list, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// Whether only its own members see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// Seconds a member waits between two sends, at most 21,600; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_mode_s: Option<u32>,
    /// Whether it takes no more messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// `POST /v1/dms`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDm {
    /// Whom to talk with: one for a direct conversation, more for a group.
    pub users: Vec<UserId>,
}

/// `POST /v1/rooms/{r}/messages/{seq}/thread`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateThread {
    /// Its title; the beginning of the message when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A thread, begun or found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Thread {
    /// Its room.
    pub room: RoomId,
    /// Whether this request began it.
    pub created: bool,
}
