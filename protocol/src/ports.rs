//! Where `actors` and the outside world meet: each port is a trait that `node` fills in.

use std::{fmt::Debug, sync::Arc};

use crate::{
    ids::{Epoch, NodeId},
    peer::Eventually,
    shard::{ShardBits, ShardId},
    time::Timestamp,
};

/// Tells the time. Rules take a [`Timestamp`] as an argument; only shells hold a clock.
pub trait Clock: Send + Sync + Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Where a shard is, as one node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The node that orders it.
    pub owner: NodeId,
    /// The epoch under which that node may append.
    pub epoch: Epoch,
    /// Whether it is being handed over: its owner admits nothing more.
    pub moving: bool,
}

/// Says which node orders which shard. What it says may be old: the fence in the store decides.
pub trait Placement: Send + Sync + Debug {
    /// The node this process is.
    fn this_node(&self) -> NodeId;
    /// How many shards there are.
    fn shard_bits(&self) -> ShardBits;
    /// Where `shard` is, as far as this node knows.
    fn place(&self, shard: ShardId) -> Placed;
    /// The version of the map that [`Placement::place`] answers from; it only grows.
    fn map_version(&self) -> u64;
    /// The other members that are not down, to be told of what concerns every node.
    fn others(&self) -> Arc<[NodeId]>;
    /// An epoch for a new activation of `shard` on this node, higher than `stored`, the one in the fence, and than
    /// any this port gave before. `None` when the shard is another node's, or when nobody can say within a few
    /// seconds.
    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Eventually<Option<Epoch>>;
}

/// The actors of this node, as the keeper of the map speaks to them.
pub trait Resident: Send + Sync + Debug {
    /// The map says something new of these shards. It must not block.
    fn map_changed(&self, shards: &[ShardId]);
    /// Admits nothing more for these shards, which this node orders and is to hand over; done when everything
    /// admitted before is settled. Until the map says something new of a shard, what is asked of it waits.
    fn let_go(&self, shards: Vec<ShardId>) -> Eventually<()>;
}
