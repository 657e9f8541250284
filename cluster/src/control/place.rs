//! Which node orders which shard.

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};
use serde::{Deserialize, Serialize};

/// Most moves in one command: 512 × 20 bytes are 10 KB, one small write to the log.
pub const MOVES_MAX: usize = 512;

/// Whether a shard stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Nobody is moving it.
    Stable,
    /// Its owner is handing it over.
    Moving {
        /// The owner to be.
        to: NodeId,
    },
}

/// One shard: its owner, and the epoch under which the owner may append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPlace {
    /// The node that orders it.
    pub owner: NodeId,
    /// Grows with every change of owner and every new activation.
    pub epoch: Epoch,
    /// Whether it is being handed over.
    pub place: Place,
    /// The database that holds its log.
    pub cell: u16,
}

impl ShardPlace {
    /// The same shard under `owner`, at the next epoch.
    #[must_use]
    pub const fn given_to(self, owner: NodeId) -> Self {
        Self { owner, epoch: self.epoch.next(), place: Place::Stable, cell: self.cell }
    }
}

/// A shard whose owner wants a fresh epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The shard.
    pub shard: ShardId,
    /// Its epoch as far as the owner knows; a renewal of an older epoch does nothing.
    pub epoch: Epoch,
    /// The epoch in the database's fence, which a node without a cluster may have set. The next one is above it.
    pub floor: Epoch,
}

impl Renewal {
    /// The epoch it brings.
    #[must_use]
    pub fn renewed(&self) -> Epoch {
        self.epoch.max(self.floor).next()
    }
}

/// Highest epoch that a renewal may start from. A fence beyond it was not written by us; the databases keep 63 bits.
pub const FLOOR_MAX: Epoch = Epoch(1 << 62);

/// A shard that is to change its owner, or to be activated again by the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMove {
    /// The shard.
    pub shard: ShardId,
    /// Its epoch as far as the proposer knows; a move of an older epoch does nothing.
    pub epoch: Epoch,
    /// The owner to be.
    pub to: NodeId,
}
