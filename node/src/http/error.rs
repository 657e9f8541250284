//! How REST says no: one shape, `{"error": {…}}`, with the status that fits the code.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hubbub_protocol::error::{ErrorCode, Refusal};
use hubbub_storage::{Aftermath, ErrorChain, StoreError};
use serde::Serialize;

/// What a client is told to wait when the store does not answer.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    refusal: Refusal,
    status: StatusCode,
}

/// What a handler answers.
pub type ApiResult<T> = Result<T, ApiError>;

/// The body of an error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What was wrong.
    pub error: Refusal,
}

impl ApiError {
    /// A refusal with a status of its own instead of its code's.
    #[must_use]
    pub const fn with_status(refusal: Refusal, status: StatusCode) -> Self {
        Self { refusal, status }
    }

    /// What was refused.
    #[must_use]
    pub const fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { refusal, status }
    }
}

/// A failure of the store as clients are told of it; logs it, since it is handled here.
#[must_use]
pub fn store_refusal(error: &StoreError) -> Refusal {
    if let StoreError::Taken { what } = error {
        return Refusal::new(ErrorCode::Conflict, format!("{what} is taken"));
    }
    tracing::warn!(error = %ErrorChain(error), "a request failed at the store");
    match error.aftermath() {
        Aftermath::NeedsRepair => Refusal::new(ErrorCode::Internal, "stored data cannot be read"),
        Aftermath::Unchanged | Aftermath::Unknown => store_silent(),
    }
}

/// What a client is told when the store cannot be asked.
#[must_use]
pub fn store_silent() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "the store does not answer").after_ms(UNAVAILABLE_RETRY_MS)
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        store_refusal(&error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { refusal, status } = self;
        let retry_after_s = refusal.retry_after_ms.map(|ms| ms.div_ceil(1_000).max(1));
        let mut response = (status, axum::Json(ErrorBody { error: refusal })).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_of_its_kind() {
        for code in ErrorCode::ALL {
            let error = ApiError::from(Refusal::new(*code, "no"));
            let response = error.into_response();
            assert_eq!(response.status().as_u16(), code.status(), "{code}");
            assert!(response.status().is_client_error() || response.status().is_server_error());
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        let refusal = Refusal::new(ErrorCode::SlowMode, "wait").after_ms(1_001);
        let response = ApiError::from(refusal).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn a_taken_name_is_a_conflict_and_a_lost_store_is_temporary() {
        let taken = ApiError::from(StoreError::Taken { what: "the name" });
        assert_eq!(taken.refusal().code, ErrorCode::Conflict);
        let lost = StoreError::Read { what: "a user", source: "secret detail".into() };
        let lost = ApiError::from(lost);
        assert_eq!(lost.refusal().code, ErrorCode::Unavailable);
        assert!(lost.refusal().retryable);
        assert!(!lost.refusal().message.contains("secret"));
    }
}
