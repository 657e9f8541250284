//! Invites: making, listing, revoking, looking at and accepting them.

use axum::{Json, extract::State, http::StatusCode};
use hubbub_protocol::{ids::CommunityId, rest};
use rand::RngExt;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::MaybeJson,
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    query::{ApiQuery, PageQuery, cut_counted},
    signed_in::SignedIn,
};
use crate::state::App;

/// Characters of a code: none that look alike.
const ALPHABET: &[u8] = b"23456789abcdefghijkmnpqrstuvwxyz";
/// Length of a code: 12 × 5 bits are beyond guessing at any rate a node answers.
const CODE_CHARS: usize = 12;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke)).routes(routes!(preview, accept))
}

fn code() -> String {
    let mut rng = rand::rng();
    (0..CODE_CHARS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// Makes an invite.
#[utoipa::path(
    post, path = "/v1/communities/{c}/invites", tag = "invites", params(("c" = CommunityId, Path)),
    request_body = rest::CreateInvite,
    responses(
        (status = 201, description = "The invite", body = rest::Invite),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    MaybeJson(wanted): MaybeJson<rest::CreateInvite>,
) -> ApiResult<(StatusCode, Json<rest::Invite>)> {
    let invite = app.hub.communities().create_invite(caller, id, wanted, code()).await?;
    Ok((StatusCode::CREATED, Json(invite)))
}

/// Invites of a community: one's own, or all for those who manage them.
#[utoipa::path(
    get, path = "/v1/communities/{c}/invites", tag = "invites", params(("c" = CommunityId, Path), PageQuery),
    responses(
        (status = 200, description = "A page of invites, newest first", body = rest::Page<rest::Invite>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<rest::Invite>>> {
    Ok(Json(cut_counted(app.hub.communities().invites(caller, id).await?, &query)?))
}

/// Revokes an invite.
#[utoipa::path(
    delete, path = "/v1/communities/{c}/invites/{code}", tag = "invites",
    params(("c" = CommunityId, Path), ("code" = String, Path)),
    responses(
        (status = 204, description = "Revoked"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn revoke(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((id, code)): ApiPath<(CommunityId, String)>,
) -> ApiResult<StatusCode> {
    app.hub.communities().revoke_invite(caller, id, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where an invite leads.
#[utoipa::path(
    get, path = "/v1/invites/{code}", tag = "invites", params(("code" = String, Path)),
    responses(
        (status = 200, description = "The community", body = rest::InvitePreview),
        (status = 404, description = "`not_found`: unknown, used up or over", body = ErrorBody),
    )
)]
async fn preview(State(app): State<App>, ApiPath(code): ApiPath<String>) -> ApiResult<Json<rest::InvitePreview>> {
    Ok(Json(app.hub.communities().preview_invite(&code).await?))
}

/// Joins by an invite.
#[utoipa::path(
    post, path = "/v1/invites/{code}", tag = "invites", params(("code" = String, Path)),
    responses(
        (status = 200, description = "What was joined", body = rest::Joined),
        (status = 404, description = "`not_found`: unknown, used up or over", body = ErrorBody),
    )
)]
async fn accept(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(code): ApiPath<String>,
) -> ApiResult<Json<rest::Joined>> {
    Ok(Json(app.hub.communities().accept_invite(caller, &code).await?))
}
