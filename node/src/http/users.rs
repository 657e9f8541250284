//! Accounts, as people see their own and each other's.
//!
//! Anyone signed in may read the public part of any account by its id: names stand beside old
//! messages whose authors left long ago, and an id tells no more than such a message does. There is
//! no list to go through; members are listed by their communities.

use axum::{Json, extract::State};
use hubbub_actors::peers::Fact;
use hubbub_protocol::{error::Refusal, ids::UserId, push::Push, rest};
use hubbub_storage::facts::User;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::ApiJson,
    error::{ApiResult, ErrorBody},
    path::ApiPath,
    signed_in::SignedIn,
};
use crate::{auth::sessions::shown, state::App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me, update_me)).routes(routes!(user))
}

fn me_of(user: &User) -> rest::Me {
    rest::Me { user: shown(user), email: user.email.clone(), owner: user.owner }
}

async fn known(app: &App, id: UserId) -> ApiResult<User> {
    let user = app.store().user(id).await?;
    Ok(user.ok_or_else(|| Refusal::not_found("user"))?)
}

/// One's own account.
#[utoipa::path(
    get, path = "/v1/users/@me", tag = "users",
    responses(
        (status = 200, description = "One's own account", body = rest::Me),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
    )
)]
async fn me(State(app): State<App>, SignedIn(caller): SignedIn) -> ApiResult<Json<rest::Me>> {
    Ok(Json(me_of(&known(&app, caller.user).await?)))
}

/// Changes one's own account, and tells one's devices. A new password needs the one so far and signs one's other devices
/// out.
#[utoipa::path(
    patch, path = "/v1/users/@me", tag = "users", request_body = rest::UpdateMe,
    responses(
        (status = 200, description = "One's own account", body = rest::Me),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 403, description = "`forbidden`: the password so far is another", body = ErrorBody),
    )
)]
async fn update_me(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiJson(change): ApiJson<rest::UpdateMe>,
) -> ApiResult<Json<rest::Me>> {
    let user = app.auth.update(caller.user, caller.sid, change).await?;
    app.hub.changed(vec![Fact::User(user.id)]).await;
    let me = me_of(&user);
    if let Ok(Value::Object(changed)) = serde_json::to_value(&me) {
        app.hub.push(user.id, &Push::User { changed });
    }
    Ok(Json(me))
}

/// The public part of an account.
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The account", body = rest::User),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn user(State(app): State<App>, _: SignedIn, ApiPath(id): ApiPath<UserId>) -> ApiResult<Json<rest::User>> {
    Ok(Json(shown(&known(&app, id).await?)))
}
