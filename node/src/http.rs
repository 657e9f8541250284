//! REST: the router, put together from one file a subject, and the OpenAPI that falls out of it.
//!
//! Every route is a handler with `#[utoipa::path]`, collected by `routes!`; there is no other way
//! into the router, so `GET /v1/openapi.json` tells of every path and of nothing else.
//! The edge adds the web page, the socket and health to what [`public`] gives; they are not wrapped
//! by [`guard::around`].
//!
//! # Invariants
//!
//! * Every answer, whatever went wrong, has the documented shape ([`guard`]).
//! * A handler takes bodies by [`body::ApiJson`], queries by [`query::ApiQuery`], paths by
//!   [`path::ApiPath`] and its caller by [`signed_in::SignedIn`]: nothing of axum's own, which would
//!   answer in plain text.
//! * Other sites' pages may not ask: there is no CORS.

pub mod admin;
pub mod admin_actors;
pub mod admin_archive;
pub mod admin_cluster;
pub mod admin_doctor;
pub mod admin_hot;
pub mod admin_logs;
pub mod admin_nodes;
pub mod admin_users;
pub mod auth;
pub mod body;
pub mod communities;
pub mod cookies;
pub mod error;
pub mod events;
pub mod guard;
pub mod invites;
pub mod limits;
pub mod messages;
pub mod path;
pub mod peer;
pub mod published;
pub mod query;
pub mod rooms;
pub mod signed_in;
pub mod users;

use std::sync::Arc;

use axum::{Extension, Router, extract::DefaultBodyLimit, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

/// Ways to sign a request.
struct Security;

impl Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let cookie = ApiKeyValue::with_description(
            cookies::ACCESS_COOKIE,
            "Set by signing in with the header X-CSRF; requests that change something carry it too.",
        );
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hubbub",
        description = "The REST interface of a Hubbub node. Errors are `{\"error\": {code, message, retryable, field?, retry_after_ms?}}`; lists are `{\"items\", \"next\"}`, paged by `?limit=&cursor=`.",
    ),
    components(schemas(error::ErrorBody)),
    modifiers(&Security),
    security(("bearer" = []), ("cookie" = [])),
)]
struct Api;

/// Every route, with its description.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi())
        .merge(auth::routes())
        .merge(users::routes())
        .merge(communities::routes())
        .merge(rooms::routes())
        .merge(messages::routes())
        .merge(events::routes())
        .merge(invites::routes())
        .merge(admin::routes())
        .merge(admin_actors::routes())
        .merge(admin_users::routes())
        .merge(admin_archive::routes())
        .merge(admin_cluster::routes())
        .merge(admin_nodes::routes())
        .merge(admin_doctor::routes())
        .merge(admin_hot::routes())
        .merge(admin_logs::routes())
        .merge(published::routes())
}

/// The description of the interface.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

fn assembled(app: &App) -> Router<App> {
    let (router, api) = routes().split_for_parts();
    router
        .fallback(guard::no_such_path)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MAX))
        .layer(Extension(published::Description::of(&api)))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::around))
}

/// The router of the public listener. Whoever serves it gives each connection's address along
/// (`into_make_service_with_connect_info::<SocketAddr>()` or an `Extension(ConnectInfo(..))`);
/// requests without one are not counted by address.
pub fn public(app: &App) -> Router {
    assembled(app).with_state(Arc::clone(app))
}

/// The router of the node's own socket: the same paths, and whoever reaches it is an operator.
pub fn over_socket(app: &App) -> Router {
    public(app).layer(Extension(signed_in::OverSocket))
}

#[cfg(test)]
mod tests;
