//! Parts of the path: what cannot be an id or a number names nothing, so it is `not_found`.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use hubbub_protocol::error::Refusal;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The parts of the path as `T`: one value, or a tuple of them.
#[derive(Debug)]
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let Path(path) = path.map_err(|_| Refusal::not_found("resource"))?;
        Ok(Self(path))
    }
}
