//! What anyone may read: the description of the interface, and the keys that verify our tokens.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::error::{ApiError, ApiResult};
use crate::state::App;

/// The description, written once.
#[derive(Debug, Clone)]
pub struct Description(Arc<[u8]>);

impl Description {
    /// Writes it.
    #[must_use]
    pub fn of(api: &utoipa::openapi::OpenApi) -> Self {
        Self(serde_json::to_vec(api).unwrap_or_default().into())
    }
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(openapi)).routes(routes!(jwks))
}

/// This description.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "published", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn openapi(Extension(Description(json)): Extension<Description>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, Bytes::from_owner(json)).into_response()
}

/// The public keys of access tokens, RFC 7517: those of last month, this month and the next.
#[utoipa::path(
    get, path = "/v1/.well-known/jwks.json", tag = "published", security(()),
    responses((status = 200, description = "A JWK set", body = Object))
)]
async fn jwks(State(app): State<App>) -> ApiResult<Response> {
    let keys = app.auth.jwks().await.map_err(ApiError::from)?;
    let cache = [(header::CACHE_CONTROL, "public, max-age=3600")];
    Ok((cache, Json(keys)).into_response())
}
