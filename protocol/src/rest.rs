//! The shapes of REST: what is posted, what is answered.
//!
//! Bodies of `POST`, `PUT` and `PATCH` refuse unknown fields.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CommunityId, MessageKey, RoomId, Seq, SessionId, UserId},
    message::Message,
    permissions::Permissions,
    room::{Room, RoomKind},
    time::Timestamp,
};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next: Option<String>,
}

/// An account as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub name: String,
    /// The name that is shown.
    pub display: String,
    /// File id of a picture.
    pub avatar: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One's own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Me {
    /// What others see.
    #[serde(flatten)]
    pub user: User,
    /// One's mail address.
    pub email: Option<String>,
    /// Whether one owns this installation.
    pub owner: bool,
}

/// A community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Community {
    /// Its id.
    pub id: CommunityId,
    /// Its name.
    pub name: String,
    /// A line about it.
    pub description: String,
    /// Its owner.
    pub owner: UserId,
    /// Whether anyone may join.
    pub public: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many members it has.
    pub member_count: u64,
}

/// A member of a community or room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Since when, in a community.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Timestamp>,
    /// Roles held.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// `POST /v1/auth/register`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// 3–32 of `a-z 0-9 _ . -`.
    pub name: String,
    /// At least 10 characters.
    pub password: String,
    /// The name that is shown; `name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The code of an invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// `POST /v1/setup`: makes the owner account of a new installation.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The token of the set-up link.
    pub token: String,
    /// 3–32 of `a-z 0-9 _ . -`.
    pub name: String,
    /// At least 10 characters.
    pub password: String,
    /// The name that is shown; `name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// `POST /v1/auth/login`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// A one-time code, where the account asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<String>,
}

/// `POST /v1/auth/refresh`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token; the web client sends it in a cookie instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What signing in gives.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignedIn {
    /// Who one is.
    pub user: User,
    /// A JWT for `Authorization: Bearer` and `identify`.
    pub access_token: String,
    /// Good for one `refresh`.
    pub refresh_token: String,
    /// Seconds the access token is good for.
    pub expires_in: u64,
}

/// A signed-in device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What it called itself.
    pub device: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it last refreshed its token.
    pub used_at: Timestamp,
    /// Whether it is the one asking.
    pub current: bool,
}

/// `PATCH /v1/users/@me`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMe {
    /// The name that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// A mail address; empty to forget it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A new password; `current_password` must come with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The password so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_password: Option<String>,
}

/// `POST /v1/communities`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCommunity {
    /// Its name, 1–100 characters.
    pub name: String,
    /// A line about it.
    #[serde(default)]
    pub description: String,
    /// Whether anyone may join.
    #[serde(default)]
    pub public: bool,
}

/// `PATCH /v1/communities/{c}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCommunity {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether anyone may join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<bool>,
}

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

/// `POST /v1/communities/{c}/invites`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    /// How often it may be used; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Seconds it is good for; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Roles given to who joins by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// An invite, as who may make invites sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Invite {
    /// What is passed around.
    pub code: String,
    /// Where it leads.
    pub community: CommunityId,
    /// Who made it.
    pub by: UserId,
    /// How often it may be used.
    pub max_uses: Option<u32>,
    /// How often it was.
    pub uses: u32,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An invite, as anyone who has its code sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InvitePreview {
    /// The code.
    pub code: String,
    /// Where it leads.
    pub community: Community,
}

/// What accepting an invite, or joining, gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Joined {
    /// The community.
    pub community: Community,
    /// Its rooms.
    pub rooms: Vec<Room>,
}

/// `POST /v1/dms`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDm {
    /// Whom to talk with: one for a direct conversation, more for a group.
    pub users: Vec<UserId>,
}

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

/// Whether a member may do something, and what says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explained {
    /// The rights.
    #[schema(value_type = String)]
    pub permissions: Permissions,
    /// Their names.
    pub names: Vec<String>,
    /// Where they come from.
    pub because: Vec<String>,
}

/// A key as REST takes it, in the header `Idempotency-Key`.
pub type IdempotencyKey = MessageKey;
