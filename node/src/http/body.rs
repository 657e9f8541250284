//! JSON bodies, read so that a refusal names the field that was wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{StatusCode, header},
};
use hubbub_protocol::error::{ErrorCode, Refusal};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Largest body of a request, in bytes: a text of 32 KiB in which JSON writes every byte with six.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// A JSON body of the type `T`, which refuses unknown fields by itself.
#[derive(Debug)]
pub struct ApiJson<T>(pub T);

/// The same where the body may be left out.
#[derive(Debug)]
pub struct MaybeJson<T>(pub T);

/// The field a message of serde's is about, when the path leads only to its parent.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

fn field_of(path: &serde_path_to_error::Path, message: &str) -> Option<String> {
    let path = path.to_string();
    let parent = Some(path.as_str()).filter(|path| *path != ".");
    match (parent, missing_field(message)) {
        (None, missing) => missing.map(str::to_owned),
        (Some(parent), None) => Some(parent.to_owned()),
        (Some(parent), Some(missing)) => Some(format!("{parent}.{missing}")),
    }
}

/// Reads a body.
///
/// # Errors
/// `bad_request`, with the field where one can be named.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let message = error.inner().to_string();
        let mut refusal = Refusal::new(ErrorCode::BadRequest, message.clone());
        if error.inner().is_data() {
            refusal.field = field_of(error.path(), &message);
        }
        refusal
    })?;
    json.end().map_err(|error| Refusal::new(ErrorCode::BadRequest, error.to_string()))?;
    Ok(value)
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unread(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("a body has at most {BODY_BYTES_MAX} bytes");
        return Refusal::new(ErrorCode::TooLarge, message).into();
    }
    Refusal::new(ErrorCode::BadRequest, "the body could not be read").into()
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(&request) {
            let message = "the body must be JSON, with `Content-Type: application/json`";
            return Err(Refusal::new(ErrorCode::BadRequest, message).into());
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| unread(&rejection))?;
        Ok(Self(decode(&bytes)?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let json = is_json(&request);
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| unread(&rejection))?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !json {
            let message = "the body must be JSON, with `Content-Type: application/json`";
            return Err(Refusal::new(ErrorCode::BadRequest, message).into());
        }
        Ok(Self(decode(&bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::rest::{CreateDm, Login};

    use super::*;

    fn field<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> Option<String> {
        let refused = decode::<T>(json.as_bytes()).expect_err(json);
        assert_eq!(refused.code, ErrorCode::BadRequest, "{json}");
        refused.field
    }

    #[test]
    fn the_field_that_was_wrong_is_named() {
        let login = field::<Login>;
        assert_eq!(login(r#"{"name":"ada"}"#).as_deref(), Some("password"));
        assert_eq!(login(r#"{"name":7,"password":"x"}"#).as_deref(), Some("name"));
        assert_eq!(login(r#"{"name":null,"password":"x"}"#).as_deref(), Some("name"));
        let unknown = r#"{"name":"a","password":"b","admin":true}"#;
        assert_eq!(login(unknown).as_deref(), Some("admin"));
        let dm = field::<CreateDm>;
        assert_eq!(dm(r#"{"users":["nobody"]}"#).as_deref(), Some("users[0]"));
    }

    #[test]
    fn what_is_no_json_object_names_no_field() {
        for bad in ["", "{", "[]", "7", "null", "{}}", "\u{0}", r#"{"name":"\ud800"}"#] {
            let refused = decode::<Login>(bad.as_bytes()).expect_err(bad);
            assert_eq!(refused.code, ErrorCode::BadRequest, "{bad}");
        }
        let refused = decode::<Login>(b"{\"name\":\"\xff\"}").expect_err("no UTF-8");
        assert_eq!(refused.code, ErrorCode::BadRequest);
    }
}
