//! Logs, event by event: for exporters, bots and clients that fill a gap.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use hubbub_actors::Caller;
use hubbub_protocol::ids::{RoomId, Seq};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    query::{ApiQuery, limit_of},
    signed_in::SignedIn,
};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// The query of a log.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// The seq after which to begin; 0 when absent.
    pub after: Option<u64>,
    /// How many events, 1 to 100; 50 when absent.
    pub limit: Option<i64>,
}

/// A page of a log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventPage {
    /// Events in the form of their pushes.
    items: Vec<serde_json::Value>,
    /// `after` of the next page; null on the last.
    next: Option<String>,
}

/// The events of a room, in seq order.
#[utoipa::path(
    get, path = "/v1/rooms/{r}/events", tag = "messages", params(("r" = RoomId, Path), EventQuery),
    responses(
        (status = 200, description = "Events as pushes, in seq order", body = EventPage),
        (status = 403, description = "`not_member`, `forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn events(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(room): ApiPath<RoomId>,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> ApiResult<Response> {
    read_events(&app, caller, room, &query).await
}

/// Answers a page of a log; the stored pushes are passed on as they are.
pub(super) async fn read_events(
    app: &App,
    caller: Caller,
    room: RoomId,
    query: &EventQuery,
) -> ApiResult<Response> {
    let limit = limit_of(query.limit)?;
    let after = Seq(query.after.unwrap_or(0));
    let (pushes, next) = app.hub.rooms().events(caller, room, after, limit).await?;
    let mut json = Vec::with_capacity(32 + pushes.iter().map(|push| push.len() + 1).sum::<usize>());
    json.extend_from_slice(b"{\"items\":[");
    for (at, push) in pushes.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        json.extend_from_slice(push);
    }
    json.extend_from_slice(b"],\"next\":");
    json.extend_from_slice(next.map_or_else(|| "null".to_owned(), |seq| format!("\"{seq}\"")).as_bytes());
    json.push(b'}');
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
