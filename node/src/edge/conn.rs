//! One connection: hello, identify or resume, requests, heartbeats, goodbye.
//!
//! One task per connection reads, keeps its times and writes what could not be written at once. It
//! owns no buffer while the client is silent. While a client lets its answers lie, nothing more is
//! read from it.
//!
//! # Failure
//!
//! Whatever a client does wrong ends its own connection with a documented code, and nothing else.

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use hubbub_actors::{Connection, session::SessionHandle};
use hubbub_protocol::{
    error::{CloseCode, ErrorCode, Refusal},
    frame::{Format, Frame},
    limits::IDENTIFY_WITHIN_MS,
    op::{Op, Request},
    push::{Limits, Push},
    time::Timestamp,
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    allowance::Allowance,
    goodbye::goodbye,
    reader::{Incoming, Reader},
    shared::Edge,
    socket::Socket,
};
use crate::{
    auth::{Verified, VerifyError, token::TokenRefused},
    metrics::OpRow,
    net::Stream,
};

/// How long a client whose token has expired may take to bring a new one.
const REAUTH_WITHIN_MS: i64 = 60_000;
/// Bytes read at once, on the stack of the call that reads.
const READ_BYTES: usize = 16 * 1024;

/// A session on this connection.
#[derive(Debug)]
struct Stay {
    handle: SessionHandle,
    verified: Verified,
}

struct Conn {
    edge: Arc<Edge>,
    socket: Arc<Socket>,
    connection: Arc<dyn Connection>,
    stay: Option<Stay>,
    opened: Instant,
    heard: Instant,
    allowance: Allowance,
}

/// Serves one connection until it ends. `early` are bytes that came with the upgrade.
pub async fn serve(edge: Arc<Edge>, stream: Stream, early: Bytes, format: Format) {
    // Without this a small frame waits for the acknowledgement of the one before.
    if stream.set_nodelay().is_err() {
        return;
    }
    let socket = Socket::new(stream, format, edge.meters.clone());
    let connection: Arc<dyn Connection> = socket.clone();
    let now = Instant::now();
    let allowance = Allowance::full(now);
    let mut conn = Conn { edge, socket, connection, stay: None, opened: now, heard: now, allowance };
    conn.hello();
    tracing::debug!("a client has connected");
    let code = conn.run(early).await;
    tracing::debug!(code = code.map(CloseCode::code), "a client is gone");
    if let Some(stay) = &conn.stay {
        stay.handle.disconnected(&conn.connection);
    }
    goodbye(&conn.socket, code).await;
}

impl Conn {
    fn hello(&self) {
        let config = &self.edge.config;
        self.socket.answer(&Frame::of(&Push::Hello {
            protocol: 1,
            node: config.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: self.edge.hub.now(),
            heartbeat_ms: config.heartbeat_ms,
            limits: Limits::default(),
        }));
    }

    /// Runs until the connection ends; returns the code to close it with, if it is to be closed.
    async fn run(&mut self, early: Bytes) -> Option<CloseCode> {
        let mut reader = Reader::default();
        let taken = self.take(&mut reader, &early).await;
        // However little it holds, it keeps the HTTP server's whole read buffer alive.
        drop(early);
        if let Err(code) = taken {
            return code;
        }
        let edge = self.edge.clone();
        let mut timer = pin!(tokio::time::sleep_until(self.deadline()));
        loop {
            if let Some(code) = self.socket.ended() {
                return code;
            }
            let backlog = self.socket.backlog();
            tokio::select! {
                ready = self.socket.stream().readable(), if !backlog.is_clogged => {
                    if ready.is_err() {
                        return None;
                    }
                    let begun = self.stay.is_some();
                    if let Err(code) = self.read(&mut reader).await {
                        return code;
                    }
                    if begun != self.stay.is_some() {
                        timer.as_mut().reset(self.deadline());
                    }
                }
                ready = self.socket.stream().writable(), if backlog.has_more => {
                    if ready.and_then(|()| self.socket.flush()).is_err() {
                        return None;
                    }
                }
                () = self.socket.woken() => {
                    if self.socket.backlog().stuck_at.is_some() {
                        timer.as_mut().reset(self.deadline());
                    }
                }
                () = edge.stopping.cancelled(), if self.stay.is_none() => return Some(self.turned_away()),
                () = &mut timer => {
                    if let Some(code) = self.late() {
                        return Some(code);
                    }
                    timer.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// Tells a client without a session to come back, each at another time; one with a session is told
    /// by it.
    fn turned_away(&self) -> CloseCode {
        let after_ms = self.edge.config.reconnect_after_ms;
        let after_ms = after_ms / 2 + rand::random_range(0..=after_ms);
        self.socket.answer(&Frame::of(&Push::Reconnect { after_ms }));
        CloseCode::GoingAway
    }

    /// Reads what has come.
    async fn read(&mut self, reader: &mut Reader) -> Result<(), Option<CloseCode>> {
        let mut messages = Vec::new();
        match fill(&self.socket, reader, &mut messages) {
            Ok(true) => {}
            Ok(false) => return Err(None),
            Err(code) => {
                // What came whole before the broken frame still counts.
                self.handle_all(messages).await?;
                return Err(Some(code));
            }
        }
        self.handle_all(messages).await
    }

    async fn take(&mut self, reader: &mut Reader, bytes: &[u8]) -> Result<(), Option<CloseCode>> {
        let mut messages = Vec::new();
        let fed = reader.feed(bytes, &mut messages);
        self.handle_all(messages).await?;
        fed.map_err(Some)
    }

    async fn handle_all(&mut self, messages: Vec<Incoming>) -> Result<(), Option<CloseCode>> {
        if !messages.is_empty() {
            self.heard = Instant::now();
        }
        for message in messages {
            match (message, self.socket.format()) {
                (Incoming::Text(payload), Format::Json) | (Incoming::Binary(payload), Format::MessagePack) => {
                    // Boxed, so that a silent connection does not keep room for it.
                    Box::pin(self.message(&payload)).await.map_err(Some)?;
                }
                (Incoming::Text(_) | Incoming::Binary(_), _) => return Err(Some(CloseCode::BadFrame)),
                (Incoming::Ping(payload), _) => self.socket.raw(pong(&payload)),
                (Incoming::Pong, _) => {}
                (Incoming::Close, _) => return Err(Some(CloseCode::Normal)),
            }
        }
        Ok(())
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), CloseCode> {
        let request = Request::decode(payload, self.socket.format()).map_err(|_| CloseCode::BadFrame)?;
        let Request { id, op } = request;
        if self.stay.is_none() && !matches!(op, Ok(Op::Identify { .. } | Op::Resume { .. })) {
            // An identify with a broken field is answered; anything else comes too early.
            let early = !op.as_ref().is_err_and(|_| is_first_word(payload, self.socket.format()));
            if early {
                return Err(CloseCode::NotIdentified);
            }
        }
        let row = OpRow::of(&op);
        self.edge.meters.asked(row);
        if self.edge.config.rate_limits && !self.allowance.take(Instant::now()) {
            return self.too_many(id, row, "too many requests", 1_000);
        }
        if !self.socket.flight().begin(id, row) {
            return self.too_many(id, row, "too many requests await their answer", 100);
        }
        match op {
            Err(refusal) => self.refuse(id, &refusal),
            Ok(Op::Heartbeat) => {
                self.socket.rest();
                self.connection.reply(Frame::ok(id, &json!({"time": self.edge.hub.now()})));
            }
            Ok(Op::Reauth { token }) => self.reauth(id, &token).await,
            Ok(Op::Identify { .. } | Op::Resume { .. }) if self.stay.is_some() => {
                self.refuse(id, &Refusal::field("op", "the session has begun already"));
            }
            Ok(Op::Identify { token, device, intents }) => {
                let verified = self.verify(&token).await?;
                let sessions = self.edge.hub.sessions();
                let begun = sessions.identify(self.connection.clone(), id, verified.caller, device, intents);
                self.stay = Some(Stay { handle: begun.await?, verified });
                self.look_again(&token).await?;
            }
            Ok(Op::Resume { token, session, cursors }) => {
                let verified = self.verify(&token).await?;
                let sessions = self.edge.hub.sessions();
                let resumed = sessions.resume(self.connection.clone(), id, verified.caller, &session, cursors);
                self.stay = Some(Stay { handle: resumed.await?, verified });
                self.look_again(&token).await?;
            }
            Ok(op) => {
                if let Some(stay) = &self.stay {
                    stay.handle.request(id, op);
                }
            }
        }
        Ok(())
    }

    /// Verifies once more when a session has begun: a sign-out, or the node's stop, that came in between
    /// found no session to close, and is seen now; one that comes later finds it.
    async fn look_again(&self, token: &str) -> Result<(), CloseCode> {
        self.verify(token).await?;
        if self.edge.stopping.is_cancelled() { Err(self.turned_away()) } else { Ok(()) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what its callers answer")]
    fn too_many(&self, id: u32, row: OpRow, why: &str, after_ms: u64) -> Result<(), CloseCode> {
        let refusal = Refusal::new(ErrorCode::RateLimited, why).after_ms(after_ms);
        self.edge.meters.refused(row, refusal.code);
        self.socket.answer(&Frame::refused(id, &refusal));
        Ok(())
    }

    fn refuse(&self, id: u32, refusal: &Refusal) {
        self.connection.reply(Frame::refused(id, refusal));
    }

    async fn verify(&self, token: &str) -> Result<Verified, CloseCode> {
        self.edge.auth.verify(token).await.map_err(|error| match error {
            VerifyError::Token(TokenRefused::Expired) => CloseCode::TokenExpired,
            VerifyError::Token(TokenRefused::Invalid) => CloseCode::TokenRefused,
            VerifyError::Store(error) => {
                tracing::warn!(%error, "could not find out whether a session stands");
                CloseCode::GoingAway
            }
        })
    }

    async fn reauth(&mut self, id: u32, token: &str) {
        let verified = match self.edge.auth.verify(token).await {
            Ok(verified) => Some(verified),
            Err(VerifyError::Token(_)) => None,
            Err(VerifyError::Store(error)) => {
                tracing::warn!(%error, "could not find out whether a session stands");
                return self.refuse(id, &Refusal::new(ErrorCode::Unavailable, "the store does not answer"));
            }
        };
        match (verified, &mut self.stay) {
            (Some(verified), Some(stay)) if verified.caller == stay.verified.caller => {
                stay.verified = verified;
                self.connection.reply(Frame::ok(id, &json!({})));
            }
            _ => {
                let refusal = Refusal::new(ErrorCode::Unauthorized, "the token is not good, or of another session");
                self.refuse(id, &refusal);
            }
        }
    }

    fn silence(&self) -> Duration {
        Duration::from_millis(self.edge.config.heartbeat_ms * 3 / 2)
    }

    fn token_left(&self, now: Timestamp) -> Option<Duration> {
        let stay = self.stay.as_ref()?;
        let until = stay.verified.expires_at.plus_ms(REAUTH_WITHIN_MS);
        Some(Duration::from_millis(until.ms_since(now)))
    }

    /// When to look at the times again, at the latest.
    fn deadline(&self) -> Instant {
        let first = if self.stay.is_none() {
            self.opened + Duration::from_millis(IDENTIFY_WITHIN_MS)
        } else {
            self.heard + self.silence()
        };
        // A timer that is a little late must not be set to the past again and again.
        let soonest = Instant::now() + Duration::from_millis(5);
        let token = self.token_left(self.edge.hub.now()).map(|left| Instant::now() + left);
        token.into_iter().chain(self.socket.backlog().stuck_at).fold(first, Instant::min).max(soonest)
    }

    /// The code to close with when a time has run out.
    fn late(&self) -> Option<CloseCode> {
        if self.socket.backlog().stuck_at.is_some_and(|at| at <= Instant::now()) {
            return Some(CloseCode::TooSlow);
        }
        if self.stay.is_none() {
            let waited = self.opened.elapsed();
            return (waited >= Duration::from_millis(IDENTIFY_WITHIN_MS)).then_some(CloseCode::NotIdentified);
        }
        if self.heard.elapsed() >= self.silence() {
            return Some(CloseCode::HeartbeatMissed);
        }
        if self.token_left(self.edge.hub.now()).is_some_and(|left| left.is_zero()) {
            return Some(CloseCode::TokenExpired);
        }
        None
    }
}

/// Reads until the socket has no more; `false` when the client has gone.
fn fill(socket: &Socket, reader: &mut Reader, messages: &mut Vec<Incoming>) -> Result<bool, CloseCode> {
    let mut bytes = [0; READ_BYTES];
    match socket.stream().try_read(&mut bytes) {
        Ok(0) => Ok(false),
        Ok(read) => reader.feed(&bytes[..read], messages).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(_) => Ok(false),
    }
}

/// Whether a request that could not be read in full is an `identify` or `resume` all the same.
fn is_first_word(payload: &[u8], format: Format) -> bool {
    let value = format.read(payload).unwrap_or_default();
    matches!(value.get("op").and_then(|op| op.as_str()), Some("identify" | "resume"))
}

fn pong(payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![0x8A, u8::try_from(payload.len()).unwrap_or(0)];
    wire.extend_from_slice(payload);
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the task that a function of four arguments makes.
    const fn task_bytes<A, B, C, D, F>(_task: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_silent_client_costs_a_small_task() {
        let bytes = task_bytes(serve);
        assert!(bytes <= 1_536, "{bytes} bytes");
    }
}
