//! A Socket.IO server as a peer: what many would write first, with rooms, PostgreSQL, and Redis between processes.
//!
//! The server is `benches/peers/socketio/server.cjs`; this side speaks Engine.IO 4 and Socket.IO 5 by hand, over
//! WebSocket alone.
//!
//! # Invariants
//! - Its messages carry no number of the room's, so only the order between one sender's messages, and that all members
//!   saw one order, is judged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use hubbub_tests::postgres;
use tempfile::TempDir;
use tokio::process::Command;
use uuid::Uuid;

use super::{Acknowledgement, Peer, installed};
use crate::link::Link;
use crate::processes::{Part, Role};
use crate::scan::{Heard, find, number_after, number_of_text_after, stands_between};
use crate::server::{Server, free_port};
use crate::ws::Inbox;

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// Id of the request that joins, above every message's number.
const JOIN: u32 = u32::MAX - 1;

/// Engine.IO's `message`, Socket.IO's `connect`.
const CONNECT: &str = "40";
/// Engine.IO's `message`, Socket.IO's `event`; the request's id follows.
const EVENT: &str = "42";
/// Engine.IO's `message`, Socket.IO's `ack`; the request's id follows.
const ACK: &[u8] = b"43";
/// How a message of a room begins.
const MESSAGE: &[u8] = br#"42["message","#;
/// Engine.IO's `pong`. Said unasked every 20 s it starts the server's 25 s anew, so that no `ping` comes.
const PONG: &str = "3";

#[derive(Debug)]
pub(crate) struct SocketIoPeer {
    name: &'static str,
    servers: Vec<(Server, SocketAddr)>,
    redis: Server,
    database: postgres::Server,
    next_room: AtomicUsize,
    /// Removed when the peer is dropped, after its servers have ended.
    _folder: TempDir,
}

impl SocketIoPeer {
    /// Starts it with `processes` processes that share rooms through Redis.
    pub(crate) async fn start(name: &'static str, processes: usize) -> Result<Self> {
        installed::programs(&["node", "redis-server"])?;
        let modules = installed::below_target("socketio/node_modules")?;
        let program = installed::source("socketio/server.cjs")?;
        let folder = TempDir::with_prefix("hubbub-bench-")?;
        let database = postgres::Server::start();
        let (redis, cache) = installed::redis(folder.path()).await?;
        let mut servers = Vec::with_capacity(processes);
        for _ in 0..processes {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
            let mut command = Command::new("node");
            command.arg(&program).arg(address.port().to_string());
            command.args([database.url(), &format!("redis://{cache}")]);
            command.env("NODE_PATH", &modules).env("NODE_ENV", "production");
            servers.push((Server::start(name, command).await?, address));
        }
        Ok(Self { name, servers, redis, database, next_room: AtomicUsize::new(1), _folder: folder })
    }
}

#[async_trait]
impl Peer for SocketIoPeer {
    fn name(&self) -> &str {
        self.name
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::Reply
    }

    fn heartbeat(&self) -> Option<&'static str> {
        Some(PONG)
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = self.servers.iter().map(|(server, _)| Part::node(server.pid())).collect();
        parts.push(Part { role: Role::Cache, pid: self.redis.pid() });
        parts.extend(self.database.pid().map(|pid| Part { role: Role::Database, pid }));
        parts
    }

    async fn prepare(&self, rooms: usize, _clients: usize) -> Result<Vec<String>> {
        let first = self.next_room.fetch_add(rooms, Ordering::Relaxed);
        Ok((first..first + rooms).map(|number| format!("room-{number}")).collect())
    }

    async fn join(&self, _client: usize, place: usize, room: &str) -> Result<(Link, Inbox)> {
        let (_, address) = self.servers.get(place % self.servers.len()).context("there is no server")?;
        let (link, mut inbox) = Link::open(*address, PATH, None).await?;
        link.heard_text(&mut inbox, |frame| frame.starts_with(b"0{")).await?;
        link.send_text(CONNECT).await?;
        link.heard_text(&mut inbox, |frame| frame.starts_with(b"40{")).await?;
        link.send_text(&format!(r#"{EVENT}{JOIN}["join","{room}"]"#)).await?;
        let answer = link.heard_text(&mut inbox, |frame| frame.starts_with(ACK)).await?;
        ensure!(hear(&answer, room) == Heard::Reply { id: JOIN, ok: true }, "the room was not joined");
        Ok((link, inbox))
    }

    fn say(&self, id: u32, room: &str, _key: Uuid, text: &str) -> String {
        send(id, room, text)
    }

    fn hear(&self, frame: &[u8], room: &str) -> Heard {
        hear(frame, room)
    }

    async fn stop(&self) -> Result<()> {
        for (server, _) in &self.servers {
            server.stop().await?;
        }
        self.redis.stop().await
    }
}

fn send(id: u32, room: &str, text: &str) -> String {
    format!(r#"{EVENT}{id}["send",{{"room":"{room}","text":"{text}"}}]"#)
}

fn hear(frame: &[u8], room: &str) -> Heard {
    if frame.starts_with(ACK) {
        let id = number_after(frame, ACK).and_then(|id| u32::try_from(id).ok()).unwrap_or(u32::MAX);
        return Heard::Reply { id, ok: find(frame, b"\"ok\":").is_some() };
    }
    if !frame.starts_with(MESSAGE) {
        return Heard::Other;
    }
    let own_room = stands_between(frame, b"\"room\":\"", b'"', room);
    number_of_text_after(frame, b"\"text\":\"").map_or(Heard::Other, |number| Heard::Message {
        seq: None,
        number,
        own_room,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::text_of;

    #[test]
    fn messages_answers_and_the_rest_are_told_apart() {
        let message = |room: &str| {
            format!(r#"42["message",{{"id":"9","room":"{room}","author":"x","text":"{}"}}]"#, text_of(7, 40))
        };
        let heard = |frame: &str| hear(frame.as_bytes(), "room-1");
        assert_eq!(heard(&message("room-1")), Heard::Message { seq: None, number: 7, own_room: true });
        assert_eq!(heard(&message("room-10")), Heard::Message { seq: None, number: 7, own_room: false });
        assert_eq!(heard(r#"4312[{"ok":true,"id":"9"}]"#), Heard::Reply { id: 12, ok: true });
        assert_eq!(heard(r#"4312[{"error":"not stored"}]"#), Heard::Reply { id: 12, ok: false });
        assert_eq!(heard("2"), Heard::Other);
    }

    #[test]
    fn a_send_is_an_event_that_wants_an_answer() {
        assert_eq!(send(12, "room-1", "hi"), r#"4212["send",{"room":"room-1","text":"hi"}]"#);
    }
}
