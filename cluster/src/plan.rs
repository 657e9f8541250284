//! Which shards should move, and where: a pure function of the nodes and the present placement.
//!
//! Each node that takes shards has a share in proportion to its capacity. Shards whose owner takes none are given
//! away first, then those of nodes with more than their share. The receiver of a shard is the node with room that a
//! fixed hash of shard and node prefers, so that any leader plans the same.
//!
//! # Invariants
//!
//! * After all moves each node has its share, rounded up or down: within one shard.
//! * No fewer moves could do that: only orphans move, and what a node has beyond its share.
//! * A placement that is balanced already is left alone.
//!
//! How busy a shard is does not count here: [`balance`](crate::balance) exchanges shards for that, one for one.

use std::collections::BTreeMap;

use hubbub_protocol::{ids::NodeId, shard::ShardId};

use crate::control::{Control, MemberState, Place, ShardMove};

/// A node that takes shards, and how many shares of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taker {
    /// The node.
    pub node: NodeId,
    /// Its shares, from 1.
    pub capacity: u32,
}

/// Moves by urgency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Shards that nobody orders: assign them at once, without asking the old owner.
    pub orphans: Vec<ShardMove>,
    /// Shards to be handed over by owners that are leaving.
    pub drains: Vec<ShardMove>,
    /// Shards to be handed over for balance.
    pub balance: Vec<ShardMove>,
}

/// How many shards each of `takers` should have of `shards`, rounded so that those who have most now lose least.
fn shares(takers: &[Taker], shards: usize, held: &BTreeMap<NodeId, usize>) -> BTreeMap<NodeId, usize> {
    let capacity: u64 = takers.iter().map(|taker| u64::from(taker.capacity)).sum();
    let total = u64::try_from(shards).unwrap_or(u64::MAX);
    let exact = |taker: &Taker| total * u64::from(taker.capacity);
    let floor = |taker: &Taker| usize::try_from(exact(taker) / capacity.max(1)).unwrap_or(usize::MAX);
    let mut shares: BTreeMap<NodeId, usize> = takers.iter().map(|taker| (taker.node, floor(taker))).collect();
    let mut spare = shards - shares.values().sum::<usize>().min(shards);
    // One more for those with a fraction, in the order of what they hold beyond their floor, then of the fraction.
    let mut rounded: Vec<&Taker> = takers.iter().filter(|taker| exact(taker) % capacity.max(1) > 0).collect();
    rounded.sort_by_key(|taker| {
        let beyond = held.get(&taker.node).copied().unwrap_or(0) > floor(taker);
        (std::cmp::Reverse((beyond, exact(taker) % capacity.max(1))), taker.node)
    });
    for taker in rounded {
        if spare == 0 {
            break;
        }
        *shares.entry(taker.node).or_default() += 1;
        spare -= 1;
    }
    shares
}

/// How much `node` is preferred for `shard`: the same on every node and release.
const fn preference(shard: ShardId, node: NodeId) -> u64 {
    let mut hash = node.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((shard.0 as u64) << 32 | shard.0 as u64);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// Moves that give each of `takers` its share. `placed[i]` is shard `i` with its owner; all shards count, and a shard
/// whose owner is none of the takers is moved. Empty when there are no takers.
#[must_use]
pub fn moves(takers: &[Taker], placed: &[NodeId]) -> Vec<(ShardId, NodeId)> {
    if takers.is_empty() {
        return Vec::new();
    }
    let mut held: BTreeMap<NodeId, Vec<ShardId>> = takers.iter().map(|taker| (taker.node, Vec::new())).collect();
    let mut homeless = Vec::new();
    for (number, owner) in (0..).zip(placed) {
        held.get_mut(owner).unwrap_or(&mut homeless).push(ShardId(number));
    }
    let counts = held.iter().map(|(node, shards)| (*node, shards.len())).collect();
    let shares = shares(takers, placed.len(), &counts);
    let share = |node: &NodeId| shares.get(node).copied().unwrap_or(0);
    for (node, shards) in &mut held {
        // A node gives away what the hash likes least on it.
        shards.sort_by_key(|shard| std::cmp::Reverse((preference(*shard, *node), *shard)));
        homeless.extend(shards.split_off(share(node).min(shards.len())));
    }
    let mut room: BTreeMap<NodeId, usize> =
        held.iter().map(|(node, shards)| (*node, share(node) - shards.len())).collect();
    let mut moves = Vec::with_capacity(homeless.len());
    for shard in homeless {
        let open = room.iter_mut().filter(|(_, room)| **room > 0);
        if let Some((node, room)) = open.max_by_key(|(node, _)| (preference(shard, **node), **node)) {
            moves.push((shard, *node));
            *room -= 1;
        }
    }
    moves
}

/// The members that take shards.
#[must_use]
pub fn takers(control: &Control) -> Vec<Taker> {
    let takes = control.members.iter().filter(|(_, member)| member.takes_shards());
    takes.map(|(node, member)| Taker { node: *node, capacity: member.about.capacity }).collect()
}

/// What to do for the facts `control`. Shards on their way count as being there, and are not moved again unless the
/// node they go to takes none any more.
#[must_use]
pub fn plan(control: &Control) -> Plan {
    let takers = takers(control);
    let bound_for = |place: Place, owner| match place {
        Place::Moving { to } if takers.iter().any(|taker| taker.node == to) => to,
        Place::Moving { .. } | Place::Stable => owner,
    };
    let placed: Vec<NodeId> = control.shards.iter().map(|shard| bound_for(shard.place, shard.owner)).collect();
    let mut plan = Plan::default();
    for (shard, to) in moves(&takers, &placed) {
        let Some(place) = control.shard(shard) else { continue };
        let shard_move = ShardMove { shard, epoch: place.epoch, to };
        match control.members.get(&place.owner).map(|owner| owner.state) {
            None | Some(MemberState::Down | MemberState::Joining) => plan.orphans.push(shard_move),
            Some(MemberState::Draining) => plan.drains.push(shard_move),
            Some(MemberState::Up) => plan.balance.push(shard_move),
        }
    }
    plan
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
