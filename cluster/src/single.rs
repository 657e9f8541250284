//! A cluster of one: this node orders every shard.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
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
    /// The newest epoch given out for each shard.
    given: Vec<AtomicU64>,
}

impl SingleNode {
    /// A node that orders 2^`bits` shards.
    #[must_use]
    pub fn new(bits: ShardBits) -> Self {
        Self { bits, given: (0..bits.count()).map(|_| AtomicU64::new(0)).collect() }
    }

    fn given(&self, shard: ShardId) -> &AtomicU64 {
        &self.given[usize::try_from(shard.0).unwrap_or(0) % self.given.len()]
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
        let epoch = Epoch(self.given(shard).load(Ordering::Acquire));
        Placed { owner: ONLY, epoch, moving: false }
    }

    fn map_version(&self) -> u64 {
        1
    }

    fn others(&self) -> Arc<[NodeId]> {
        Arc::from([])
    }

    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Eventually<Option<Epoch>> {
        let next = |newest: u64| Some(newest.max(stored.0) + 1);
        let before = self.given(shard).fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let fresh = before.ok().and_then(next).map(Epoch);
        Box::pin(std::future::ready(fresh))
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
