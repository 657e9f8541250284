//! A cluster of one: this node orders every shard.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    peer::Eventually,
    ports::{Placed, Placement},
    shard::{ShardBits, ShardId},
};

/// The number of the only node.
const ONLY: NodeId = NodeId(1);

/// Places everything on this node.
#[derive(Debug)]
pub struct SingleNode {
    bits: ShardBits,
    given: Mutex<HashMap<ShardId, Epoch>>,
}

impl SingleNode {
    /// A node that orders 2^`bits` shards.
    #[must_use]
    pub fn new(bits: ShardBits) -> Self {
        Self { bits, given: Mutex::default() }
    }

    fn given(&self) -> MutexGuard<'_, HashMap<ShardId, Epoch>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Placement for SingleNode {
    fn this_node(&self) -> NodeId {
        ONLY
    }

    fn shard_bits(&self) -> ShardBits {
        self.bits
    }

    fn place(&self, shard: ShardId) -> Placed {
        let epoch = self.given().get(&shard).copied().unwrap_or_default();
        Placed { owner: ONLY, epoch, moving: false }
    }

    fn map_version(&self) -> u64 {
        1
    }

    fn others(&self) -> Arc<[NodeId]> {
        Arc::from([])
    }

    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Eventually<Option<Epoch>> {
        let mut given = self.given();
        let newest = given.entry(shard).or_default();
        *newest = (*newest).max(stored).next();
        Box::pin(std::future::ready(Some(*newest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn epochs_rise_whatever_the_fence_says() {
        let node = SingleNode::new(ShardBits::new(6));
        for (stored, fresh) in [(0, 1), (5, 6), (3, 7), (3, 8)] {
            assert_eq!(node.fresh_epoch(ShardId(1), Epoch(stored)).await, Some(Epoch(fresh)));
            assert_eq!(node.place(ShardId(1)).epoch, Epoch(fresh));
        }
        assert_eq!(node.fresh_epoch(ShardId(2), Epoch(0)).await, Some(Epoch(1)));
    }
}
