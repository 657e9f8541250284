//! A cluster of one: this node orders every shard.

use std::{collections::HashMap, sync::Mutex};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    ports::Placement,
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
}

impl Placement for SingleNode {
    fn this_node(&self) -> NodeId {
        ONLY
    }

    fn shard_bits(&self) -> ShardBits {
        self.bits
    }

    fn owner(&self, _shard: ShardId) -> NodeId {
        ONLY
    }

    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Epoch {
        let mut given = self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let newest = given.entry(shard).or_default();
        *newest = (*newest).max(stored).next();
        *newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_rise_whatever_the_fence_says() {
        let node = SingleNode::new(ShardBits::new(6));
        let epochs = [0, 5, 3, 3].map(|stored| node.fresh_epoch(ShardId(1), Epoch(stored)));
        assert_eq!(epochs, [Epoch(1), Epoch(6), Epoch(7), Epoch(8)]);
        assert_eq!(node.fresh_epoch(ShardId(2), Epoch(0)), Epoch(1));
    }
}
