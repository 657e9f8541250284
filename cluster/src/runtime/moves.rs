//! When shards move: what is planned, within budgets.
//!
//! Orphans have no budget, for nobody serves them. Drains and balance share a rate and a number under way; a shard that
//! was moved for balance rests.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};
use tokio::time::Instant;

use super::RuntimeTiming;
use crate::{
    control::{Control, MemberState, Place, ShardMove},
    plan::Plan,
};

/// Least number of moves under way over all nodes; above it, 2 % of the shards.
const UNDER_WAY_MIN: usize = 8;

/// What the leader remembers of moves. A new leader has forgotten, and at worst moves a shard again too soon.
#[derive(Debug)]
pub(super) struct Moves {
    begun: HashMap<(ShardId, Epoch), Instant>,
    moved: HashMap<ShardId, Instant>,
    tokens: f64,
    filled: Instant,
}

impl Moves {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: HashMap::new(), moved: HashMap::new(), tokens: 0.0, filled: now }
    }

    /// The moves of `plan` that may begin now.
    pub(super) fn choose(
        &mut self,
        plan: &Plan,
        control: &Control,
        timing: &RuntimeTiming,
        now: Instant,
    ) -> Vec<ShardMove> {
        self.fill(timing, now);
        self.moved.retain(|_, at| now.saturating_duration_since(*at) < timing.shard_rest);
        let mut under_way: HashMap<NodeId, usize> = HashMap::new();
        for place in control.shards.iter().filter(|place| place.place != Place::Stable) {
            *under_way.entry(place.owner).or_default() += 1;
        }
        let (mut all, all_max) = (under_way.values().sum::<usize>(), UNDER_WAY_MIN.max(control.shards.len() / 50));
        let mut chosen = Vec::new();
        // What rests stays, and what somebody else has set in motion is not called back for balance.
        let stays = |wanted: &&ShardMove| self.moved.contains_key(&wanted.shard) || self.is_moving(wanted);
        let balance: Vec<&ShardMove> = plan.balance.iter().filter(|wanted| !stays(wanted)).collect();
        for wanted in plan.drains.iter().chain(balance) {
            if all >= all_max || self.tokens < 1.0 {
                break;
            }
            let Some(owner) = control.shard(wanted.shard).map(|place| place.owner) else { continue };
            let of_owner = under_way.entry(owner).or_default();
            if *of_owner < timing.moves_per_owner {
                *of_owner += 1;
                all += 1;
                self.tokens -= 1.0;
                chosen.push(*wanted);
            }
        }
        for wanted in &chosen {
            self.moved.insert(wanted.shard, now);
        }
        chosen
    }

    fn is_moving(&self, wanted: &ShardMove) -> bool {
        self.begun.contains_key(&(wanted.shard, wanted.epoch))
    }

    /// Up to a second's moves may begin at once.
    fn fill(&mut self, timing: &RuntimeTiming, now: Instant) {
        let rate = f64::from(timing.moves_per_second);
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min(rate);
        self.filled = now;
    }

    /// Moves to end without waiting for the owner: it has had `within`, or it is gone, or the node it was to go to is.
    pub(super) fn overdue(&mut self, control: &Control, within: Duration, now: Instant) -> Vec<(ShardId, Epoch)> {
        let mut still = HashSet::new();
        let mut overdue = Vec::new();
        for (shard, place) in (0..).map(ShardId).zip(&control.shards) {
            let Place::Moving { to } = place.place else { continue };
            let key = (shard, place.epoch);
            still.insert(key);
            let begun = *self.begun.entry(key).or_insert(now);
            self.moved.insert(shard, now);
            let gone = |node| control.members.get(&node).is_none_or(|member| member.state == MemberState::Down);
            if gone(place.owner) || gone(to) || now.saturating_duration_since(begun) >= within {
                overdue.push(key);
            }
        }
        self.begun.retain(|key, _| still.contains(key));
        overdue
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
