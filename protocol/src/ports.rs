//! Where `actors` and the outside world meet: each port is a trait that `node` fills in.

use std::fmt::Debug;

use crate::{
    ids::{Epoch, NodeId},
    shard::{ShardBits, ShardId},
    time::Timestamp,
};

/// Tells the time. Rules take a [`Timestamp`] as an argument; only shells hold a clock.
pub trait Clock: Send + Sync + Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Says which node orders which shard.
pub trait Placement: Send + Sync + Debug {
    /// The node this process is.
    fn this_node(&self) -> NodeId;
    /// How many shards there are.
    fn shard_bits(&self) -> ShardBits;
    /// The owner of `shard`, as far as this node knows.
    fn owner(&self, shard: ShardId) -> NodeId;
    /// An epoch for a new activation of `shard` on this node, higher than `stored`, the one in the
    /// fence, and than any this port gave before.
    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Epoch;
}
