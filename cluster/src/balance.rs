//! Which shards should change places for what they cost: a pure function of what nodes report, beside
//! [`plan`](crate::plan), which counts shards.
//!
//! A dear shard of the busiest node and a cheap one of the idlest change places, so that every node keeps its number of
//! shards and the two planners never undo each other's moves.
//!
//! # Invariants
//!
//! * Nothing moves until a node has [`OVER_PERCENT`] of its part of the work, and enough of it to matter ([`COST_MIN`]).
//! * Each exchange brings the busier of its two nodes down by at least [`GAIN_PERCENT`] of the mean, and the other not
//!   above that. So a constant load comes to rest, and one room that no node could carry more easily stays.
//! * At most [`EXCHANGES_MAX`] exchanges at a time.
//! * Each node has as many shards after as before.

use std::collections::BTreeMap;

use hubbub_protocol::{ids::NodeId, shard::ShardId};

use crate::plan::Taker;

/// What a shard costs its owner: microseconds of work in a second.
pub type Cost = u32;

/// Of its part of the work, by capacity, what a node may have before shards are exchanged.
pub const OVER_PERCENT: u64 = 125;
/// To what exchanges bring it down, if shards are small enough: the gap between the two keeps them from coming back.
pub const AIM_PERCENT: u64 = 110;
/// Least improvement for which two shards move, of the mean.
pub const GAIN_PERCENT: u64 = 2;
/// Work for which nothing moves: a tenth of a core.
pub const COST_MIN: u64 = 100_000;
/// Exchanges at a time: eight shards pause for some tens of milliseconds each.
pub const EXCHANGES_MAX: usize = 4;
/// Shards that a node reports: the dearest. What is left out costs less than any of them.
pub const SHARDS_TOLD_MAX: usize = 64;

/// Two shards that change places: each with the node it goes to.
pub type Exchange = [(ShardId, NodeId); 2];

/// A node, its work and its part of what all can do.
#[derive(Debug, Clone, Copy)]
struct Carrier {
    node: NodeId,
    capacity: u64,
    work: u64,
}

impl Carrier {
    /// Its work for each share of capacity, in thousandths, so that small numbers can be told apart.
    const fn strain(self) -> u64 {
        self.work.saturating_mul(1_000) / self.capacity
    }
}

fn carriers(takers: &[Taker], placed: &[NodeId], costs: &BTreeMap<ShardId, Cost>) -> Vec<Carrier> {
    let mut work: BTreeMap<NodeId, u64> = BTreeMap::new();
    for (shard, cost) in costs {
        if let Some(owner) = usize::try_from(shard.0).ok().and_then(|at| placed.get(at)) {
            *work.entry(*owner).or_default() += u64::from(*cost);
        }
    }
    let of = |taker: &Taker| Carrier {
        node: taker.node,
        capacity: u64::from(taker.capacity.max(1)),
        work: work.get(&taker.node).copied().unwrap_or(0),
    };
    takers.iter().map(of).collect()
}

/// The mean strain, and the most and the least strained of `carriers`; of equals those with the lowest number.
fn extremes(carriers: &[Carrier]) -> Option<(u64, Carrier, Carrier)> {
    let (work, capacity) =
        carriers.iter().fold((0, 0), |sum: (u64, u64), one| (sum.0 + one.work, sum.1 + one.capacity));
    let mean = work.saturating_mul(1_000).checked_div(capacity)?;
    let busiest = carriers.iter().max_by_key(|one| (one.strain(), std::cmp::Reverse(one.node)))?;
    let idlest = carriers.iter().min_by_key(|one| (one.strain(), one.node))?;
    Some((mean, *busiest, *idlest))
}

const fn is_over(strain: u64, mean: u64, percent: u64) -> bool {
    strain.saturating_mul(100) > mean.saturating_mul(percent)
}

/// Whether some node has so much more than its part that shards should be exchanged, if that lasts.
#[must_use]
pub fn is_uneven(takers: &[Taker], placed: &[NodeId], costs: &BTreeMap<ShardId, Cost>) -> bool {
    extremes(&carriers(takers, placed, costs))
        .is_some_and(|(mean, busiest, _)| busiest.work >= COST_MIN && is_over(busiest.strain(), mean, OVER_PERCENT))
}

/// The exchanges that even out what nodes have to do. `placed[i]` is the owner of shard `i`; a shard without a cost
/// costs nothing; those that `may_move` denies stay.
#[must_use]
pub fn exchanges(
    takers: &[Taker],
    placed: &[NodeId],
    costs: &BTreeMap<ShardId, Cost>,
    may_move: impl Fn(ShardId) -> bool,
) -> Vec<Exchange> {
    let (mut placed, mut chosen) = (placed.to_vec(), Vec::new());
    let mut moved: Vec<ShardId> = Vec::new();
    while chosen.len() < EXCHANGES_MAX {
        let Some((mean, busiest, idlest)) = extremes(&carriers(takers, &placed, costs)) else { break };
        let goes_on = busiest.work >= COST_MIN && is_over(busiest.strain(), mean, AIM_PERCENT);
        let may = |shard: ShardId| may_move(shard) && !moved.contains(&shard);
        let Some((dear, cheap)) = goes_on.then(|| best(&placed, costs, mean, [busiest, idlest], may)).flatten()
        else {
            break;
        };
        for (shard, to) in [(dear, idlest.node), (cheap, busiest.node)] {
            if let Some(place) = usize::try_from(shard.0).ok().and_then(|at| placed.get_mut(at)) {
                *place = to;
            }
        }
        moved.extend([dear, cheap]);
        chosen.push([(dear, idlest.node), (cheap, busiest.node)]);
    }
    chosen
}

/// The shard of the busiest and the one of the idlest whose exchange brings the two closest together.
fn best(
    placed: &[NodeId],
    costs: &BTreeMap<ShardId, Cost>,
    mean: u64,
    [busiest, idlest]: [Carrier; 2],
    may: impl Fn(ShardId) -> bool,
) -> Option<(ShardId, ShardId)> {
    let cost = |shard: ShardId| u64::from(costs.get(&shard).copied().unwrap_or(0));
    let of = |node: NodeId| {
        let all = (0..).map(ShardId).zip(placed).filter(move |(_, owner)| **owner == node);
        all.map(|(shard, _)| shard).filter(|shard| may(*shard))
    };
    let dear: Vec<ShardId> = of(busiest.node).filter(|shard| cost(*shard) > 0).collect();
    // Those that cost nothing are alike.
    let free = of(idlest.node).find(|shard| cost(*shard) == 0);
    let cheap: Vec<ShardId> = of(idlest.node).filter(|shard| cost(*shard) > 0).chain(free).collect();
    let after = |dear: ShardId, cheap: ShardId| {
        let passed = cost(dear).checked_sub(cost(cheap))?;
        let eased = Carrier { work: busiest.work - passed, ..busiest };
        let burdened = Carrier { work: idlest.work + passed, ..idlest };
        Some(eased.strain().max(burdened.strain()))
    };
    let pairs = dear.iter().flat_map(|dear| cheap.iter().map(|cheap| (*dear, *cheap)));
    let rated = pairs.filter_map(|(dear, cheap)| Some((after(dear, cheap)?, dear, cheap)));
    let (strain, dear, cheap) = rated.min()?;
    let gain = mean.saturating_mul(GAIN_PERCENT) / 100;
    (strain.saturating_add(gain.max(1)) <= busiest.strain()).then_some((dear, cheap))
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
