//! Who may join the cluster, as an operator sees it: tokens. A token's secret is told once, when it is made.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use clap::ValueEnum;
use hubbub_cluster::{
    control::{Refusal as Rule, Role, TokenId},
    join::{JoinRefusal, TokenFacts},
};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    rest::Page,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::ApiJson,
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    signed_in::Operator,
};
use crate::{
    member::Member,
    state::{App, AppState},
};

/// Longest life of a token: a year; one that is needed for longer is made again.
const TTL_MAX: Duration = Duration::from_hours(365 * 24);
/// When to ask again while the cluster has no leader: an election takes about that.
const NO_LEADER_RETRY_MS: u64 = 1_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(drop_token))
}

/// What a node may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenRole {
    /// Serves clients and orders rooms.
    Worker,
    /// The same, and may vote.
    Voter,
}

impl From<TokenRole> for Role {
    fn from(role: TokenRole) -> Self {
        match role {
            TokenRole::Worker => Self::Worker,
            TokenRole::Voter => Self::Voter,
        }
    }
}

impl From<Role> for TokenRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Worker => Self::Worker,
            Role::Voter => Self::Voter,
        }
    }
}

/// `POST /v1/admin/join-tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJoinToken {
    /// What its holders may become.
    pub role: TokenRole,
    /// How many nodes it admits, 1 to 1,000.
    pub uses: u32,
    /// Milliseconds it is good for, up to a year.
    pub ttl_ms: u64,
}

/// A token, told once.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MadeJoinToken {
    /// The whole of it, for `hubbub join --token`.
    pub token: String,
    /// Its public half.
    pub id: String,
}

impl std::fmt::Debug for MadeJoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeJoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JoinTokenFacts {
    /// Its public half.
    pub id: String,
    /// What its holders may become.
    pub role: TokenRole,
    /// How many nodes it may still admit.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it still admits anybody.
    pub admits: bool,
}

impl JoinTokenFacts {
    fn of(token: &TokenFacts, now: Timestamp) -> Self {
        let expires_at = Timestamp(i64::try_from(token.expires_ms).unwrap_or(i64::MAX));
        let admits = token.uses_left > 0 && now < expires_at;
        Self { id: token.id.to_string(), role: token.role.into(), uses_left: token.uses_left, expires_at, admits }
    }
}

/// The member that this node is.
pub(super) fn member(app: &AppState) -> Result<&Member, Refusal> {
    let alone = "this node is not one of a cluster: `hubbub init` founds one, `hubbub join` joins one";
    app.member.get().ok_or_else(|| Refusal::new(ErrorCode::Conflict, alone))
}

fn refused(refusal: JoinRefusal) -> Refusal {
    let message = refusal.to_string();
    match refusal {
        JoinRefusal::NoLeader => Refusal::new(ErrorCode::Unavailable, message).after_ms(NO_LEADER_RETRY_MS),
        JoinRefusal::Token => Refusal::not_found("token"),
        JoinRefusal::Rule(Rule::Wrong(_)) => Refusal::new(ErrorCode::BadRequest, message),
        _ => Refusal::new(ErrorCode::Conflict, message),
    }
}

/// The tokens that let nodes join, those that are over among them until a new one is made.
#[utoipa::path(
    get, path = "/v1/admin/join-tokens", tag = "admin",
    responses(
        (status = 200, description = "Tokens", body = Page<JoinTokenFacts>),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 409, description = "`conflict`: the node is not one of a cluster", body = ErrorBody),
        (status = 503, description = "`unavailable`: the cluster has no leader", body = ErrorBody),
    )
)]
async fn list(State(app): State<App>, _: Operator) -> ApiResult<Json<Page<JoinTokenFacts>>> {
    let tokens = member(&app)?.desk.tokens().await.map_err(refused)?;
    let items = tokens.iter().map(|token| JoinTokenFacts::of(token, app.now())).collect();
    Ok(Json(Page { items, next: None }))
}

/// Makes a token that lets nodes join.
#[utoipa::path(
    post, path = "/v1/admin/join-tokens", tag = "admin", request_body = CreateJoinToken,
    responses(
        (status = 201, description = "The token; it is not told again", body = MadeJoinToken),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 409, description = "`conflict`: the node is not one of a cluster", body = ErrorBody),
        (status = 503, description = "`unavailable`: the cluster has no leader", body = ErrorBody),
    )
)]
async fn create(
    State(app): State<App>,
    _: Operator,
    ApiJson(body): ApiJson<CreateJoinToken>,
) -> ApiResult<(StatusCode, Json<MadeJoinToken>)> {
    let ttl = Duration::from_millis(body.ttl_ms);
    if ttl.is_zero() || ttl > TTL_MAX {
        let message = "a token is good for more than nothing and at most a year";
        return Err(Refusal::field("ttl_ms", message).into());
    }
    let made = member(&app)?.desk.create_token(body.role.into(), body.uses, ttl).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(MadeJoinToken { token: made.to_string(), id: made.id().to_string() })))
}

/// Takes a token back.
#[utoipa::path(
    post, path = "/v1/admin/join-tokens/{id}/drop", tag = "admin", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The token as it was", body = JoinTokenFacts),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 409, description = "`conflict`: the node is not one of a cluster", body = ErrorBody),
        (status = 503, description = "`unavailable`: the cluster has no leader", body = ErrorBody),
    )
)]
async fn drop_token(
    State(app): State<App>,
    _: Operator,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<JoinTokenFacts>> {
    let desk = &member(&app)?.desk;
    let id: TokenId = id.parse().map_err(|_| Refusal::not_found("token"))?;
    let known = desk.tokens().await.map_err(refused)?;
    let token = known.iter().find(|token| token.id == id).ok_or_else(|| Refusal::not_found("token"))?;
    desk.drop_token(id).await.map_err(refused)?;
    Ok(Json(JoinTokenFacts { admits: false, ..JoinTokenFacts::of(token, app.now()) }))
}
