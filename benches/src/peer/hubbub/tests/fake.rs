//! A node of the size of a test: the calls and requests the adapter makes, on one port, in memory.
//!
//! It refuses what the contract refuses, so that an adapter that asks wrongly fails.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::ws::{self, Inbox, handshake};

/// What the node does wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LosesOne,
    DoublesOne,
    RefusesOne,
    ClosesOne,
}

#[derive(Debug, Default)]
struct State {
    users: usize,
    members: BTreeSet<String>,
    rooms: BTreeMap<String, Room>,
}

#[derive(Debug, Default)]
struct Room {
    head: u64,
    subscribers: Vec<UnboundedSender<Option<Value>>>,
}

#[derive(Debug)]
pub(super) struct FakeNode {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeNode {
    pub(super) async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                tokio::spawn(serve(stream, Arc::clone(&shared), fault));
            }
        });
        Self { address, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Users in the community.
    pub(super) fn members(&self) -> usize {
        lock(&self.state).members.len()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("the fake does not panic")
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, fault: Fault) {
    let mut begin = [0; 10];
    stream.peek(&mut begin).await.expect("readable");
    if begin == *b"GET /v1/ws" {
        socket(stream, state, fault).await;
    } else {
        rest(stream, &state).await;
    }
}

/// Answers one call and closes.
async fn rest(mut stream: TcpStream, state: &Mutex<State>) {
    let mut asked = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut asked).await.expect("readable") == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&asked).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head
            .split_once("content-length: ")
            .map_or(0, |(_, rest)| rest.lines().next().and_then(|line| line.parse().ok()).unwrap_or(0));
        if body.len() >= length {
            break (head, body.to_owned());
        }
    };
    let token = head.split_once("authorization: bearer ").and_then(|(_, rest)| rest.lines().next());
    let (status, answer) = route(&head, token, serde_json::from_str(&body).unwrap_or_default(), state);
    let answer = answer.to_string();
    let answer =
        format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
    stream.write_all(answer.as_bytes()).await.expect("writable");
}

fn route(head: &str, token: Option<&str>, body: Value, state: &Mutex<State>) -> (u16, Value) {
    let mut state = lock(state);
    let call = head.split(" http/").next().unwrap_or_default();
    let length = |field: &str| body[field].as_str().map_or(0, str::len);
    match (call, token) {
        ("post /v1/auth/register", _) if (3..=32).contains(&length("name")) && length("password") >= 10 => {
            state.users += 1;
            let access = format!("access{}", state.users);
            (201, json!({"user": {}, "access_token": access, "refresh_token": "r", "expires_in": 900}))
        }
        ("post /v1/communities", Some(owner)) if body["public"] == true && length("name") > 0 => {
            state.members.insert(owner.to_owned());
            (201, json!({"id": "c1"}))
        }
        ("put /v1/communities/c1/members/@me", Some(user)) => {
            state.members.insert(user.to_owned());
            (200, json!({}))
        }
        ("post /v1/communities/c1/rooms", Some(_)) if body["kind"] == "text" && length("name") > 0 => {
            let id = format!("ROOM{}", state.rooms.len());
            state.rooms.insert(id.clone(), Room::default());
            (201, json!({"id": id}))
        }
        _ => (400, json!({"error": {"code": "bad_request", "message": call}})),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test sends it no more than a few frames")]
async fn socket(mut stream: TcpStream, state: Arc<Mutex<State>>, fault: Fault) {
    let rest = handshake::answer(&mut stream, Some("hubbub.v1.json")).await.expect("our client");
    let mut inbox = Inbox::default();
    inbox.absorb(&rest);
    let (mut reader, mut writer) = stream.into_split();
    let (queue, mut queued) = unbounded_channel::<Option<Value>>();
    tokio::spawn(async move {
        while let Some(Some(frame)) = queued.recv().await {
            if writer.write_all(&ws::server_text(frame.to_string().as_bytes())).await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    let _ = queue.send(Some(json!({"ev": "hello", "protocol": 1})));
    let mut identified = false;
    let mut bytes = Vec::new();
    loop {
        while let Some((_, text)) = inbox.next().expect("well formed") {
            let request: Value = serde_json::from_slice(&text).expect("JSON");
            answer(&request, &mut identified, &queue, &mut lock(&state), fault);
        }
        bytes.clear();
        if !matches!(reader.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
        inbox.absorb(&bytes);
    }
}

fn answer(
    request: &Value,
    identified: &mut bool,
    queue: &UnboundedSender<Option<Value>>,
    state: &mut State,
    fault: Fault,
) {
    let reply = |body: Value| {
        let mut reply = json!({"re": request["id"]});
        reply.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        let _ = queue.send(Some(reply));
    };
    let refusal = || json!({"error": {"code": "bad_request", "retryable": false}});
    let op = request["op"].as_str().unwrap_or_default();
    if op == "identify" {
        *identified = request["token"].as_str().is_some_and(|token| state.members.contains(token));
        return reply(if *identified { json!({"ok": {"session": "s", "rooms": []}}) } else { refusal() });
    }
    let Some(room) = state.rooms.get_mut(request["room"].as_str().unwrap_or_default()) else {
        return reply(refusal());
    };
    match op {
        "subscribe" if *identified => {
            room.subscribers.push(queue.clone());
            reply(json!({"ok": {"head": room.head}}));
        }
        "send" if *identified && !(fault == Fault::RefusesOne && request["id"] == 20) => {
            room.head += 1;
            reply(json!({"ok": {"seq": room.head}}));
            let push = json!({
                "ev": "room", "room": request["room"], "seq": room.head, "type": "message.created",
                "key": request["key"], "data": {"text": request["text"]}
            });
            for (index, member) in room.subscribers.iter().enumerate() {
                let faulty = request["id"] == 20 && index == 2;
                if faulty && fault == Fault::ClosesOne {
                    let _ = member.send(None);
                }
                if faulty && fault == Fault::DoublesOne {
                    let _ = member.send(Some(push.clone()));
                }
                if !(faulty && fault == Fault::LosesOne) {
                    let _ = member.send(Some(push.clone()));
                }
            }
        }
        _ => reply(refusal()),
    }
}
