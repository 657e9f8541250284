//! What the load generator needs of a server: start it, make rooms, join them, say a text, and understand what it says.
//!
//! Everything else (reading pushes, the ledger, the clock) is common. A peer is one running server, of one process or
//! of many; runs that follow each other on it use fresh rooms. A new peer is a [`Kind`], a file below `peer/` and an
//! arm of [`start`].

pub(crate) mod accounts;
mod ejabberd;
pub(crate) mod floor;
pub(crate) mod hubbub;
mod installed;
mod rest;
mod socketio;
mod spec;

use std::fmt::Debug;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use uuid::Uuid;

pub(crate) use self::spec::{Kind, Spec};
use crate::cli::NodeArgs;
use crate::link::Link;
use crate::processes::Part;
use crate::scan::{self, Heard};
use crate::ws::Inbox;

/// How a client learns that its message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    /// A reply carries the request's id.
    Reply,
    /// The sender's own copy of the message is all it gets.
    Echo,
}

#[async_trait]
pub(crate) trait Peer: Send + Sync + Debug + 'static {
    /// The word for it on the command line and in tables, with its settings.
    fn name(&self) -> &str;

    fn acknowledgement(&self) -> Acknowledgement;

    /// What a client says every 20 s, if the server wants to hear something.
    fn heartbeat(&self) -> Option<&'static str> {
        None
    }

    /// The processes whose CPU time and memory are the server's.
    fn parts(&self) -> Vec<Part>;

    /// Makes `rooms` empty rooms, and whatever `clients` clients need to be let into them.
    async fn prepare(&self, rooms: usize, clients: usize) -> Result<Vec<String>>;

    /// Connects client number `client` and joins `room`. `place` says to which of the server's nodes: it counts on
    /// beyond their number, and the members of a room have places that follow each other.
    async fn join(&self, client: usize, place: usize, room: &str) -> Result<(Link, Inbox)>;

    /// The text of a frame that says `text` in `room`; `id` is what an answer will refer to.
    fn say(&self, id: u32, room: &str, key: Uuid, text: &str) -> String;

    /// What a text frame meant to a client in `room`. Called for every frame, so it must cost little.
    fn hear(&self, frame: &[u8], room: &str) -> Heard {
        scan::hear(frame, room)
    }

    /// Ends the server and checks that it ended well.
    async fn stop(&self) -> Result<()>;
}

/// Starts the server that `spec` names, empty.
pub(crate) async fn start(spec: &Spec, node: &NodeArgs) -> Result<Arc<dyn Peer>> {
    Ok(match spec.kind {
        Kind::Floor => Arc::new(floor::FloorPeer::start().await?),
        Kind::Hubbub | Kind::HubbubPg | Kind::Hubbub2 | Kind::Hubbub3 => {
            Arc::new(hubbub::HubbubPeer::start(spec, &node.binary()?).await?)
        }
        Kind::SocketIo => Arc::new(socketio::SocketIoPeer::start("socketio", 1).await?),
        Kind::SocketIo2 => Arc::new(socketio::SocketIoPeer::start("socketio2", 2).await?),
        Kind::Ejabberd => Arc::new(ejabberd::EjabberdPeer::start().await?),
    })
}
