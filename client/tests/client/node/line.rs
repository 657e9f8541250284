//! One connection of the node's: hello, the session, requests, and what is pushed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hubbub_protocol::{
    error::Refusal,
    frame::Format,
    ids::{RoomId, Seq},
    op::{Op, Request},
    push::{Limits, Push},
    time::Timestamp,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request as Asked, Response},
        protocol::CloseFrame,
    },
};

use super::{
    http,
    state::{Out, State},
};

/// Frames that may wait for one line; beyond them the node forgets some, which a client has to heal.
const OUT_MAX: usize = 4_096;

type Shared = Arc<Mutex<State>>;

struct Line {
    id: u64,
    format: Format,
    socket: WebSocketStream<TcpStream>,
    state: Shared,
    out: mpsc::Sender<Out>,
}

/// Serves a WebSocket, or one request over HTTP.
pub(super) async fn serve(stream: TcpStream, state: Shared) {
    let mut begin = [0; 10];
    while stream.peek(&mut begin).await.is_ok_and(|read| (1..begin.len()).contains(&read)) {
        tokio::task::yield_now().await;
    }
    if &begin != b"GET /v1/ws" {
        return http::serve(stream, state).await;
    }
    let mut format = Format::Json;
    #[expect(clippy::result_large_err, reason = "the shape is the library's")]
    let choose = |asked: &Asked, mut response: Response| {
        let name = asked.headers()["sec-websocket-protocol"].clone();
        format = Format::negotiate(name.to_str().expect("ASCII")).expect("one of ours");
        response.headers_mut().insert("sec-websocket-protocol", name);
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, choose).await else { return };
    let (out, mut queue) = mpsc::channel(OUT_MAX);
    let id = {
        let mut state = state.lock().expect("no panic");
        state.connections += 1;
        state.connections
    };
    let mut line = Line { id, format, socket, state: state.clone(), out };
    line.run(&mut queue).await;
    state.lock().expect("no panic").lines.remove(&id);
}

impl Line {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    async fn run(&mut self, queue: &mut mpsc::Receiver<Out>) {
        let heartbeat_ms = self.state().faults.heartbeat_ms;
        let (node, version, time) = ("n1".into(), "0".into(), Timestamp(0));
        let hello = Push::Hello { protocol: 1, node, version, time, heartbeat_ms, limits: Limits::default() };
        self.frame(&serde_json::to_value(hello).expect("plain data")).await;
        loop {
            let going_on = tokio::select! {
                Some(out) = queue.recv() => self.put(out).await,
                message = self.socket.next() => match message {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                        self.asked(&message.into_data()).await
                    }
                    Some(Ok(_)) => true,
                    Some(Err(_)) | None => false,
                },
            };
            if !going_on {
                return;
            }
        }
    }

    async fn frame(&mut self, value: &Value) {
        self.payload(self.format.write(value)).await;
    }

    async fn payload(&mut self, payload: Vec<u8>) {
        let message = match self.format {
            Format::Json => Message::text(String::from_utf8(payload).expect("UTF-8")),
            Format::MessagePack => Message::binary(payload),
        };
        // The client may be gone.
        drop(self.socket.send(message).await);
    }

    /// False when the line is over.
    async fn put(&mut self, out: Out) -> bool {
        match out {
            Out::Frame(_) | Out::Event(_) if self.state().faults.mute => {}
            Out::Frame(value) => self.frame(&value).await,
            Out::Event(push) if self.format == Format::Json => {
                self.payload(push.to_vec()).await;
                self.state().sent += 1;
            }
            Out::Event(push) => {
                let value = Format::Json.read(&push).expect("JSON");
                self.frame(&value).await;
            }
            Out::Close(code) => {
                let close = CloseFrame { code: code.into(), reason: "".into() };
                drop(self.socket.close(Some(close)).await);
            }
            Out::Cut => return false,
        }
        true
    }

    async fn asked(&mut self, payload: &[u8]) -> bool {
        let asked = self.format.read(payload).expect("a readable request");
        let Request { id, op } = Request::decode(payload, self.format).expect("an answerable request");
        let op = op.expect("a good request");
        let outs = {
            let mut state = self.state();
            state.asked.push(asked);
            if state.faults.mute { Vec::new() } else { self.answer(&mut state, id, op) }
        };
        for out in outs {
            if !self.put(out).await {
                return false;
            }
        }
        true
    }

    fn answer(&self, state: &mut State, re: u32, op: Op) -> Vec<Out> {
        let ok = |ok: Value| Out::Frame(json!({"re": re, "ok": ok}));
        match op {
            Op::Identify { token, .. } | Op::Resume { token, .. } if state.bad_tokens.contains_key(&*token) => {
                vec![Out::Close(state.bad_tokens[&*token])]
            }
            Op::Identify { .. } => {
                let session = format!("session {}", self.id);
                state.sessions.insert(session.clone(), BTreeMap::new());
                state.join(self.id, session.clone(), self.out.clone());
                vec![ok(json!({"session": session, "user": {}, "communities": [], "rooms": []}))]
            }
            Op::Resume { session, cursors, .. } => self.resume(state, re, session.to_string(), cursors),
            Op::Subscribe { room, after, mode } => {
                let session = &state.lines[&self.id].session.clone();
                state.sessions.get_mut(session).expect("begun").insert(room, mode);
                let head = state.head(room);
                let replay = state.replay(room, after.map_or(head, |after| after.0));
                let mut answer = json!({"head": head, "read": 0, "permissions": "0", "members": 1, "online": 1});
                if replay.is_none() {
                    answer["gap"] = true.into();
                }
                let events = replay.into_iter().flatten().map(Out::Event);
                std::iter::once(ok(answer)).chain(events).collect()
            }
            Op::Unsubscribe { room } => {
                let session = &state.lines[&self.id].session.clone();
                state.sessions.get_mut(session).expect("begun").remove(&room);
                vec![ok(json!({}))]
            }
            Op::Send { room, key, text, .. } => {
                let answer = if state.send_answers.is_empty() { None } else { Some(state.send_answers.remove(0)) };
                if let Some(Some(refusal)) = answer {
                    return vec![refused(re, &refusal)];
                }
                let (seq, repeat) = state.post(room, key, &text);
                let sent = json!({"seq": seq, "ts": Timestamp(0), "repeat": repeat});
                vec![if answer.is_some() { Out::Cut } else { ok(sent) }]
            }
            Op::Heartbeat => vec![ok(json!({"time": Timestamp(0)}))],
            _ => vec![ok(json!({}))],
        }
    }

    fn resume(&self, state: &mut State, re: u32, session: String, cursors: Vec<(RoomId, Seq)>) -> Vec<Out> {
        if !state.sessions.contains_key(&session) {
            return vec![Out::Close(4007)];
        }
        let (mut rooms, mut events) = (BTreeMap::new(), Vec::new());
        for (room, after) in cursors {
            let (head, replay) = (state.head(room), state.replay(room, after.0));
            let answer = match &replay {
                Some(replay) => json!({"head": head, "replay": replay.len()}),
                None => json!({"head": head, "gap": true}),
            };
            rooms.insert(room.to_string(), answer);
            events.extend(replay.into_iter().flatten().map(Out::Event));
        }
        state.join(self.id, session.clone(), self.out.clone());
        let answer = json!({"re": re, "ok": {"session": session, "rooms": rooms}});
        let end = Out::Frame(json!({"ev": "resumed"}));
        std::iter::once(Out::Frame(answer)).chain(events).chain([end]).collect()
    }
}

fn refused(re: u32, refusal: &Refusal) -> Out {
    Out::Frame(json!({"re": re, "error": refusal}))
}

/// A log's page as REST answers it.
pub(super) fn page_json(items: &[Bytes], next: Option<Seq>) -> Vec<u8> {
    let mut json = b"{\"items\":[".to_vec();
    json.extend(items.join(&b","[..]));
    json.extend(format!("],\"next\":{}}}", next.map_or("null".into(), |seq| format!("\"{seq}\""))).bytes());
    json
}
