//! Who makes a request: taken from the bearer token, or from the web client's cookie.
//!
//! # Invariants
//!
//! * A cookie alone changes nothing: requests that may change something carry `X-CSRF` too.
//! * An operator is who reached the node's own socket, or an account that owns the installation.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use hubbub_actors::caller::Caller;
use hubbub_protocol::error::{ErrorCode, Refusal};
use hubbub_storage::TogetherError;

use super::{
    cookies::{ACCESS_COOKIE, CSRF_HEADER, cookie, from_our_page},
    error::{ApiError, store_refusal, store_silent},
    guard::note_limit,
};
use crate::{auth::VerifyError, state::App};

/// The signed-in user and device of a request.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn(pub Caller);

/// Someone who may run the installation.
#[derive(Debug, Clone, Copy)]
pub enum Operator {
    /// Over the node's own socket, which only the data directory's owner can open.
    Socket,
    /// An owner account.
    Owner(Caller),
}

/// Marks requests of the node's own socket.
#[derive(Debug, Clone, Copy)]
pub struct OverSocket;

impl VerifyError {
    /// What a client is told.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Token(refused) => Refusal::new(ErrorCode::Unauthorized, refused.to_string()),
            Self::Store(TogetherError::Store(error)) => store_refusal(error),
            Self::Store(TogetherError::GivenUp) => store_silent(),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The access token of a request.
fn token(parts: &Parts) -> Result<&str, Refusal> {
    let missing = || Refusal::new(ErrorCode::Unauthorized, "this needs an access token");
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return bearer(&parts.headers).ok_or_else(missing);
    }
    let token = cookie(&parts.headers, ACCESS_COOKIE).ok_or_else(missing)?;
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if reads || from_our_page(&parts.headers) {
        return Ok(token);
    }
    let message = format!("with a cookie this needs the header `{CSRF_HEADER}`");
    Err(Refusal::new(ErrorCode::Forbidden, message))
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let verified = app.auth.verify(token(parts)?).await;
        let caller = verified.map_err(|error| error.refusal())?.caller;
        note_limit(parts, app.limits.user(caller.user, app.now()))?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if parts.extensions.get::<OverSocket>().is_some() {
            return Ok(Self::Socket);
        }
        let SignedIn(caller) = SignedIn::from_request_parts(parts, app).await?;
        let user = app.store().user(caller.user).await?;
        if user.is_some_and(|user| user.owner) {
            return Ok(Self::Owner(caller));
        }
        Err(Refusal::forbidden("run this installation").into())
    }
}
