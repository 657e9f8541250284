//! What every node tells of its rooms and of itself, asked of all of them at once.
//!
//! # Failure
//!
//! A node that does not answer within 1.5 s, or is of a release that does not know the question, is told as silent; so
//! an operator always has an answer. A member that is down is not asked.

use std::time::Instant;

use bytes::Bytes;
use hubbub_protocol::ids::NodeId;

use super::{HotReport, Measure};
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
