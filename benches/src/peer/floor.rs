//! The floor program as a peer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tokio::process::Command;
use uuid::Uuid;

use super::{Acknowledgement, Peer};
use crate::floor::wire;
use crate::link::Link;
use crate::server::{Server, free_port};
use crate::ws::Inbox;

#[derive(Debug)]
pub(crate) struct FloorPeer {
    server: Server,
    address: SocketAddr,
    next_room: AtomicU32,
}

impl FloorPeer {
    /// Starts this very program's `floor` in a process of its own.
    pub(crate) async fn start() -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(["floor", "--listen", &address.to_string()]);
        Ok(Self { server: Server::start(Self::NAME, command).await?, address, next_room: AtomicU32::new(1) })
    }
}

impl Peer for FloorPeer {
    const NAME: &'static str = "floor";
    const ACKNOWLEDGEMENT: Acknowledgement = Acknowledgement::Echo;
    const HEARTBEAT: Option<&'static str> = None;

    fn pids(&self) -> Vec<u32> {
        vec![self.server.pid()]
    }

    async fn prepare(&self, rooms: usize, _clients: usize) -> Result<Vec<String>> {
        let count = u32::try_from(rooms).context("that many rooms have no numbers")?;
        let first = self.next_room.fetch_add(count, Ordering::Relaxed);
        Ok((first..first + count).map(wire::room_name).collect())
    }

    async fn join(&self, _client: usize, room: &str) -> Result<(Link, Inbox)> {
        let (link, mut inbox) = Link::open(self.address, "/", None).await?;
        let number = room.parse().context("a room's name is its number")?;
        link.request(&mut inbox, 0, &wire::join(number)).await?;
        Ok((link, inbox))
    }

    fn say(_id: u32, room: &str, key: Uuid, text: &str) -> String {
        wire::send(room, &key.to_string(), text)
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
        let said = FloorPeer::say(1, &wire::room_name(12), Uuid::nil(), "a b");
        let key = Uuid::nil().to_string();
        assert_eq!(request(said.as_bytes()), Some(Request::Send { room: 12, key: &key, text: "a b" }));
    }
}
