//! A [`Transport`](super::Transport) between nodes of one process, for tests and simulation: no sockets, no certificates, no clock but
//! tokio's, and faults on demand.
//!
//! Frames are encoded and decoded as on a socket, and pass the same queues and the same links. Addresses mean nothing:
//! nodes find each other by number. A cut breaks links at once, where a socket needs
//! [`LINK_SILENCE_MAX`](super::limits::LINK_SILENCE_MAX) to notice.

mod node;
mod pair;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use hubbub_protocol::{ids::NodeId, peer::PeerInbox};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::sync::watch;

pub use node::MemoryTransport;
use node::Node;

/// Nodes that reach each other, as far as nothing is cut.
#[derive(Debug, Clone)]
pub struct MemoryNetwork(Arc<Network>);

#[derive(Debug)]
struct Network {
    state: Mutex<State>,
    /// Counts what may let a link be made: joins, heals, links that ended.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<NodeId, Weak<Node>>,
    runs: u64,
    cuts: BTreeSet<(NodeId, NodeId)>,
    paired: BTreeSet<(NodeId, NodeId)>,
    latency: Duration,
    whisper_loss: f64,
    chance: SmallRng,
}

const fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    if one.0 < other.0 { (one, other) } else { (other, one) }
}

impl MemoryNetwork {
    /// A network without faults. `seed` decides which whispers are lost, once some are to be.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            nodes: BTreeMap::new(),
            runs: 0,
            cuts: BTreeSet::new(),
            paired: BTreeSet::new(),
            latency: Duration::ZERO,
            whisper_loss: 0.0,
            chance: SmallRng::seed_from_u64(seed),
        };
        Self(Arc::new(Network { state: Mutex::new(state), changes: watch::Sender::new(0) }))
    }

    /// Node `me` starts, as a new run. What arrives for it goes to `inbox`.
    #[must_use]
    pub fn join(&self, me: NodeId, inbox: Arc<dyn PeerInbox>) -> MemoryTransport {
        let mut state = self.0.state.lock();
        state.runs += 1;
        let node = Node::new(me, state.runs, inbox, self.0.clone());
        state.nodes.insert(me, Arc::downgrade(&node));
        drop(state);
        self.0.changed();
        MemoryTransport(node)
    }

    /// Breaks what links two nodes, and lets no new link be made.
    pub fn cut(&self, one: NodeId, other: NodeId) {
        let ends = {
            let mut state = self.0.state.lock();
            state.cuts.insert(pair(one, other));
            [state.node(one), state.node(other)]
        };
        for (node, peer) in ends.into_iter().zip([other, one]) {
            node.inspect(|node| node.links.end(peer));
        }
    }

    /// Takes all cuts back.
    pub fn heal(&self) {
        self.0.state.lock().cuts.clear();
        self.0.changed();
    }

    /// How long each batch of frames is on its way.
    pub fn set_latency(&self, latency: Duration) {
        self.0.state.lock().latency = latency;
    }

    /// The share of whispers that are lost, from 0 to 1.
    pub fn set_whisper_loss(&self, share: f64) {
        self.0.state.lock().whisper_loss = share.clamp(0.0, 1.0);
    }
}

impl State {
    fn node(&self, node: NodeId) -> Option<Arc<Node>> {
        self.nodes.get(&node).and_then(Weak::upgrade)
    }
}

impl Network {
    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn latency(&self) -> Duration {
        self.state.lock().latency
    }

    fn loses_a_whisper(&self) -> bool {
        let mut state = self.state.lock();
        let share = state.whisper_loss;
        share > 0.0 && state.chance.random_bool(share)
    }
}
