//! The facts themselves, and questions to them.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_protocol::{
    ids::NodeId,
    shard::{ShardBits, ShardId},
};
use serde::{Deserialize, Serialize};

use super::{
    command::Answer,
    member::{ELECTION_SLOTS, ID_SLOTS, Member},
    place::ShardPlace,
    token::{Token, TokenId},
};

/// Proposers whose last answer is kept. One is an operator's command or a node's leader task; the one that has been
/// silent longest is forgotten first.
pub const PROPOSERS_MAX: usize = 1_024;
/// Settings there may be, and the longest name or value, in bytes.
pub const SETTINGS_MAX: usize = 256;
/// See [`SETTINGS_MAX`].
pub const SETTING_BYTES_MAX: usize = 4_096;
/// Databases there may be.
pub const CELLS_MAX: usize = 256;

/// The certificate authority: roots that are trusted, and the key that signs, sealed under a file that only nodes
/// that may vote have.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaFacts {
    /// Certificates in DER: one, or two while a root is replaced by the next.
    pub roots: Vec<Vec<u8>>,
    /// The signing key as ciphertext.
    pub sealed_key: Vec<u8>,
}

impl std::fmt::Debug for CaFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaFacts({} roots)", self.roots.len())
    }
}

impl CaFacts {
    /// One root or two of at most 4 KiB each, and a key of at most 4 KiB.
    #[must_use]
    pub fn in_bounds(&self) -> bool {
        (1..=2).contains(&self.roots.len())
            && self.roots.iter().all(|root| root.len() <= 4_096)
            && self.sealed_key.len() <= 4_096
    }
}

/// A database that holds the logs of some shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The name of the connection string in each node's configuration; never the string itself.
    pub reference: String,
    /// Grows when the database may have lost commits, as after an unsynchronised failover.
    pub generation: u64,
}

/// Settings that hold for the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Counts the changes.
    pub version: u64,
    /// Name to value.
    pub values: BTreeMap<String, String>,
}

/// The last answer a proposer has had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The number of the request.
    pub n: u64,
    /// What it came to.
    pub answer: Answer,
    /// The log index at which, to know who has been silent longest.
    pub index: u64,
}

/// All that the cluster agrees on. Empty until [`Command::Found`](super::Command::Found).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Control {
    /// The cluster's own number; 0 before it is founded.
    pub cluster: u128,
    /// See [`ShardBits`].
    pub shard_bits: u8,
    /// The format version that every node may use.
    pub active_version: u32,
    /// The members by number.
    pub members: BTreeMap<NodeId, Member>,
    /// The shards, by number.
    pub shards: Vec<ShardPlace>,
    /// Counts the commands that changed what every node must know: `shards`, `members`, `revoked`, the roots and the
    /// format version.
    pub map_version: u64,
    /// The databases.
    pub cells: BTreeMap<u16, Cell>,
    /// The certificate authority.
    pub ca: CaFacts,
    /// Nodes that were removed: their certificates are refused.
    pub revoked: BTreeSet<NodeId>,
    /// Tokens that may still admit, or have not expired.
    pub tokens: BTreeMap<TokenId, Token>,
    /// Settings.
    pub settings: Settings,
    /// By proposer.
    pub answered: BTreeMap<u128, Answered>,
}

impl Control {
    /// Whether the cluster has been founded.
    #[must_use]
    pub const fn is_founded(&self) -> bool {
        self.cluster != 0
    }

    /// How many shards there are, as the router wants it.
    #[must_use]
    pub const fn bits(&self) -> ShardBits {
        ShardBits::new(self.shard_bits)
    }

    /// The place of `shard`.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> Option<&ShardPlace> {
        self.shards.get(usize::try_from(shard.0).ok()?)
    }

    pub(crate) fn shard_mut(&mut self, shard: ShardId) -> Option<&mut ShardPlace> {
        self.shards.get_mut(usize::try_from(shard.0).ok()?)
    }

    /// How many shards `node` owns.
    #[must_use]
    pub fn shards_of(&self, node: NodeId) -> u32 {
        u32::try_from(self.shards.iter().filter(|shard| shard.owner == node).count()).unwrap_or(u32::MAX)
    }

    /// The election slot that the fewest members have, the lowest of those.
    #[must_use]
    pub fn free_election_slot(&self) -> u8 {
        let holders = |slot: &u8| self.members.values().filter(|member| member.election_slot == *slot).count();
        (0..ELECTION_SLOTS).min_by_key(holders).unwrap_or(0)
    }

    /// The id slot that the fewest members have, the lowest of those. From 1: 0 is for a node without a cluster.
    #[must_use]
    pub fn free_id_slot(&self) -> u16 {
        let mut holders = vec![0_u32; usize::from(ID_SLOTS)];
        for member in self.members.values() {
            if let Some(count) = holders.get_mut(usize::from(member.id_slot)) {
                *count += 1;
            }
        }
        (1..ID_SLOTS).min_by_key(|slot| (holders[usize::from(*slot)], *slot)).unwrap_or(1)
    }
}
