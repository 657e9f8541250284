//! Two nodes and what they heard, over either transport.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod heard;
mod worlds;

use std::time::Duration;

use hubbub_cluster::transport::Transport;
use hubbub_protocol::{
    ids::NodeId,
    peer::{Envelope, PeerInbox},
};
use std::sync::Arc;

pub(crate) use heard::{Heard, NEVER, Note, REFUSE, SLOW};
pub(crate) use worlds::{Memory, Quic, port};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A message that is a number.
pub(crate) fn number(n: u32) -> Envelope {
    Envelope { kind: 1, map_version: 0, body: n.to_le_bytes().to_vec().into() }
}

/// Where nodes live.
pub(crate) trait World {
    type Transport: Transport;
    fn new() -> Self;
    fn start(&self, node: NodeId, inbox: Arc<dyn PeerInbox>) -> Self::Transport;
    fn introduce(&self, one: &Self::Transport, other: &Self::Transport);
}

/// Nodes 1 and 2.
pub(crate) struct Pair<W: World> {
    pub(crate) world: W,
    pub(crate) a: W::Transport,
    pub(crate) b: W::Transport,
    pub(crate) heard_a: Arc<Heard>,
    pub(crate) heard_b: Arc<Heard>,
}

impl<W: World> Pair<W> {
    pub(crate) async fn linked() -> Self {
        let world = W::new();
        let (heard_a, heard_b) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let a = world.start(NodeId(1), heard_a.clone());
        let b = world.start(NodeId(2), heard_b.clone());
        let pair = Self { world, a, b, heard_a, heard_b };
        pair.meet().await;
        pair
    }

    async fn meet(&self) {
        self.world.introduce(&self.a, &self.b);
        assert!(self.a.linked(NodeId(2), PATIENCE).await, "a is linked: {:?}", self.a.peers());
        assert!(self.b.linked(NodeId(1), PATIENCE).await, "b is linked: {:?}", self.b.peers());
    }

    /// Node 2 ends without a word and starts again, at another address.
    pub(crate) async fn restart_b(&mut self) {
        self.heard_b = Arc::new(Heard::default());
        self.b = self.world.start(NodeId(2), self.heard_b.clone());
        self.meet().await;
    }
}
