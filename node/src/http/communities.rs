//! Communities, their members and their log.

use axum::{Json, extract::State, http::StatusCode};
use hubbub_protocol::{
    ids::{CommunityId, UserId},
    rest,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::ApiJson,
    error::{ApiResult, ErrorBody},
    events::{EventPage, EventQuery, read_events},
    path::ApiPath,
    query::{ApiQuery, PageQuery, cut, limit_of, page},
    signed_in::SignedIn,
};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, mine))
        .routes(routes!(get, update, delete))
        .routes(routes!(members))
        .routes(routes!(join_or_own, member, remove_member))
        .routes(routes!(log))
}

/// The query of a list of members.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MemberQuery {
    /// The beginning of the name or display name.
    pub q: Option<String>,
    /// How many items, 1 to 100; 50 when absent.
    pub limit: Option<i64>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
}

impl MemberQuery {
    pub(super) fn after(&self) -> Result<Option<UserId>, hubbub_protocol::error::Refusal> {
        PageQuery { limit: self.limit, cursor: self.cursor.clone() }.after()
    }
}

/// Makes a community, with a text room `general`.
#[utoipa::path(
    post, path = "/v1/communities", tag = "communities", request_body = rest::CreateCommunity,
    responses(
        (status = 201, description = "The community", body = rest::Community),
        (status = 400, description = "`bad_request`", body = ErrorBody),
    )
)]
async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiJson(wanted): ApiJson<rest::CreateCommunity>,
) -> ApiResult<(StatusCode, Json<rest::Community>)> {
    Ok((StatusCode::CREATED, Json(app.hub.communities().create(caller, wanted).await?)))
}

/// One's own communities.
#[utoipa::path(
    get, path = "/v1/communities", tag = "communities",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of the communities one is a member of", body = rest::Page<rest::Community>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
    )
)]
async fn mine(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<rest::Community>>> {
    let mine = app.hub.communities().mine(caller).await?;
    Ok(Json(cut(mine, &query, |community| community.id)?))
}

/// A community.
#[utoipa::path(
    get, path = "/v1/communities/{c}", tag = "communities", params(("c" = CommunityId, Path)),
    responses(
        (status = 200, description = "The community", body = rest::Community),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn get(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
) -> ApiResult<Json<rest::Community>> {
    Ok(Json(app.hub.communities().get(caller, id).await?))
}

/// Changes a community.
#[utoipa::path(
    patch, path = "/v1/communities/{c}", tag = "communities", params(("c" = CommunityId, Path)),
    request_body = rest::UpdateCommunity,
    responses(
        (status = 200, description = "The community", body = rest::Community),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn update(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    ApiJson(change): ApiJson<rest::UpdateCommunity>,
) -> ApiResult<Json<rest::Community>> {
    Ok(Json(app.hub.communities().update(caller, id, change).await?))
}

/// Deletes a community. Only its owner may.
#[utoipa::path(
    delete, path = "/v1/communities/{c}", tag = "communities", params(("c" = CommunityId, Path)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn delete(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
) -> ApiResult<StatusCode> {
    app.hub.communities().delete(caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Members of a community, by id.
#[utoipa::path(
    get, path = "/v1/communities/{c}/members", tag = "communities",
    params(("c" = CommunityId, Path), MemberQuery),
    responses(
        (status = 200, description = "A page of members", body = rest::Page<rest::Member>),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn members(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    ApiQuery(query): ApiQuery<MemberQuery>,
) -> ApiResult<Json<rest::Page<rest::Member>>> {
    let limit = limit_of(query.limit)?;
    let after = query.after()?;
    let members = app.hub.communities().members(caller, id, after, limit + 1, query.q.as_deref()).await?;
    Ok(Json(page(members, limit, |member| member.user.id)))
}

/// Who a path means: a user's id, or oneself as `@me`.
pub(super) fn user_of(text: &str, me: UserId) -> Result<UserId, hubbub_protocol::error::Refusal> {
    if text == "@me" {
        return Ok(me);
    }
    text.parse().map_err(|_| hubbub_protocol::error::Refusal::not_found("user"))
}

/// Joins a public community (`@me`).
#[utoipa::path(
    put, path = "/v1/communities/{c}/members/{user}", tag = "communities",
    params(("c" = CommunityId, Path), ("user" = String, Path, description = "`@me`")),
    responses(
        (status = 200, description = "What was joined", body = rest::Joined),
        (status = 403, description = "`forbidden`: others join by themselves", body = ErrorBody),
        (status = 404, description = "`not_found`: none, or not public", body = ErrorBody),
    )
)]
async fn join_or_own(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((id, user)): ApiPath<(CommunityId, String)>,
) -> ApiResult<Json<rest::Joined>> {
    if user_of(&user, caller.user)? != caller.user {
        return Err(hubbub_protocol::error::Refusal::forbidden("make others members; send them an invite").into());
    }
    Ok(Json(app.hub.communities().join(caller, id).await?))
}

/// One member.
#[utoipa::path(
    get, path = "/v1/communities/{c}/members/{user}", tag = "communities",
    params(("c" = CommunityId, Path), ("user" = String, Path, description = "A user's id, or `@me`")),
    responses(
        (status = 200, description = "The member", body = rest::Member),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn member(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((id, user)): ApiPath<(CommunityId, String)>,
) -> ApiResult<Json<rest::Member>> {
    let user = user_of(&user, caller.user)?;
    Ok(Json(app.hub.communities().member(caller, id, user).await?))
}

/// The query of a removal.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReasonQuery {
    /// Why, for the log; at most 512 characters.
    pub reason: Option<String>,
}

impl ReasonQuery {
    pub(super) fn checked(self) -> Result<Option<String>, hubbub_protocol::error::Refusal> {
        let max = hubbub_protocol::limits::REASON_CHARS_MAX;
        self.reason.map(|text| hubbub_protocol::text::optional_line("reason", text, max)).transpose()
    }
}

/// Leaves a community (`@me`), or removes a member from it.
#[utoipa::path(
    delete, path = "/v1/communities/{c}/members/{user}", tag = "communities",
    params(("c" = CommunityId, Path), ("user" = String, Path, description = "A user's id, or `@me`"), ReasonQuery),
    responses(
        (status = 204, description = "No member any more"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn remove_member(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((id, user)): ApiPath<(CommunityId, String)>,
    ApiQuery(query): ApiQuery<ReasonQuery>,
) -> ApiResult<StatusCode> {
    let user = user_of(&user, caller.user)?;
    app.hub.communities().remove_member(caller, id, user, query.checked()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The community's own log: members, rooms, settings, invites.
#[utoipa::path(
    get, path = "/v1/communities/{c}/events", tag = "communities",
    params(("c" = CommunityId, Path), EventQuery),
    responses(
        (status = 200, description = "Events as pushes, in seq order", body = EventPage),
        (status = 403, description = "`forbidden`: without the right to view it; `not_member`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn log(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> ApiResult<axum::response::Response> {
    read_events(&app, caller, id.log(), &query).await
}
