//! ejabberd as a peer: rooms (MUC) with their archive (MAM) in PostgreSQL, spoken to by XMPP over WebSocket (RFC 7395).
//!
//! The server is Debian's, started by `benches/peers/ejabberd/serve`; clients sign in by SASL ANONYMOUS. Of XMPP there
//! is as much here as joining a room and talking in it takes.
//!
//! # Invariants
//! - A sender's own copy is all it gets: the room sends it after the archive has the message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use async_trait::async_trait;
use hubbub_tests::postgres;
use tempfile::TempDir;
use tokio::process::Command;
use uuid::Uuid;

use super::{Acknowledgement, Peer, installed};
use crate::link::Link;
use crate::processes::{Part, Role};
use crate::scan::{Heard, find, number_of_text_after, stands_between};
use crate::server::{Server, free_port};
use crate::ws::Inbox;

const PATH: &str = "/ws";
const SUBPROTOCOL: &str = "xmpp";
/// Where ejabberd puts rooms when nobody says otherwise.
const ROOMS: &str = "conference.localhost";

const OPEN: &str = r#"<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>"#;
const AUTH: &str = r#"<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="ANONYMOUS"/>"#;
const BIND: &str = r#"<iq type="set" id="bind"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>"#;

/// Tries of one client to sign in: of the first 9,000 logins tried here one was closed without a reason.
const JOIN_TRIES_MAX: u32 = 3;

#[derive(Debug)]
pub(crate) struct EjabberdPeer {
    server: Server,
    address: SocketAddr,
    database: postgres::Server,
    next_room: AtomicUsize,
    /// Removed when the peer is dropped, after the server has ended.
    _folder: TempDir,
}

impl EjabberdPeer {
    pub(crate) const NAME: &str = "ejabberd";

    pub(crate) async fn start() -> Result<Self> {
        installed::programs(&["ejabberdctl", "erl", "psql"])?;
        let script = installed::source("ejabberd/serve")?;
        let folder = TempDir::with_prefix("hubbub-bench-")?;
        let database = postgres::Server::start();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(script);
        command.arg(folder.path()).args([&address.port().to_string(), database.url()]);
        let server = Server::start_at(Self::NAME, command, address).await?;
        Ok(Self { server, address, database, next_room: AtomicUsize::new(1), _folder: folder })
    }
}

#[async_trait]
impl Peer for EjabberdPeer {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::Echo
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::node(self.server.pid())];
        parts.extend(self.database.pid().map(|pid| Part { role: Role::Database, pid }));
        parts
    }

    async fn prepare(&self, rooms: usize, _clients: usize) -> Result<Vec<String>> {
        let first = self.next_room.fetch_add(rooms, Ordering::Relaxed);
        Ok((first..first + rooms).map(|number| format!("room-{number}@{ROOMS}")).collect())
    }

    async fn join(&self, client: usize, _place: usize, room: &str) -> Result<(Link, Inbox)> {
        let mut tries = 1;
        loop {
            match enter(self.address, client, room).await {
                Err(_) if tries < JOIN_TRIES_MAX => tries += 1,
                entered => return entered,
            }
        }
    }

    fn say(&self, id: u32, room: &str, _key: Uuid, text: &str) -> String {
        format!(r#"<message to="{room}" type="groupchat" id="{id}"><body>{text}</body></message>"#)
    }

    fn hear(&self, frame: &[u8], room: &str) -> Heard {
        hear(frame, room)
    }

    async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }
}

/// Signs in and enters `room`.
async fn enter(address: SocketAddr, client: usize, room: &str) -> Result<(Link, Inbox)> {
    let (link, mut inbox) = Link::open(address, PATH, Some(SUBPROTOCOL)).await?;
    link.send_text(OPEN).await?;
    link.heard_text(&mut inbox, |frame| frame.starts_with(b"<stream:features")).await?;
    link.send_text(AUTH).await?;
    link.heard_text(&mut inbox, |frame| frame.starts_with(b"<success")).await?;
    link.send_text(OPEN).await?;
    link.heard_text(&mut inbox, |frame| frame.starts_with(b"<stream:features")).await?;
    link.send_text(BIND).await?;
    link.heard_text(&mut inbox, |frame| find(frame, b"<jid>").is_some()).await?;
    let nick = format!("member-{client}");
    link.send_text(&format!(
        r#"<presence to="{room}/{nick}"><x xmlns="http://jabber.org/protocol/muc"><history maxstanzas="0"/></x></presence>"#
    ))
    .await?;
    // The subject is the last thing that somebody who enters is told.
    link.heard_text(&mut inbox, |frame| find(frame, b"<subject").is_some()).await?;
    Ok((link, inbox))
}

fn hear(frame: &[u8], room: &str) -> Heard {
    if !frame.starts_with(b"<message") {
        return Heard::Other;
    }
    let Some(number) = number_of_text_after(frame, b"<body>") else { return Heard::Other };
    // A stanza of an error repeats the text, to its sender alone.
    if find(frame, b"type='error'").is_some() {
        return Heard::Reply { id: number, ok: false };
    }
    Heard::Message { seq: None, number, own_room: stands_between(frame, b"from='", b'/', room) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::text_of;

    const ROOM: &str = "room-1@conference.localhost";

    fn stanza(room: &str, kind: &str) -> String {
        let text = text_of(7, 40);
        format!(
            "<message xmlns='jabber:client' to='a@localhost/b' from='{room}/c' type='{kind}' id='7'><stanza-id by='{room}' id='9' xmlns='urn:xmpp:sid:0'/><body>{text}</body></message>"
        )
    }

    #[test]
    fn messages_errors_and_the_rest_are_told_apart() {
        let heard = |frame: &str| hear(frame.as_bytes(), ROOM);
        assert_eq!(heard(&stanza(ROOM, "groupchat")), Heard::Message { seq: None, number: 7, own_room: true });
        let other = stanza("room-10@conference.localhost", "groupchat");
        assert_eq!(heard(&other), Heard::Message { seq: None, number: 7, own_room: false });
        assert_eq!(heard(&stanza(ROOM, "error")), Heard::Reply { id: 7, ok: false });
        assert_eq!(heard("<message type='groupchat'><subject/></message>"), Heard::Other);
        assert_eq!(heard("<presence from='x'/>"), Heard::Other);
    }
}
