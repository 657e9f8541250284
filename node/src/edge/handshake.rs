//! The upgrade: judged here, answered here, and then the socket is ours.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use bytes::Bytes;
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    frame::Format,
};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tungstenite::handshake::derive_accept_key;

use super::{conn, shared::Edge};
use crate::net::{Seat, Stream};

/// `GET /v1/ws`: answers 101 and goes on with the WebSocket, or refuses with the documented shape.
pub async fn upgrade(State(edge): State<Arc<Edge>>, mut request: Request) -> Response {
    let (format, accept) = match judge(request.headers(), &edge.config.origins) {
        Ok(agreed) => agreed,
        Err((status, refusal)) => return refused(status, &refusal),
    };
    if edge.stopping.is_cancelled() {
        let refusal = Refusal::new(ErrorCode::Unavailable, "the node is stopping").after_ms(1_000);
        return refused(StatusCode::SERVICE_UNAVAILABLE, &refusal);
    }
    let seat = request.extensions_mut().remove::<Seat>();
    let taken = hyper::upgrade::on(&mut request);
    edge.connections.spawn({
        let edge = edge.clone();
        async move {
            let Ok(upgraded) = taken.await else { return };
            // It is one of two; anything else is not served, and never got here.
            let (stream, early) = match upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
                Ok(parts) => (Stream::from(parts.io.into_inner()), parts.read_buf),
                Err(upgraded) => match upgrade::downcast::<TokioIo<TlsStream<TcpStream>>>(upgraded) {
                    Ok(parts) => (Stream::from(parts.io.into_inner()), parts.read_buf),
                    Err(_) => return,
                },
            };
            conn::serve(edge, stream, early, format).await;
            drop(seat);
        }
    });
    switching(format, &accept)
}

fn switching(format: Format, accept: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(format.subprotocol()));
    if let Ok(accept) = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(accept.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn refused(status: StatusCode, refusal: &Refusal) -> Response {
    (status, Json(json!({"error": refusal}))).into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn has_token(value: &str, token: &str) -> bool {
    value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Whether the request is an upgrade to one of our subprotocols, from an origin that may ask.
/// Returns the format and the value of `Sec-WebSocket-Accept`.
fn judge(headers: &HeaderMap, origins: &[String]) -> Result<(Format, String), (StatusCode, Refusal)> {
    let bad = |message: &str| (StatusCode::BAD_REQUEST, Refusal::new(ErrorCode::BadRequest, message));
    let upgrades = has_token(text(headers, &header::UPGRADE), "websocket")
        && has_token(text(headers, &header::CONNECTION), "upgrade");
    if !upgrades {
        return Err(bad("this address takes WebSocket upgrades over HTTP/1.1 only"));
    }
    if text(headers, &header::SEC_WEBSOCKET_VERSION) != "13" {
        return Err(bad("the WebSocket version must be 13"));
    }
    let key = text(headers, &header::SEC_WEBSOCKET_KEY);
    if !BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
        return Err(bad("`Sec-WebSocket-Key` must be 16 bytes in base64"));
    }
    if !may_ask(headers, origins) {
        let message = "pages of this origin may not connect: add it to `edge.origins`";
        return Err((StatusCode::FORBIDDEN, Refusal::new(ErrorCode::Forbidden, message)));
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered = offered.collect::<Vec<_>>().join(",");
    let format = Format::negotiate(&offered)
        .ok_or_else(|| bad("offer the subprotocol `hubbub.v1.json` or `hubbub.v1.msgpack`"))?;
    Ok((format, derive_accept_key(key.as_bytes())))
}

/// Browsers say where a page came from: only our own and those named may connect. Programs say
/// nothing, and carry no cookie that could be abused.
fn may_ask(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = text(headers, &header::HOST);
    let own = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    (own == Some(host) && !host.is_empty()) || origins.iter().any(|known| known == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let usual = [
            ("host", "chat.example:8080"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "hubbub.v1.json"),
        ];
        for (name, value) in usual.iter().chain(changes) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn status(changes: &[(&'static str, &'static str)]) -> Option<u16> {
        let known = ["https://app.example".to_owned()];
        judge(&headers(changes), &known).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn a_good_upgrade_is_accepted() {
        let (format, accept) = judge(&headers(&[]), &[]).expect("good");
        assert_eq!(format, Format::Json);
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn anything_less_is_refused() {
        for change in [
            ("upgrade", "h2c"),
            ("connection", "close"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", ""),
            ("sec-websocket-key", "c2hvcnQ="),
            ("sec-websocket-key", "not base64 at all......="),
            ("sec-websocket-protocol", "chat"),
        ] {
            assert_eq!(status(&[change]), Some(400), "{change:?}");
        }
    }

    #[test]
    fn only_our_own_pages_and_those_named_may_connect() {
        for origin in ["http://chat.example:8080", "https://chat.example:8080", "https://app.example"] {
            assert_eq!(status(&[("origin", origin)]), None, "{origin}");
        }
        for origin in [
            "null",
            "https://chat.example",
            "https://chat.example:8080.evil.example",
            "https://evilchat.example:8080",
            "https://app.example:444",
        ] {
            assert_eq!(status(&[("origin", origin)]), Some(403), "{origin}");
        }
    }
}
