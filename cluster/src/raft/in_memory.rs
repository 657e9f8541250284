//! A network inside one process that can be cut, for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::ids::NodeId;
use parking_lot::Mutex;

use super::{Peer, RaftEar, RaftWire, Urgency, WireError};

#[derive(Default)]
struct Links {
    ears: BTreeMap<NodeId, Arc<dyn RaftEar>>,
    cut: BTreeSet<NodeId>,
}

/// All nodes of a test, and who of them is cut off.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<Mutex<Links>>);

impl Network {
    pub(super) fn plug(&self, node: NodeId, ear: Arc<dyn RaftEar>) {
        self.0.lock().ears.insert(node, ear);
    }

    pub(super) fn unplug(&self, node: NodeId) {
        self.0.lock().ears.remove(&node);
    }

    /// Cuts `nodes` off from all others, and mends every earlier cut.
    pub(super) fn cut(&self, nodes: &[NodeId]) {
        self.0.lock().cut = nodes.iter().copied().collect();
    }

    pub(super) fn wire(&self, from: NodeId) -> Arc<dyn RaftWire> {
        Arc::new(Wire { from, network: self.clone() })
    }
}

struct Wire {
    from: NodeId,
    network: Network,
}

#[async_trait]
impl RaftWire for Wire {
    async fn call(&self, to: NodeId, _: &Peer, _: Urgency, message: Bytes) -> Result<Bytes, WireError> {
        let ear = {
            let links = self.network.0.lock();
            let apart = links.cut.contains(&self.from) != links.cut.contains(&to);
            links.ears.get(&to).filter(|_| !apart).cloned().ok_or(WireError::Unreachable)?
        };
        ear.hear(self.from, message).await.ok_or(WireError::NoAnswer)
    }
}
