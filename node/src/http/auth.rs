//! Signing in and out.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use hubbub_actors::Caller;
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::SessionId,
    rest::{self, Page},
};
use hubbub_storage::facts::User;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::{ApiJson, MaybeJson},
    cookies::{self, REFRESH_COOKIE, from_our_page},
    error::{ApiError, ApiResult, ErrorBody},
    guard::note_limit,
    path::ApiPath,
    peer::Peer,
    signed_in::SignedIn,
};
use crate::{auth::accounts::NewAccount, state::App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(set_up))
}

/// What the device of a request calls itself.
fn device(headers: &HeaderMap) -> &str {
    let agent = headers.get(header::USER_AGENT);
    agent.and_then(|agent| agent.to_str().ok()).unwrap_or("")
}

/// The answer to a sign-in: to our own page with cookies, and without the refresh token.
fn signed_in(app: &App, headers: &HeaderMap, status: StatusCode, mut signed: rest::SignedIn) -> Response {
    let config = app.auth.config();
    let mut given = HeaderMap::new();
    if from_our_page(headers) {
        let refresh = std::mem::take(&mut signed.refresh_token);
        cookies::write(
            &mut given,
            (&signed.access_token, signed.expires_in),
            (&refresh, config.refresh_ttl.as_secs()),
            config.cookies_secure,
        );
    }
    (status, given, Json(signed)).into_response()
}

/// Counts a request of someone not signed in.
fn count(app: &App, parts: &Parts, peer: Peer, name: Option<&str>) -> Result<(), ApiError> {
    note_limit(parts, app.limits.anonymous(peer.0, name, app.now()))
}

/// Makes an account and signs in. With registration by invite, `invite` joins its community too.
#[utoipa::path(
    post, path = "/v1/auth/register", tag = "auth", security(()), request_body = rest::Register,
    responses(
        (status = 201, description = "Signed in", body = rest::SignedIn),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 403, description = "`registration_closed`", body = ErrorBody),
        (status = 409, description = "`conflict`: the name is taken", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
async fn register(
    State(app): State<App>,
    peer: Peer,
    parts: Parts,
    ApiJson(body): ApiJson<rest::Register>,
) -> ApiResult<Response> {
    count(&app, &parts, peer, None)?;
    let account = NewAccount {
        name: body.name,
        password: Some(body.password),
        display: body.display,
        email: body.email,
        owner: false,
    };
    // A task of its own: a client who stops waiting must not leave an account that is in no community,
    // or an invite's use that made none.
    let registering = tokio::spawn(admit(app.clone(), account, body.invite));
    let user = registering.await.unwrap_or_else(|_| Err(hubbub_actors::answer::unavailable()))?;
    let signed = app.auth.begin(&user, device(&parts.headers)).await?;
    Ok(signed_in(&app, &parts.headers, StatusCode::CREATED, signed))
}

/// Makes an account, and a member of where its invite leads. No `sid` exists yet: the session begins
/// once the account is whole.
async fn admit(app: App, account: NewAccount, invite: Option<String>) -> Result<User, Refusal> {
    let (user, invite) = app.auth.register(account, invite.as_deref()).await?;
    if let Some(invite) = invite {
        let caller = Caller { user: user.id, sid: SessionId::from_raw(0) };
        app.hub.communities().admit_by(caller, &invite).await?;
    }
    Ok(user)
}

/// Signs in with name and password.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "auth", security(()), request_body = rest::Login,
    responses(
        (status = 200, description = "Signed in", body = rest::SignedIn),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 401, description = "`unauthorized`, whatever was wrong", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
async fn login(
    State(app): State<App>,
    peer: Peer,
    parts: Parts,
    ApiJson(body): ApiJson<rest::Login>,
) -> ApiResult<Response> {
    let name = body.name.to_ascii_lowercase();
    count(&app, &parts, peer, Some(&name))?;
    let user = app.auth.authenticate(&name, &body.password).await?;
    let signed = app.auth.begin(&user, device(&parts.headers)).await?;
    Ok(signed_in(&app, &parts.headers, StatusCode::OK, signed))
}

/// Replaces the refresh token, from the body or the web client's cookie, and gives a new access
/// token. The token just used may be repeated within 30 s and gives the same answer; any other
/// reuse signs the device out.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "auth", security(()), request_body = rest::Refresh,
    responses(
        (status = 200, description = "Refreshed", body = rest::SignedIn),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 403, description = "`forbidden`: a cookie without `X-CSRF`", body = ErrorBody),
    )
)]
async fn refresh(
    State(app): State<App>,
    parts: Parts,
    MaybeJson(body): MaybeJson<Option<rest::Refresh>>,
) -> ApiResult<Response> {
    let given = body.and_then(|body| body.refresh_token);
    let token = match &given {
        Some(token) => token.as_str(),
        None => token_of_cookie(&parts.headers)?,
    };
    let signed = app.auth.refresh(token).await?;
    Ok(signed_in(&app, &parts.headers, StatusCode::OK, signed))
}

fn token_of_cookie(headers: &HeaderMap) -> Result<&str, Refusal> {
    let token = cookies::cookie(headers, REFRESH_COOKIE)
        .ok_or_else(|| Refusal::field("refresh_token", "this needs a refresh token"))?;
    if from_our_page(headers) {
        return Ok(token);
    }
    let message = "with a cookie this needs the header `x-csrf`";
    Err(Refusal::new(ErrorCode::Forbidden, message))
}

/// Ends the session that asks.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "auth",
    responses(
        (status = 204, description = "Signed out"),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
    )
)]
async fn logout(State(app): State<App>, SignedIn(caller): SignedIn, headers: HeaderMap) -> ApiResult<Response> {
    app.auth.end(caller.sid).await?;
    let mut given = HeaderMap::new();
    if from_our_page(&headers) {
        let secure = app.auth.config().cookies_secure;
        cookies::write(&mut given, ("", 0), ("", 0), secure);
    }
    Ok((StatusCode::NO_CONTENT, given).into_response())
}

/// The devices one is signed in on, newest first; at most 1,000, on one page.
#[utoipa::path(
    get, path = "/v1/auth/sessions", tag = "auth",
    responses(
        (status = 200, description = "One's sessions", body = Page<rest::Session>),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
    )
)]
async fn sessions(State(app): State<App>, SignedIn(caller): SignedIn) -> ApiResult<Json<Page<rest::Session>>> {
    let sessions = app.auth.sessions(caller.user).await?;
    let shown = sessions.into_iter().map(|session| rest::Session {
        current: session.id == caller.sid,
        id: session.id,
        device: session.device,
        created_at: session.created_at,
        used_at: session.used_at,
    });
    Ok(Json(Page { items: shown.collect(), next: None }))
}

/// Signs one of one's devices out: its tokens are refused and its sockets closed.
#[utoipa::path(
    delete, path = "/v1/auth/sessions/{id}", tag = "auth", params(("id" = SessionId, Path)),
    responses(
        (status = 204, description = "Signed out"),
        (status = 401, description = "`unauthorized`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
    )
)]
async fn end_session(
    State(app): State<App>,
    SignedIn(caller): SignedIn,
    ApiPath(id): ApiPath<SessionId>,
) -> ApiResult<StatusCode> {
    let session = app.store().session(id).await?;
    let own = session.filter(|session| session.user == caller.user && session.ended_at.is_none());
    own.ok_or_else(|| Refusal::not_found("session"))?;
    app.auth.end(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the owner account of a new installation, with the token of the set-up link.
#[utoipa::path(
    post, path = "/v1/setup", tag = "auth", security(()), request_body = rest::Setup,
    responses(
        (status = 201, description = "Signed in", body = rest::SignedIn),
        (status = 400, description = "`bad_request`", body = ErrorBody),
        (status = 401, description = "`unauthorized`: a wrong or used token", body = ErrorBody),
        (status = 409, description = "`conflict`: the name is taken", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
async fn set_up(
    State(app): State<App>,
    peer: Peer,
    parts: Parts,
    ApiJson(body): ApiJson<rest::Setup>,
) -> ApiResult<Response> {
    count(&app, &parts, peer, None)?;
    let account = NewAccount {
        name: body.name,
        password: Some(body.password),
        display: body.display,
        email: None,
        owner: true,
    };
    let user = app.auth.set_up(&body.token, account).await?;
    let signed = app.auth.begin(&user, device(&parts.headers)).await?;
    Ok(signed_in(&app, &parts.headers, StatusCode::CREATED, signed))
}
