//! The facts around the log, as rows: what a store keeps and gives back.

use hubbub_protocol::{
    ids::{CommunityId, RoomId, SessionId, UserId},
    permissions::Permissions,
    room::{Parent, RoomKind},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its unique name, 3–32 of `a-z 0-9 _ . -`.
    pub name: String,
    /// What others see.
    pub display: String,
    /// A mail address, if given.
    pub email: Option<String>,
    /// File id of a picture, if any.
    pub avatar: Option<String>,
    /// Whether it is an owner of this installation: may use `/v1/admin`.
    pub owner: bool,
    /// Whether it may no longer sign in.
    pub disabled: bool,
    /// Whether it was made for an archive's author.
    pub imported: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The family's id, `sid` in access tokens.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// What the client said it is.
    pub device: String,
    /// SHA-256 of the refresh token in force.
    pub refresh_hash: [u8; 32],
    /// SHA-256 of the one before, and when it was replaced.
    pub previous: Option<([u8; 32], Timestamp)>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub used_at: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
    /// When it was signed out, if it was.
    pub ended_at: Option<Timestamp>,
}

/// A community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Community {
    /// Its id; its own log has the same number.
    pub id: CommunityId,
    /// Its name.
    pub name: String,
    /// A line about it.
    pub description: String,
    /// Who owns it.
    pub owner: UserId,
    /// Whether anyone may join without an invite.
    pub public: bool,
    /// What every member may do.
    pub member_permissions: Permissions,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A membership of a community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The community.
    pub community: CommunityId,
    /// The user.
    pub user: UserId,
    /// Rights on top of the community's.
    pub extra_permissions: Permissions,
    /// Since when.
    pub joined_at: Timestamp,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// The community it belongs to; none for conversations.
    pub community: Option<CommunityId>,
    /// What it is for.
    pub kind: RoomKind,
    /// Its name.
    pub name: String,
    /// A line about it.
    pub topic: String,
    /// Whether only its own members see it.
    pub private: bool,
    /// For a thread, the message it grew out of.
    pub parent: Option<Parent>,
    /// The category it is listed under.
    pub category: Option<String>,
    /// Its place in the list.
    pub position: i64,
    /// Seconds between two sends of one member; 0 for none.
    pub slow_mode_s: u32,
    /// Whether it takes no more messages.
    pub archived: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Room {
    /// Whether the room has members of its own, rather than those of its community.
    #[must_use]
    pub const fn own_membership(&self) -> bool {
        self.private || matches!(self.kind, RoomKind::Dm | RoomKind::Group)
    }
}

/// A way into a community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// What is passed around.
    pub code: String,
    /// Where it leads.
    pub community: CommunityId,
    /// Who made it.
    pub by: UserId,
    /// How often it may be used; none for no limit.
    pub max_uses: Option<u32>,
    /// How often it was.
    pub uses: u32,
    /// When it ends; none for never.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a client session needs to go on after its node is gone: written behind, about once a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeState {
    /// The client session's raw id (not the signed-in device's).
    pub session: u64,
    /// Whose.
    pub user: UserId,
    /// Subscriptions and modes, in a form of the session's own.
    pub state: Vec<u8>,
    /// When it was written.
    pub saved_at: Timestamp,
}
