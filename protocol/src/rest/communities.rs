//! Communities, their members, and the invites that lead to them.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CommunityId, UserId},
    permissions::Permissions,
    rest::User,
    room::Room,
    time::Timestamp,
};

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
