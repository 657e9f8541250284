//! What every node knows of the cluster, voter or not: members, shards and roots, without secrets.
//!
//! A [`Piece`] carries what changed between two versions, in parts that fit a message. Its entries are whole values, so
//! a piece may be applied to any map that is at least as new as its start.
//!
//! # Invariants
//!
//! * The version of a node's map only grows, and with it the epoch of each shard.
//! * A piece takes at most [`PEER_MESSAGE_BYTES_MAX`](hubbub_protocol::peer::PEER_MESSAGE_BYTES_MAX): 8,192 shards of
//!   35 bytes are 287 KB, 128 members of at most 2.7 KB 346 KB, 16,384 removed nodes 131 KB, two roots 8 KB.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hubbub_protocol::{
    ids::NodeId,
    ports::Placed,
    shard::{ShardBits, ShardId},
};
use serde::{Deserialize, Serialize};

use crate::control::{Control, Member, MemberState, Place, ShardPlace};

/// Shards in one piece.
pub(super) const PIECE_SHARDS_MAX: usize = 8_192;
/// Members in one piece.
pub(super) const PIECE_MEMBERS_MAX: usize = 128;
/// Removed nodes in one piece.
pub(super) const PIECE_REVOKED_MAX: usize = 16_384;

/// What all nodes are told. Empty, at version 0, until this node has heard of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map {
    /// See [`Control::map_version`].
    pub version: u64,
    /// Its head.
    pub head: Head,
    /// Each shard's place, by number.
    pub shards: Vec<ShardPlace>,
    /// The members.
    pub members: BTreeMap<NodeId, Member>,
    /// Nodes that were removed.
    pub revoked: BTreeSet<NodeId>,
}

/// What is said once for the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// The cluster's number; 0 before it is known.
    pub cluster: u128,
    /// How many shards there are.
    pub shard_bits: u8,
    /// The format version that every node may use.
    pub active_version: u32,
    /// Roots that certificates may end in, in DER.
    pub roots: Vec<Vec<u8>>,
}

impl Map {
    /// What of `control` everybody may know.
    #[must_use]
    pub fn of(control: &Control) -> Self {
        Self {
            version: control.map_version,
            head: Head {
                cluster: control.cluster,
                shard_bits: control.shard_bits,
                active_version: control.active_version,
                roots: control.ca.roots.clone(),
            },
            shards: control.shards.clone(),
            members: control.members.clone(),
            revoked: control.revoked.clone(),
        }
    }

    /// How many shards there are.
    #[must_use]
    pub const fn bits(&self) -> ShardBits {
        ShardBits::new(self.head.shard_bits)
    }

    /// The place of `shard`.
    #[must_use]
    pub fn shard(&self, shard: ShardId) -> Option<&ShardPlace> {
        self.shards.get(usize::try_from(shard.0).ok()?)
    }

    /// The shards with their places.
    pub fn each_shard(&self) -> impl Iterator<Item = (ShardId, &ShardPlace)> {
        (0..).map(ShardId).zip(&self.shards)
    }

    /// How many shards `node` orders.
    #[must_use]
    pub fn shards_of(&self, node: NodeId) -> usize {
        self.shards.iter().filter(|place| place.owner == node).count()
    }

    /// The members but `me` that are not down.
    #[must_use]
    pub fn others(&self, me: NodeId) -> Arc<[NodeId]> {
        let there = self.members.iter().filter(|(node, member)| **node != me && member.state != MemberState::Down);
        there.map(|(node, _)| *node).collect()
    }

    /// The shards that stand elsewhere, at another epoch or in another state than in `older`.
    #[must_use]
    pub fn changed_since(&self, older: &Self) -> Vec<ShardId> {
        let differs =
            |(shard, place): &(ShardId, &ShardPlace)| older.shard(*shard).map(placed) != Some(placed(place));
        self.each_shard().filter(differs).map(|(shard, _)| shard).collect()
    }

    /// Takes in the entries of `piece`. A shard never goes back to an older epoch.
    pub(super) fn take(&mut self, piece: Piece) {
        let Piece { from: _, to: _, head, shards, members, revoked, next: _ } = piece;
        let count = usize::try_from(ShardBits::new(head.shard_bits).count()).unwrap_or(0);
        self.head = head;
        for (shard, place) in shards {
            let at = usize::try_from(shard.0).unwrap_or(usize::MAX);
            if at >= count {
                continue;
            }
            if self.shards.len() < count {
                self.shards.resize(count, ShardPlace { epoch: hubbub_protocol::ids::Epoch(0), ..place });
            }
            if self.shards[at].epoch <= place.epoch {
                self.shards[at] = place;
            }
        }
        self.members.extend(members);
        for node in revoked {
            self.members.remove(&node);
            self.revoked.insert(node);
        }
    }
}

/// The place as the port tells it.
pub(super) const fn placed(place: &ShardPlace) -> Placed {
    Placed { owner: place.owner, epoch: place.epoch, moving: matches!(place.place, Place::Moving { .. }) }
}

/// How far a reader of changes has come: the first shard, member and removed node that it has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) shard: u32,
    pub(super) member: u64,
    pub(super) revoked: u64,
}

/// A part of what changed from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// It fits any map from this version on.
    pub(super) from: u64,
    /// The version it brings, when it is the last part.
    pub(super) to: u64,
    pub(super) head: Head,
    pub(super) shards: Vec<(ShardId, ShardPlace)>,
    pub(super) members: Vec<(NodeId, Member)>,
    pub(super) revoked: Vec<NodeId>,
    /// Where the next part begins.
    pub(super) next: Option<Cursor>,
}

/// At which version each entry of a map changed last, as this node saw it; never too early.
#[derive(Debug, Default)]
pub(super) struct Since {
    shards: Vec<u64>,
    members: BTreeMap<NodeId, u64>,
    revoked: BTreeMap<NodeId, u64>,
}

impl Since {
    /// Notes what differs in `new`.
    pub(super) fn note(&mut self, old: &Map, new: &Map) {
        self.shards.resize(new.shards.len(), new.version);
        for (at, place) in new.shards.iter().enumerate() {
            if old.shards.get(at) != Some(place) {
                self.shards[at] = new.version;
            }
        }
        for (node, member) in &new.members {
            if old.members.get(node) != Some(member) {
                self.members.insert(*node, new.version);
            }
        }
        for node in new.revoked.difference(&old.revoked) {
            self.members.remove(node);
            self.revoked.insert(*node, new.version);
        }
    }

    /// The part from `at` on of what changed in `map` after version `from`.
    pub(super) fn piece(&self, map: &Map, from: u64, at: Cursor) -> Piece {
        let shards = map.each_shard().zip(&self.shards).skip(usize::try_from(at.shard).unwrap_or(usize::MAX));
        let shards = shards.filter(|(_, since)| **since > from).map(|((shard, place), _)| (shard, *place));
        let (shards, shard) = fill(shards, PIECE_SHARDS_MAX, |(shard, _)| *shard);
        let later = |since: &BTreeMap<NodeId, u64>, first: u64| -> Vec<NodeId> {
            since.range(NodeId(first)..).filter(|(_, since)| **since > from).map(|(node, _)| *node).collect()
        };
        let members = later(&self.members, at.member).into_iter();
        let members = members.filter_map(|node| Some((node, map.members.get(&node)?.clone())));
        let (members, member) = fill(members, PIECE_MEMBERS_MAX, |(node, _)| *node);
        let revoked = later(&self.revoked, at.revoked).into_iter();
        let (revoked, gone) = fill(revoked, PIECE_REVOKED_MAX, |node| *node);
        let more = shard.is_some() || member.is_some() || gone.is_some();
        let next = more.then(|| Cursor {
            shard: shard.map_or(u32::MAX, |shard| shard.0),
            member: member.map_or(u64::MAX, |node| node.0),
            revoked: gone.map_or(u64::MAX, |node| node.0),
        });
        Piece { from, to: map.version, head: map.head.clone(), shards, members, revoked, next }
    }
}

/// Up to `max` of `items`, and the key of the one after them.
fn fill<T, K>(items: impl Iterator<Item = T>, max: usize, key: impl Fn(&T) -> K) -> (Vec<T>, Option<K>) {
    let mut items = items.fuse();
    let taken: Vec<T> = items.by_ref().take(max).collect();
    let next = items.next().map(|item| key(&item));
    (taken, next)
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
