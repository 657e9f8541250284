//! `GET` and `PUT /v1/admin/log-level`: which lines the node that answers writes to its log.

use axum::{Json, extract::State};
use hubbub_protocol::error::Refusal;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::ApiJson,
    error::{ApiResult, ErrorBody},
    signed_in::Operator,
};
use crate::{
    logs::{Levels, LevelsError},
    state::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log_level, set_log_level))
}

/// The levels of a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLevel {
    /// The levels by module that hold now.
    pub filter: String,
    /// Those that the node started with, and has again after a restart.
    pub configured: String,
}

/// What the levels are to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetLogLevel {
    /// Levels by module, such as `info,hubbub_actors=debug`; absent are those that the node started with.
    #[serde(default)]
    pub filter: Option<String>,
}

fn shown(levels: &Levels) -> Json<LogLevel> {
    Json(LogLevel { filter: levels.current(), configured: levels.configured().to_owned() })
}

/// The levels of this node's log.
#[utoipa::path(
    get, path = "/v1/admin/log-level", tag = "admin",
    responses(
        (status = 200, description = "The levels", body = LogLevel),
        (status = 403, description = "`forbidden`", body = ErrorBody),
    )
)]
async fn log_level(State(app): State<App>, _: Operator) -> Json<LogLevel> {
    shown(&app.levels)
}

/// Changes the levels of this node's log, until it is started again.
#[utoipa::path(
    put, path = "/v1/admin/log-level", tag = "admin", request_body = SetLogLevel,
    responses(
        (status = 200, description = "The levels now", body = LogLevel),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`forbidden`", body = ErrorBody),
        (status = 409, description = "`conflict`: no node runs here", body = ErrorBody),
    )
)]
async fn set_log_level(
    State(app): State<App>,
    _: Operator,
    ApiJson(SetLogLevel { filter }): ApiJson<SetLogLevel>,
) -> ApiResult<Json<LogLevel>> {
    match app.levels.change(filter.as_deref()) {
        Ok(()) => Ok(shown(&app.levels)),
        Err(error @ LevelsError::Unreadable { .. }) => Err(Refusal::field("filter", error.to_string()).into()),
        Err(error @ LevelsError::NoLog) => {
            Err(Refusal::new(hubbub_protocol::error::ErrorCode::Conflict, error.to_string()).into())
        }
    }
}
