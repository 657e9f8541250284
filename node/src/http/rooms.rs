//! Rooms, and the members of those that have their own.

use std::{fmt, str::FromStr};

use axum::{Json, extract::State, http::StatusCode};
use hubbub_protocol::{
    ids::{CommunityId, RoomId, UserId},
    rest,
    room::Room,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::ApiJson,
    communities::{MemberQuery, user_of},
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    query::{ApiQuery, PageQuery, cut, limit_of, page},
    signed_in::SignedIn,
};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update, delete))
        .routes(routes!(members))
        .routes(routes!(add_member, remove_member))
        .routes(routes!(explain))
        .routes(routes!(create_dm, dms))
}

/// Makes a room.
#[utoipa::path(
    post, path = "/v1/communities/{c}/rooms", tag = "rooms", params(("c" = CommunityId, Path)),
    request_body = rest::CreateRoom,
    responses(
        (status = 201, description = "The room", body = Room),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn create(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    ApiJson(wanted): ApiJson<rest::CreateRoom>,
) -> ApiResult<(StatusCode, Json<Room>)> {
    Ok((StatusCode::CREATED, Json(app.hub.communities().create_room(caller, id, wanted).await?)))
}

/// The rooms of a community that one may see, threads aside.
#[utoipa::path(
    get, path = "/v1/communities/{c}/rooms", tag = "rooms", params(("c" = CommunityId, Path), PageQuery),
    responses(
        (status = 200, description = "A page of rooms, by position", body = rest::Page<Room>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn list(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<CommunityId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<Room>>> {
    let rooms = app.hub.communities().rooms(caller, id).await?;
    Ok(Json(cut(rooms, &query, |room| Place(room.position, room.id))?))
}

/// Where a room stands in the list of its community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(i64, RoomId);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, room) = text.split_once('.').ok_or(())?;
        Ok(Self(position.parse().map_err(|_| ())?, room.parse().map_err(|_| ())?))
    }
}

/// A room.
#[utoipa::path(
    get, path = "/v1/rooms/{r}", tag = "rooms", params(("r" = RoomId, Path)),
    responses(
        (status = 200, description = "The room", body = Room),
        (status = 403, description = "`not_member`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn get(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
) -> ApiResult<Json<Room>> {
    Ok(Json(app.hub.communities().room(caller, room).await?))
}

/// Changes a room's settings.
#[utoipa::path(
    patch, path = "/v1/rooms/{r}", tag = "rooms", params(("r" = RoomId, Path)), request_body = rest::UpdateRoom,
    responses(
        (status = 200, description = "The room", body = Room),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn update(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
    ApiJson(change): ApiJson<rest::UpdateRoom>,
) -> ApiResult<Json<Room>> {
    Ok(Json(app.hub.communities().update_room(caller, room, change).await?))
}

/// Deletes a room and its threads.
#[utoipa::path(
    delete, path = "/v1/rooms/{r}", tag = "rooms", params(("r" = RoomId, Path)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn delete(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
) -> ApiResult<StatusCode> {
    app.hub.communities().delete_room(caller, room).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Members of a room, by id; with `q`, those to suggest for a mention.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/members", tag = "rooms", params(("r" = RoomId, Path), MemberQuery),
    responses(
        (status = 200, description = "A page of members", body = rest::Page<rest::Member>),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn members(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
    ApiQuery(query): ApiQuery<MemberQuery>,
) -> ApiResult<Json<rest::Page<rest::Member>>> {
    let limit = limit_of(query.limit)?;
    let after = query.after()?;
    let members = app.hub.communities().room_members(caller, room, after, limit + 1, query.q.as_deref()).await?;
    Ok(Json(page(members, limit, |member| member.user.id)))
}

/// Adds a member to a room that has its own.
#[utoipa::path(
    put, path = "/v1/rooms/{r}/members/{user}", tag = "rooms",
    params(("r" = RoomId, Path), ("user" = String, Path, description = "A user's id, or `@me`")),
    responses(
        (status = 204, description = "A member now"),
        (status = 400, description = "`bad_request`: the room has no members of its own", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn add_member(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, user)): ApiPath<(RoomId, String)>,
) -> ApiResult<StatusCode> {
    let user = user_of(&user, caller.user)?;
    app.hub.communities().add_room_member(caller, room, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a member from a room that has its own; `@me` leaves.
#[utoipa::path(
    delete, path = "/v1/rooms/{r}/members/{user}", tag = "rooms",
    params(("r" = RoomId, Path), ("user" = String, Path, description = "A user's id, or `@me`")),
    responses(
        (status = 204, description = "No member any more"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn remove_member(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, user)): ApiPath<(RoomId, String)>,
) -> ApiResult<StatusCode> {
    let user = user_of(&user, caller.user)?;
    app.hub.communities().remove_room_member(caller, room, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a user may do in a room, and why.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/permissions/{user}/explain", tag = "rooms",
    params(("r" = RoomId, Path), ("user" = String, Path, description = "A user's id, or `@me`")),
    responses(
        (status = 200, description = "The rights and where they come from", body = rest::Explained),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn explain(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, user)): ApiPath<(RoomId, String)>,
) -> ApiResult<Json<rest::Explained>> {
    let user: UserId = user_of(&user, caller.user)?;
    Ok(Json(app.hub.communities().explain(caller, room, user).await?))
}

/// Begins a conversation, or finds the one of two people.
#[utoipa::path(
    post, path = "/v1/dms", tag = "rooms", request_body = rest::CreateDm,
    responses(
        (status = 201, description = "The conversation", body = Room),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 404, description = "`not_found`: one shares nothing with one of them", body = ErrorBody),
    )
)]
async fn create_dm(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiJson(wanted): ApiJson<rest::CreateDm>,
) -> ApiResult<(StatusCode, Json<Room>)> {
    Ok((StatusCode::CREATED, Json(app.hub.communities().create_dm(caller, wanted.users).await?)))
}

/// One's own conversations.
#[utoipa::path(
    get, path = "/v1/dms", tag = "rooms",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of conversations", body = rest::Page<Room>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
    )
)]
async fn dms(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<Room>>> {
    Ok(Json(cut(app.hub.communities().dms(caller).await?, &query, |room| room.id)?))
}
