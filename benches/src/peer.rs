//! What the load generator needs of a server: start it, make rooms, join them, and say a text.
//!
//! Everything else (reading pushes, the ledger, the clock) is common, since every peer delivers the same shape of
//! JSON. A peer is one running server; runs that follow each other on it use fresh rooms.

mod accounts;
pub(crate) mod floor;
pub(crate) mod hubbub;
mod rest;

use std::future::Future;

use anyhow::Result;
use uuid::Uuid;

use crate::link::Link;
use crate::ws::Inbox;

/// How a client learns that its message was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    /// A reply carries the request's id.
    Reply,
    /// The sender's own copy of the message is all it gets.
    Echo,
}

pub(crate) trait Peer: Send + Sync + 'static {
    /// The word for it on the command line and in tables.
    const NAME: &'static str;
    const ACKNOWLEDGEMENT: Acknowledgement;
    /// What a client says every 20 s, if the server wants to hear something.
    const HEARTBEAT: Option<&'static str>;

    /// The processes whose CPU time and memory are the server's.
    fn pids(&self) -> Vec<u32>;

    /// Makes `rooms` empty rooms, and whatever `clients` clients need to be let into them.
    fn prepare(&self, rooms: usize, clients: usize) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Connects client number `client` and joins `room`.
    fn join(&self, client: usize, room: &str) -> impl Future<Output = Result<(Link, Inbox)>> + Send;

    /// The text of a frame that says `text` in `room`; `id` is what an answer will refer to.
    fn say(id: u32, room: &str, key: Uuid, text: &str) -> String;

    /// Ends the server and checks that it ended well.
    fn stop(&self) -> impl Future<Output = Result<()>> + Send;
}
