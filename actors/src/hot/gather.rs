//! What every node tells of its rooms and of itself, asked of all of them at once.
//!
//! # Failure
//!
//! A node that does not answer within 1.5 s, or is of a release that does not know the question, is told as silent; so
//! an operator always has an answer. A member that is down is not asked.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubbub_protocol::{ids::NodeId, shard::ShardId};

use super::{Cost, HotReport, Measure};
use crate::{
    Hub,
    context::Context,
    peers::wire::{Hot, HowAreYou, HowHot, Standing},
};

/// What a node says of itself when it is asked, as JSON that each release may add to.
pub type SaysOfItself = Box<dyn Fn() -> Bytes + Send + Sync>;

impl Context {
    /// What this node tells of its rooms.
    pub(crate) fn hot_here(&self, by: Measure) -> HotReport {
        self.hot.report(by, Instant::now())
    }

    /// What this node says of itself; nothing before it can.
    pub(crate) fn standing_here(&self) -> Bytes {
        self.says_of_itself.get().map(|says| says()).unwrap_or_default()
    }
}

impl Hub {
    /// The rooms that cost most lately, as each node tells of those that it orders or has followers of; none of a node
    /// that does not answer.
    pub async fn hot_rooms(&self, by: Measure) -> Vec<(NodeId, Option<HotReport>)> {
        let context = self.context();
        let asked = context.peers.ask_all::<Hot>(&HowHot { by }).await;
        let told = asked.into_iter().map(|(node, Hot { report })| (node, report)).collect();
        with_the_silent(context, context.hot_here(by), told)
    }

    /// What the shards that this node orders cost it lately, in microseconds of work in a second: what would leave with
    /// them. Their rooms' deliveries to connections here would not.
    #[must_use]
    pub fn shard_costs(&self) -> Vec<(ShardId, u32)> {
        let context = self.context();
        let report = context.hot_here(Measure::Cpu);
        let ours = report.rooms.iter().filter(|counted| context.is_here(counted.room));
        let of_rooms =
            ours.map(|counted| (context.shard_of(counted.room), work_per_s(counted.cost, report.period)));
        let mut costs = BTreeMap::<ShardId, u32>::new();
        for (shard, cost) in of_rooms {
            let known = costs.entry(shard).or_default();
            *known = known.saturating_add(cost);
        }
        costs.into_iter().collect()
    }

    /// What each node says of itself: JSON that [`Hub::says_of_itself`] gave there.
    pub async fn standings(&self) -> Vec<(NodeId, Option<Bytes>)> {
        let context = self.context();
        let asked = context.peers.ask_all::<Standing>(&HowAreYou {}).await;
        let told = asked.into_iter().map(|(node, Standing { json })| (node, json)).collect();
        with_the_silent(context, context.standing_here(), told)
    }

    /// Lets `says` tell what this node says of itself from now on. The first call counts.
    pub fn says_of_itself(&self, says: SaysOfItself) {
        let _ = self.context().says_of_itself.set(says);
    }
}

/// Microseconds in a second that ordering a room takes.
fn work_per_s(cost: Cost, period: Duration) -> u32 {
    let period_ms = period.as_millis().max(1_000);
    u32::try_from(u128::from(cost.ordering_ns) / period_ms).unwrap_or(u32::MAX)
}

/// What was told, by node; with nothing for those that were asked and are silent.
fn with_the_silent<T>(context: &Context, here: T, told: Vec<(NodeId, T)>) -> Vec<(NodeId, Option<T>)> {
    let silent: Vec<NodeId> = context
        .peers
        .others()
        .iter()
        .copied()
        .filter(|node| !told.iter().any(|(known, _)| known == node))
        .collect();
    let mut all = vec![(context.this_node(), Some(here))];
    all.extend(told.into_iter().map(|(node, told)| (node, Some(told))));
    all.extend(silent.into_iter().map(|node| (node, None)));
    all.sort_by_key(|(node, _)| *node);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shard_costs_is_the_ordering_of_its_rooms_by_the_second() {
        let cost = Cost { cpu_ns: 90_000_000, ordering_ns: 40_000_000, ..Cost::default() };
        assert_eq!(work_per_s(cost, Duration::from_secs(40)), 1_000);
        assert_eq!(work_per_s(Cost::default(), Duration::ZERO), 0);
    }
}
