//! The floor program as a peer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use async_trait::async_trait;
use tokio::process::Command;
use uuid::Uuid;

use super::{Acknowledgement, Peer};
use crate::floor::wire;
use crate::link::Link;
use crate::processes::Part;
use crate::server::{Server, free_port};
use crate::ws::Inbox;

#[derive(Debug)]
pub(crate) struct FloorPeer {
    server: Server,
    address: SocketAddr,
    next_room: AtomicU32,
}

impl FloorPeer {
    /// The word for it, by which others are compared with it.
    pub(crate) const NAME: &str = "floor";

    /// Starts this very program's `floor` in a process of its own.
    pub(crate) async fn start() -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(["floor", "--listen", &address.to_string()]);
        Ok(Self { server: Server::start(Self::NAME, command).await?, address, next_room: AtomicU32::new(1) })
    }
}

/// The floor's only request that is no joining: what a client says in a room.
fn say(room: &str, key: Uuid, text: &str) -> String {
    wire::send(room, &key.to_string(), text)
}

#[async_trait]
impl Peer for FloorPeer {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::Echo
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::node(self.server.pid())]
    }

    async fn prepare(&self, rooms: usize, _clients: usize) -> Result<Vec<String>> {
        let count = u32::try_from(rooms).context("that many rooms have no numbers")?;
        let first = self.next_room.fetch_add(count, Ordering::Relaxed);
        Ok((first..first + count).map(wire::room_name).collect())
    }

    async fn join(&self, _client: usize, _place: usize, room: &str) -> Result<(Link, Inbox)> {
        let (link, mut inbox) = Link::open(self.address, "/", None).await?;
        let number = room.parse().context("a room's name is its number")?;
        link.request(&mut inbox, 0, &wire::join(number)).await?;
        Ok((link, inbox))
    }

    fn say(&self, _id: u32, room: &str, key: Uuid, text: &str) -> String {
        say(room, key, text)
    }

    async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::wire::{Request, request};

    #[test]
    fn what_the_peer_says_the_floor_understands() {
        let said = say(&wire::room_name(12), Uuid::nil(), "a b");
        let key = Uuid::nil().to_string();
        assert_eq!(request(said.as_bytes()), Some(Request::Send { room: 12, key: &key, text: "a b" }));
    }
}
