//! When shards change places for what they cost: what nodes report, and the patience of whoever acts on it.
//!
//! # Invariants
//!
//! * An imbalance must have lasted for `uneven_for` before anything moves, and for as long again after each time: by
//!   then what nodes report, which is of the last 30 to 60 s, tells of the new places alone.
//! * A shard that changed its place for this rests for `exchange_rest`.
//! * Both shards of an exchange begin to move in one command, so that nodes keep their numbers.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Envelope},
    shard::ShardId,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{RuntimeTiming, core::Core, wire::ShardCosts};
use crate::{
    balance::{self, Cost, SHARDS_TOLD_MAX},
    control::{Control, ShardMove},
    plan,
};

/// How old a report may be: nodes say what shards cost with every heartbeat.
const FRESH: Duration = Duration::from_secs(10);

/// What a node said last, and when.
type Said = (Instant, Vec<(ShardId, Cost)>);

/// What nodes have reported of their shards; only the leader's is whole. One report for each member.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeMap<NodeId, Said>>);

impl Told {
    /// What the shards of `control` cost, as their owners said lately.
    fn costs(&self, control: &Control, now: Instant) -> BTreeMap<ShardId, Cost> {
        let mut told = self.0.lock();
        told.retain(|node, (at, _)| {
            control.members.contains_key(node) && now.saturating_duration_since(*at) < FRESH
        });
        let of_owner = |node: NodeId, shard: ShardId| control.shard(shard).is_some_and(|place| place.owner == node);
        let costs = told
            .iter()
            .flat_map(|(node, (_, costs))| costs.iter().copied().filter(|(shard, _)| of_owner(*node, *shard)));
        costs.collect()
    }
}

/// What the leader remembers of exchanges. A new leader has forgotten, and waits.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    uneven_since: Option<Instant>,
    exchanged: HashMap<ShardId, Instant>,
}

impl Balancer {
    /// The moves that should begin now, all in one command.
    pub(super) fn choose(
        &mut self,
        control: &Control,
        costs: &BTreeMap<ShardId, Cost>,
        timing: &RuntimeTiming,
        now: Instant,
    ) -> Vec<ShardMove> {
        self.exchanged.retain(|_, at| now.saturating_duration_since(*at) < timing.exchange_rest);
        let takers = plan::takers(control);
        let placed: Vec<NodeId> = control.shards.iter().map(|shard| shard.owner).collect();
        if !balance::is_uneven(&takers, &placed, costs) {
            self.uneven_since = None;
            return Vec::new();
        }
        let since = *self.uneven_since.get_or_insert(now);
        if now.saturating_duration_since(since) < timing.uneven_for {
            return Vec::new();
        }
        let exchanges = balance::exchanges(&takers, &placed, costs, |shard| !self.exchanged.contains_key(&shard));
        let moves: Vec<ShardMove> = exchanges
            .into_iter()
            .flatten()
            .filter_map(|(shard, to)| Some(ShardMove { shard, epoch: control.shard(shard)?.epoch, to }))
            .collect();
        if !moves.is_empty() {
            self.uneven_since = None;
            self.exchanged.extend(moves.iter().map(|chosen| (chosen.shard, now)));
        }
        moves
    }
}

impl Core {
    /// Keeps what this node's shards cost, the dearest of them, for the next heartbeat.
    pub(super) fn report_costs(&self, mut costs: Vec<(ShardId, Cost)>) {
        costs.retain(|(_, cost)| *cost > 0);
        costs.sort_by_key(|(shard, cost)| (std::cmp::Reverse(*cost), *shard));
        costs.truncate(SHARDS_TOLD_MAX);
        *self.own_costs.lock() = costs;
    }

    /// Tells the leader what this node's shards cost. It may be lost: more follow.
    pub(super) fn tell_costs(&self, leader: NodeId) {
        let costs = self.own_costs.lock().clone();
        if leader == self.me {
            self.hear_costs(self.me, costs);
        } else if let Ok(envelope) = Envelope::pack(self.keeper.version(), &ShardCosts { costs }) {
            let _ = self.transport.cast(leader, Class::Control.lane(0), envelope);
        }
    }

    /// A node says what its shards cost.
    pub(super) fn hear_costs(&self, from: NodeId, mut costs: Vec<(ShardId, Cost)>) {
        if self.is_leader() && self.raft.facts().read(|control| control.members.contains_key(&from)) {
            costs.truncate(SHARDS_TOLD_MAX);
            self.told_costs.0.lock().insert(from, (Instant::now(), costs));
        }
    }

    /// What shards cost, as their owners said lately.
    pub(super) fn shard_costs(&self, control: &Control, now: Instant) -> BTreeMap<ShardId, Cost> {
        self.told_costs.costs(control, now)
    }
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;
