//! Accounts and signing in: who one is, how one proves it, and on which devices.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{SessionId, UserId},
    time::Timestamp,
};

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

/// `POST /v1/auth/register`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token; the web client sends it in a cookie instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What signing in gives.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
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
