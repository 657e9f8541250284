//! Who is well, as the leader sees it: heartbeats and peers' reports in, changes of state out. Pure but for what it
//! remembers, and only in memory: a new leader starts afresh.
//!
//! # When a node is down
//!
//! * *Early*: nothing was heard of it for 1.5 s, and two peers report it unreachable (the one other peer, in a cluster
//!   of three). Peers that this node does not hear itself are not asked: in a cluster of two, or for a leader that is
//!   cut off, there is no early.
//! * *Late*: it has sent no heartbeat for 6 s, counted from the election at the earliest.
//!
//! A new leader does not wait before it believes an early report: the silence is what it heard, or did not hear,
//! itself, whoever led, and the reports are sent to it after its election. Being wrong costs a move: the fence refuses
//! the appends of whoever was given up too soon.

use std::{collections::BTreeMap, time::Duration};

use hubbub_protocol::ids::NodeId;
use tokio::time::Instant;

use super::{RuntimeTiming, map::Map, wire::Heartbeat};
use crate::control::{Member, MemberState};

/// What was heard of one node.
#[derive(Debug, Clone)]
struct Seen {
    at: Instant,
    beat: Heartbeat,
    well_since: Option<Instant>,
    unwell_since: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Liveness {
    /// When this node began to lead, or woke up.
    since: Instant,
    nodes: BTreeMap<NodeId, Seen>,
}

/// What the leader knows beside the heartbeats.
pub(super) struct View<'a> {
    pub(super) me: NodeId,
    pub(super) now: Instant,
    pub(super) map: &'a Map,
    pub(super) timing: &'a RuntimeTiming,
    /// How long the leader itself has not heard a node.
    pub(super) silence: &'a dyn Fn(NodeId) -> Duration,
}

/// A member that should be something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    pub(super) state: MemberState,
    pub(super) why: &'static str,
}

impl Liveness {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, nodes: BTreeMap::new() }
    }

    /// A heartbeat of `node` arrived.
    pub(super) fn heard(&mut self, node: NodeId, beat: Heartbeat, now: Instant) {
        let old = self.nodes.remove(&node).filter(|old| old.beat.incarnation == beat.incarnation);
        let (well_since, unwell_since) = old.map_or((None, None), |old| (old.well_since, old.unwell_since));
        self.nodes.insert(node, Seen { at: now, beat, well_since, unwell_since });
    }

    /// This process slept: what it did not hear says nothing.
    pub(super) fn forgive(&mut self, now: Instant) {
        self.since = now;
        self.nodes.values_mut().for_each(|seen| seen.at = now);
    }

    /// The last heartbeat of each node.
    pub(super) fn beats(&self) -> impl Iterator<Item = (NodeId, &Heartbeat, Instant)> {
        self.nodes.iter().map(|(node, seen)| (*node, &seen.beat, seen.at))
    }

    /// How long `node` has been well.
    pub(super) fn well_for(&self, node: NodeId, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.nodes.get(&node)?.well_since?))
    }

    fn fresh<'a>(&'a self, node: NodeId, member: &Member, view: &View<'_>) -> Option<&'a Seen> {
        let seen = self.nodes.get(&node)?;
        let fresh = view.now.saturating_duration_since(seen.at) < view.timing.silent_early;
        (fresh && seen.beat.incarnation == member.incarnation).then_some(seen)
    }

    /// Peers whose word on `node` counts, and how many of them report it.
    fn reports(&self, node: NodeId, view: &View<'_>) -> (usize, usize) {
        let others = view
            .map
            .members
            .iter()
            .filter(|(peer, member)| **peer != node && **peer != view.me && member.state != MemberState::Down);
        let heard = others.filter(|(peer, _)| (view.silence)(**peer) < view.timing.silent_early);
        let reports = |(peer, member): &(&NodeId, &Member)| {
            self.fresh(**peer, member, view).is_some_and(|seen| seen.beat.unreachable.contains(&node))
        };
        heard.fold((0, 0), |(peers, reported), peer| (peers + 1, reported + usize::from(reports(&peer))))
    }

    fn is_down(&self, node: NodeId, view: &View<'_>) -> Option<&'static str> {
        let last = self.nodes.get(&node).map_or(self.since, |seen| seen.at.max(self.since));
        if view.now.saturating_duration_since(last) >= view.timing.silent {
            return Some("no heartbeat came for long");
        }
        let (peers, reported) = self.reports(node, view);
        let early = peers > 0 && reported >= peers.min(2) && (view.silence)(node) >= view.timing.silent_early;
        early.then_some("it is silent and its peers miss it too")
    }

    /// Whether it serves: it says so itself, and it and its peers hear each other.
    fn is_well(&self, node: NodeId, member: &Member, view: &View<'_>) -> bool {
        let Some(seen) = self.fresh(node, member, view) else { return false };
        let (mut peers, mut reported) = self.reports(node, view);
        if node != view.me {
            peers += 1;
            reported += usize::from((view.silence)(node) >= view.timing.peer_silent);
        }
        let missed = seen.beat.unreachable.iter().filter(|peer| {
            view.map.members.get(peer).is_some_and(|peer| peer.state != MemberState::Down)
                && (**peer == view.me || (view.silence)(**peer) < view.timing.silent_early)
        });
        seen.beat.storage_ok && reported * 2 <= peers && missed.count() * 2 <= peers
    }

    /// Looks at every member.
    pub(super) fn verdicts(&mut self, view: &View<'_>) -> Vec<Verdict> {
        self.nodes.retain(|node, _| view.map.members.contains_key(node));
        let mut verdicts = Vec::new();
        for (node, member) in &view.map.members {
            let well = self.is_well(*node, member, view);
            if let Some(seen) = self.nodes.get_mut(node) {
                seen.well_since = well.then(|| seen.well_since.unwrap_or(view.now));
                seen.unwell_since = (!well).then(|| seen.unwell_since.unwrap_or(view.now));
            }
            let verdict = |state, why| Verdict { node: *node, incarnation: member.incarnation, state, why };
            verdicts.extend(self.state_of(*node, member, view).map(|(state, why)| verdict(state, why)));
        }
        verdicts
    }

    /// What `node` should become, if not what it is.
    fn state_of(&self, node: NodeId, member: &Member, view: &View<'_>) -> Option<(MemberState, &'static str)> {
        let since = |at: Option<Instant>| at.map(|at| view.now.saturating_duration_since(at));
        let seen = self.nodes.get(&node);
        let well = |limit| since(seen.and_then(|seen| seen.well_since)).is_some_and(|well| well >= limit);
        let unwell =
            since(seen.and_then(|seen| seen.unwell_since)).is_some_and(|unwell| unwell >= view.timing.unwell);
        if member.state == MemberState::Down {
            return self.fresh(node, member, view).map(|_| (MemberState::Joining, "it is heard again"));
        }
        if node != view.me
            && let Some(why) = self.is_down(node, view)
        {
            return Some((MemberState::Down, why));
        }
        match member.state {
            MemberState::Joining if member.leaving => Some((MemberState::Draining, "it was asked to leave")),
            MemberState::Joining if well(view.timing.settle) => Some((MemberState::Up, "it serves")),
            MemberState::Up if unwell => Some((MemberState::Draining, "its storage or its links fail")),
            MemberState::Draining if !member.leaving && well(view.timing.stable) => {
                Some((MemberState::Up, "it is well again"))
            }
            MemberState::Joining | MemberState::Up | MemberState::Draining | MemberState::Down => None,
        }
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
