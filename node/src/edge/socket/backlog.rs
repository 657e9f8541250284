//! What waits for a socket, as its connection's task sees it.

use tokio::time::Instant;

use super::Socket;

/// What the connection's task has to know before it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Something waits to be written.
    pub has_more: bool,
    /// Too many answers wait: read nothing.
    pub is_clogged: bool,
    /// When the client counts as too slow, if nothing changes.
    pub stuck_at: Option<Instant>,
}

impl Socket {
    /// Gives back memory that an idle connection does not need; called at each heartbeat.
    pub fn rest(&self) {
        self.writing.lock().outbox.rest();
    }

    /// How much waits.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let writing = self.writing.lock();
        let has_more = writing.outbox.has_more() || self.stream.has_more();
        let is_clogged = writing.outbox.is_clogged();
        Backlog { has_more, is_clogged, stuck_at: writing.stuck_at() }
    }
}
