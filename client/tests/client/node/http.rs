//! The two calls a client needs over HTTP: a page of a log, and fresh tokens.

use std::sync::{Arc, Mutex};

use hubbub_client::rest::RestError;
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{RoomId, Seq},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{line::page_json, state::State};

/// Answers one request and closes.
pub(super) async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut request = Vec::new();
    let mut piece = [0; 4_096];
    while !is_whole(&request) {
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => request.extend(&piece[..read]),
            _ => return,
        }
    }
    let (status, body) = answer(&String::from_utf8_lossy(&request), &state);
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // The client may be gone.
    drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse::<usize>().expect("a number"));
    body.len() >= length
}

fn answer(request: &str, state: &Mutex<State>) -> (u16, Vec<u8>) {
    let mut state = state.lock().expect("no panic");
    let path = request.split(' ').nth(1).expect("a path");
    if path == "/v1/auth/refresh" {
        return (200, refreshed());
    }
    let token = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default();
    if state.bad_tokens.contains_key(token) {
        return refused(401, &Refusal::new(ErrorCode::Unauthorized, "expired"));
    }
    let room: RoomId = path.split('/').nth(3).expect("a room").parse().expect("an id");
    let field = |name: &str| -> u64 {
        let (_, value) = path.split_once(&format!("{name}=")).expect("the field");
        value.split('&').next().expect("a value").parse().expect("a number")
    };
    let limit = usize::try_from(field("limit")).expect("small");
    match state.page(room, Seq(field("after")), limit) {
        Ok((items, next)) => (200, page_json(&items, next)),
        Err(RestError::Refused(refusal)) => refused(refusal.code.status(), &refusal),
        Err(other) => panic!("the state answers or refuses: {other}"),
    }
}

fn refused(status: u16, refusal: &Refusal) -> (u16, Vec<u8>) {
    (status, json!({"error": refusal}).to_string().into_bytes())
}

fn refreshed() -> Vec<u8> {
    let user = json!({"id": "0000000000009", "name": "ada", "display": "Ada", "avatar": null, "created_at": "2026-11-22T12:00:00.000Z"});
    let tokens = json!({"user": user, "access_token": "fresh", "refresh_token": "next", "expires_in": 900});
    tokens.to_string().into_bytes()
}
