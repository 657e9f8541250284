//! What surrounds every request: its number, its time limit, its headers, and the net below it.
//!
//! # Invariants
//!
//! * Every answer has our shape: a panic, a time limit, an unknown path and a wrong method included.
//! * Every answer has an `X-Request-Id`, which the log lines about it carry.
//! * No cache keeps an answer, and no browser guesses at its type.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hubbub_protocol::error::{ErrorCode, Refusal};
use tracing::Instrument;

use super::{error::ApiError, limits::Decision};
use crate::{metrics::routes::OTHER, state::App};

/// Longest time a request may take; the slowest of ours, a page of history, takes milliseconds.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where an extractor leaves what a rate limit said, for the headers of the answer.
#[derive(Debug, Clone, Default)]
pub struct LimitSlot(Arc<OnceLock<Decision>>);

/// Notes what a rate limit said of the request, and refuses it if that was no.
///
/// # Errors
/// `rate_limited`.
pub fn note_limit(parts: &Parts, decision: Option<Decision>) -> Result<(), ApiError> {
    let Some(decision) = decision else {
        return Ok(());
    };
    if let Some(LimitSlot(slot)) = parts.extensions.get() {
        slot.get_or_init(|| decision);
    }
    decision.allowed().map(drop).map_err(ApiError::from)
}

/// Wraps a request.
pub async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = format!("{:016x}", app.next_id());
    let slot = LimitSlot::default();
    request.extensions_mut().insert(slot.clone());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let asked = app.routes.asked(path.as_ref().map(MatchedPath::as_str), request.method());
    let span = tracing::debug_span!(
        "request",
        request.id = %id,
        method = %request.method(),
        // Not the path itself: an invite in it is a secret.
        path = path.as_ref().map_or(OTHER, MatchedPath::as_str),
    );
    let answer = tokio::time::timeout(REQUEST_TIME_MAX, next.run(request).instrument(span)).await;
    let mut response = answer.unwrap_or_else(|_| {
        tracing::warn!(request.id = %id, "a request took too long and was given up");
        ApiError::from(Refusal::new(ErrorCode::Busy, "this took too long")).into_response()
    });
    app.routes.answered(asked, response.status());
    tracing::trace!(request.id = %id, status = response.status().as_u16(), "a request was answered");
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(decision) = slot.0.get() {
        decision.write(headers);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Answers for a handler that panicked; its supervisor-less task is this request alone.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "the layer gives the panic away")]
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no text"), "a request panicked");
    ApiError::from(Refusal::new(ErrorCode::Internal, "something broke here")).into_response()
}

/// Answers for a path that is not there.
pub async fn no_such_path(uri: Uri) -> ApiError {
    let message = format!("there is nothing at {}", uri.path());
    Refusal::new(ErrorCode::NotFound, message).into()
}

/// Answers for a method the path does not take.
pub async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    let refusal = Refusal::new(ErrorCode::BadRequest, message);
    ApiError::with_status(refusal, StatusCode::METHOD_NOT_ALLOWED)
}
