//! One node of a network in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::NodeId,
    peer::{AskError, Class, Envelope, Eventually, Lane, PeerBus, PeerInbox, SendError},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    super::{PeerStatus, Transport, links::Links},
    Network, pair,
};

#[derive(Debug)]
pub(super) struct Node {
    pub(super) me: NodeId,
    pub(super) incarnation: u64,
    pub(super) links: Arc<Links>,
    pub(super) closed: CancellationToken,
    network: Arc<Network>,
    known: Mutex<BTreeMap<NodeId, CancellationToken>>,
    revoked: Mutex<BTreeSet<NodeId>>,
}

/// A node's transport in memory. Dropping it ends the node, as a kill does.
#[derive(Debug)]
pub struct MemoryTransport(pub(super) Arc<Node>);

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Node {
    pub(super) fn new(me: NodeId, incarnation: u64, inbox: Arc<dyn PeerInbox>, network: Arc<Network>) -> Arc<Self> {
        Arc::new(Self {
            me,
            incarnation,
            links: Links::new(me, inbox),
            closed: CancellationToken::new(),
            network,
            known: Mutex::default(),
            revoked: Mutex::default(),
        })
    }

    fn end(&self) {
        self.closed.cancel();
        self.links.end_all();
    }

    /// Links to `peer` whenever that can be, until `forgotten`.
    async fn keep_linked(self: Arc<Self>, peer: NodeId, forgotten: CancellationToken) {
        let mut changes = self.network.changes.subscribe();
        loop {
            self.try_link(peer);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = forgotten.cancelled() => return,
                () = self.closed.cancelled() => return,
            }
        }
    }

    fn try_link(self: &Arc<Self>, peer: NodeId) {
        let other = {
            let mut state = self.network.state.lock();
            let Some(other) = state.node(peer) else { return };
            let closed = self.closed.is_cancelled() || other.closed.is_cancelled();
            let refused = closed || self.refuses(peer) || other.refuses(self.me);
            let key = pair(self.me, peer);
            if refused || state.cuts.contains(&key) || !state.paired.insert(key) {
                return;
            }
            other
        };
        super::pair::link(self.network.clone(), self.clone(), other);
    }

    fn refuses(&self, peer: NodeId) -> bool {
        self.revoked.lock().contains(&peer)
    }
}

impl PeerBus for MemoryTransport {
    fn this_node(&self) -> NodeId {
        self.0.me
    }

    fn cast(&self, to: NodeId, lane: Lane, envelope: Envelope) -> Result<(), SendError> {
        self.0.links.cast(to, lane, envelope)
    }

    fn ask(
        &self,
        to: NodeId,
        lane: Lane,
        envelope: Envelope,
        timeout: Duration,
    ) -> Eventually<Result<Envelope, AskError>> {
        self.0.links.ask(to, lane, envelope, timeout)
    }

    fn whisper(&self, to: NodeId, envelope: Envelope) -> Result<(), SendError> {
        self.0.links.whisper(to, envelope)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn know(&self, peer: NodeId, _addresses: Vec<SocketAddr>) {
        let forgotten = CancellationToken::new();
        let mut known = self.0.known.lock();
        if peer != self.0.me && !known.contains_key(&peer) {
            known.insert(peer, forgotten.clone());
            tokio::spawn(self.0.clone().keep_linked(peer, forgotten));
        }
    }

    fn forget(&self, peer: NodeId) {
        if let Some(forgotten) = self.0.known.lock().remove(&peer) {
            forgotten.cancel();
        }
        self.0.links.end(peer);
    }

    fn revoke(&self, peer: NodeId) {
        self.0.revoked.lock().insert(peer);
        self.forget(peer);
    }

    async fn linked(&self, peer: NodeId, timeout: Duration) -> bool {
        self.0.links.wait_linked(peer, timeout).await
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let mut nodes: BTreeSet<NodeId> = self.0.known.lock().keys().copied().collect();
        nodes.extend(self.0.links.peers());
        nodes.into_iter().map(|node| self.0.links.status(node, None)).collect()
    }

    fn refused(&self) -> [u64; Class::ALL.len()] {
        self.0.links.refused()
    }

    async fn close(&self) {
        self.0.end();
        self.0.links.end_and_wait().await;
    }
}
