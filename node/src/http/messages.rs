//! Messages: history, sending, changing, reactions, pins, threads.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use hubbub_actors::room::NewPost;
use hubbub_protocol::{
    emoji::Emoji,
    error::Refusal,
    ids::{MessageKey, RoomId, Seq},
    message::Message,
    op::Page,
    rest,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::{ApiJson, MaybeJson},
    communities::ReasonQuery,
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    query::{ApiQuery, PageQuery, cut, cut_counted, limit_of},
    signed_in::SignedIn,
};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(history, post))
        .routes(routes!(message, edit, delete))
        .routes(routes!(edits))
        .routes(routes!(react, unreact, reactors))
        .routes(routes!(pins))
        .routes(routes!(pin, unpin))
        .routes(routes!(thread))
}

/// The query of history; at most one of `before`, `after` and `around`.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Messages before this seq.
    pub before: Option<u64>,
    /// Messages after this seq.
    pub after: Option<u64>,
    /// Messages around this seq.
    pub around: Option<u64>,
    /// How many, 1 to 100; 50 when absent.
    pub limit: Option<i64>,
}

fn page_of(query: &HistoryQuery) -> Result<Page, Refusal> {
    match (query.before, query.after, query.around) {
        (None, None, None) => Ok(Page::Newest),
        (Some(seq), None, None) => Ok(Page::Before(Seq(seq))),
        (None, Some(seq), None) => Ok(Page::After(Seq(seq))),
        (None, None, Some(seq)) => Ok(Page::Around(Seq(seq))),
        (Some(_), ..) => Err(Refusal::field("before", "only one of `before`, `after` and `around` may be given")),
        (None, ..) => Err(Refusal::field("around", "only one of `before`, `after` and `around` may be given")),
    }
}

/// A page of messages.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/messages", tag = "messages", params(("r" = RoomId, Path), HistoryQuery),
    responses(
        (status = 200, description = "Messages in seq order", body = rest::History),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`not_member`, `forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn history(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
    ApiQuery(query): ApiQuery<HistoryQuery>,
) -> ApiResult<Json<rest::History>> {
    let (page, limit) = (page_of(&query)?, limit_of(query.limit)?);
    Ok(Json(app.hub.rooms().history(caller, room, page, limit).await?))
}

/// The key of the header, or a fresh one.
fn key_of(headers: &HeaderMap) -> Result<(MessageKey, bool), Refusal> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok((MessageKey(Uuid::now_v7()), false));
    };
    let key = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    let wrong = || Refusal::field("Idempotency-Key", "`Idempotency-Key` must be a UUID");
    key.map(|key| (MessageKey(key), true)).ok_or_else(wrong)
}

/// Sends a message. Repeated with the same `Idempotency-Key`, answers the first one with 200.
#[utoipa::path(
    post, path = "/v1/rooms/{r}/messages", tag = "messages",
    params(("r" = RoomId, Path), ("Idempotency-Key" = Option<String>, Header, description = "The message's key, a UUID")),
    request_body = rest::PostMessage,
    responses(
        (status = 201, description = "Stored", body = Message),
        (status = 200, description = "It was stored before", body = Message),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`not_member`, `forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 409, description = "`archived`", body = ErrorBody),
        (status = 422, description = "`empty`, `too_long`", body = ErrorBody),
        (status = 429, description = "`slow_mode`, `rate_limited`", body = ErrorBody),
    )
)]
async fn post(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
    headers: HeaderMap,
    ApiJson(wanted): ApiJson<rest::PostMessage>,
) -> ApiResult<(StatusCode, Json<Message>)> {
    let (key, retry) = key_of(&headers)?;
    let rest::PostMessage { text, reply_to, files } = wanted;
    let rooms = app.hub.rooms();
    let sent = rooms.post(caller, room, NewPost { key, text, reply_to, files, retry }).await?;
    let status = if sent.repeat { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(rooms.message(caller, room, sent.seq).await?)))
}

/// One message.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/messages/{seq}", tag = "messages", params(("r" = RoomId, Path), ("seq" = u64, Path)),
    responses(
        (status = 200, description = "The message as it stands", body = Message),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn message(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
) -> ApiResult<Json<Message>> {
    Ok(Json(app.hub.rooms().message(caller, room, Seq(seq)).await?))
}

/// Changes the text of one's message.
#[utoipa::path(
    patch, path = "/v1/rooms/{r}/messages/{seq}", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path)), request_body = rest::EditMessage,
    responses(
        (status = 200, description = "The message as it stands", body = Message),
        (status = 403, description = "`not_author`, `forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 422, description = "`empty`, `too_long`", body = ErrorBody),
    )
)]
async fn edit(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
    ApiJson(wanted): ApiJson<rest::EditMessage>,
) -> ApiResult<Json<Message>> {
    let rooms = app.hub.rooms();
    rooms.edit(caller, room, Seq(seq), wanted.text).await?;
    Ok(Json(rooms.message(caller, room, Seq(seq)).await?))
}

/// Deletes a message: one's own, or any with the right to.
#[utoipa::path(
    delete, path = "/v1/rooms/{r}/messages/{seq}", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path), ReasonQuery),
    responses(
        (status = 204, description = "Deleted; its place stays"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn delete(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
    ApiQuery(query): ApiQuery<ReasonQuery>,
) -> ApiResult<StatusCode> {
    app.hub.rooms().delete(caller, room, Seq(seq), query.checked()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The texts a message had, oldest first.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/messages/{seq}/edits", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path), PageQuery),
    responses(
        (status = 200, description = "A page of texts; 100 are told", body = rest::Page<rest::Edit>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn edits(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<rest::Edit>>> {
    Ok(Json(cut(app.hub.rooms().edits(caller, room, Seq(seq)).await?, &query, |edit| edit.seq.0)?))
}

/// Reacts with an emoji.
#[utoipa::path(
    put, path = "/v1/rooms/{r}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path), ("emoji" = String, Path, description = "An emoji or `:name:`")),
    responses(
        (status = 204, description = "Reacted"),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 409, description = "`too_many_reactions`", body = ErrorBody),
    )
)]
async fn react(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq, emoji)): ApiPath<(RoomId, u64, String)>,
) -> ApiResult<StatusCode> {
    app.hub.rooms().react(caller, room, Seq(seq), Emoji::parse(&emoji)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a reaction back.
#[utoipa::path(
    delete, path = "/v1/rooms/{r}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path), ("emoji" = String, Path, description = "An emoji or `:name:`")),
    responses(
        (status = 204, description = "Taken back"),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn unreact(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq, emoji)): ApiPath<(RoomId, u64, String)>,
) -> ApiResult<StatusCode> {
    app.hub.rooms().unreact(caller, room, Seq(seq), Emoji::parse(&emoji)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who reacted with an emoji, first to last.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path), ("emoji" = String, Path, description = "An emoji or `:name:`")),
    responses(
        (status = 200, description = "Users", body = rest::Page<rest::User>),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn reactors(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq, emoji)): ApiPath<(RoomId, u64, String)>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<rest::User>>> {
    let users = app.hub.rooms().reactors(caller, room, Seq(seq), &Emoji::parse(&emoji)?).await?;
    let rest::Page { items: users, next } = cut_counted(users, &query)?;
    let mut items = Vec::with_capacity(users.len());
    for user in users {
        items.extend(app.hub.directory().user(user).await?.map(|user| hubbub_actors::people::user_brief(&user)));
    }
    Ok(Json(rest::Page { items, next }))
}

/// The pinned messages of a room, oldest pin first.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/pins", tag = "messages", params(("r" = RoomId, Path), PageQuery),
    responses(
        (status = 200, description = "A page of pinned messages", body = rest::Page<Message>),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn pins(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> ApiResult<Json<rest::Page<Message>>> {
    Ok(Json(cut_counted(app.hub.rooms().pins(caller, room).await?, &query)?))
}

/// Pins a message.
#[utoipa::path(
    put, path = "/v1/rooms/{r}/pins/{seq}", tag = "messages", params(("r" = RoomId, Path), ("seq" = u64, Path)),
    responses(
        (status = 204, description = "Pinned"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 409, description = "`too_many_pins`", body = ErrorBody),
    )
)]
async fn pin(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
) -> ApiResult<StatusCode> {
    app.hub.rooms().pin(caller, room, Seq(seq)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unpins a message.
#[utoipa::path(
    delete, path = "/v1/rooms/{r}/pins/{seq}", tag = "messages", params(("r" = RoomId, Path), ("seq" = u64, Path)),
    responses(
        (status = 204, description = "Unpinned"),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn unpin(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
) -> ApiResult<StatusCode> {
    app.hub.rooms().unpin(caller, room, Seq(seq)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins the thread of a message, or finds it.
#[utoipa::path(
    post, path = "/v1/rooms/{r}/messages/{seq}/thread", tag = "messages",
    params(("r" = RoomId, Path), ("seq" = u64, Path)), request_body = rest::CreateThread,
    responses(
        (status = 201, description = "Begun", body = rest::Thread),
        (status = 200, description = "It was there", body = rest::Thread),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn thread(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath((room, seq)): ApiPath<(RoomId, u64)>,
    MaybeJson(wanted): MaybeJson<rest::CreateThread>,
) -> ApiResult<(StatusCode, Json<rest::Thread>)> {
    let max = hubbub_protocol::limits::NAME_CHARS_MAX;
    let title = wanted.title.map(|text| hubbub_protocol::text::line("title", text, max)).transpose()?;
    let thread = app.hub.rooms().thread(caller, room, Seq(seq), title).await?;
    let status = if thread.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(thread)))
}
