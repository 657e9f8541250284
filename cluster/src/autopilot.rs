//! Who should vote, and who stands by: pure functions of the members and how they are.
//!
//! One voter up to two members, since two are worse than one: both must live. Three up to six. Five from seven
//! members, or from five that stand in three zones. Seven only when the operator says so. Of the others up to two
//! stand by: they follow the log without a vote, so that one of them takes a lost voter's place at once.
//!
//! # Invariants
//!
//! * Voters are odd in number, at most seven, and never fewer than a majority of those that are healthy can replace:
//!   a set is changed in one step of joint consensus, after its new members have caught up.
//! * Voters are healthy when there are enough healthy nodes, spread over zones, and have different election slots as
//!   long as they can.
//! * A voter that is healthy keeps its vote unless the spread is better without it; the same goes for who stands by.
//! * Nobody is asked to stand by, or let go, before the voters are as they should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubbub_protocol::ids::NodeId;

use crate::raft::Peer;

/// How long a node must have been healthy before it may vote.
pub const STABLE_FOR: Duration = Duration::from_secs(10);
/// How far behind the leader a healthy node may be, in entries.
pub const LAG_MAX: u64 = 250;
/// Rest after a change of the voters: rapid changes have stopped openraft 0.9 (its issue 1544).
pub const REST: Duration = Duration::from_secs(10);
/// Most voters, whatever the operator says.
pub const VOTERS_MAX: usize = 7;

/// Most who stand by. Raft's leader sends the log to each of them, whatever the size of the cluster.
pub const STANDBYS_MAX: usize = 2;

/// A member that may vote, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub node: NodeId,
    /// How Raft reaches it.
    pub peer: Peer,
    /// Its failure zone.
    pub zone: String,
    /// See [`Member::election_slot`](crate::control::Member::election_slot).
    pub election_slot: u8,
    /// Whether it has been up and well without a break for [`STABLE_FOR`], or what a test takes for it.
    pub stable: bool,
    /// How many entries it is behind; `None` for a node that does not follow yet.
    pub lag: Option<u64>,
}

impl Candidate {
    fn has_caught_up(&self) -> bool {
        self.lag.is_some_and(|lag| lag <= LAG_MAX)
    }
}

/// One change of who takes part in Raft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Lets a node follow.
    AddLearner {
        /// The node.
        node: NodeId,
        /// How Raft reaches it.
        peer: Peer,
    },
    /// Ends it. The node must not vote.
    RemoveLearner {
        /// The node.
        node: NodeId,
    },
    /// Replaces the voters, in one step of joint consensus; all must follow already.
    SetVoters {
        /// All of them.
        voters: BTreeSet<NodeId>,
    },
}

/// How many should vote among `candidates`, of which at most `max` may.
#[must_use]
pub fn wanted_count(candidates: &[Candidate], max: usize) -> usize {
    let usable: Vec<_> = candidates.iter().filter(|candidate| candidate.stable).collect();
    let zones = usable.iter().map(|candidate| &candidate.zone).collect::<BTreeSet<_>>().len();
    let wanted = match usable.len() {
        0..=2 => 1,
        3 | 4 => 3,
        5 | 6 if zones < 3 => 3,
        _ => 5,
    };
    let max = max.clamp(1, VOTERS_MAX);
    match usable.len() {
        7.. if max == VOTERS_MAX => VOTERS_MAX,
        _ => wanted.min(max - 1 + max % 2),
    }
}

/// The voters there should be. Empty when nobody is stable: then nothing is changed.
#[must_use]
pub fn wanted(candidates: &[Candidate], voters: &BTreeSet<NodeId>, max: usize) -> BTreeSet<NodeId> {
    let mut left: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.stable).collect();
    let away = candidates.iter().filter(|candidate| voters.contains(&candidate.node) && !candidate.stable).count();
    let count = wanted_count(candidates, max);
    // A group never shrinks because members are away: with 3 voters and one dead, the two others still are a majority.
    // Voters that are no members any more are not away, they are gone.
    if count < voters.len() && away > 0 {
        return BTreeSet::new();
    }
    let (mut chosen, mut zones, mut slots) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    while chosen.len() < count {
        let cost = |candidate: &&Candidate| {
            let in_zone = zones.get(&candidate.zone).copied().unwrap_or(0_u32);
            let in_slot = slots.get(&candidate.election_slot).copied().unwrap_or(0_u32);
            let (new, behind) = (!voters.contains(&candidate.node), !candidate.has_caught_up());
            (in_zone, in_slot, new, behind, candidate.node)
        };
        let Some(best) = left.iter().copied().min_by_key(cost) else { break };
        *zones.entry(best.zone.clone()).or_default() += 1;
        *slots.entry(best.election_slot).or_default() += 1;
        chosen.insert(best.node);
        left.retain(|candidate| candidate.node != best.node);
    }
    chosen
}

/// Who should stand by beside `voters`: where fewest of them and of each other are.
#[must_use]
pub fn standbys(
    candidates: &[Candidate],
    voters: &BTreeSet<NodeId>,
    learners: &BTreeSet<NodeId>,
) -> BTreeSet<NodeId> {
    let (mut zones, mut chosen) = (BTreeMap::new(), BTreeSet::new());
    for voter in candidates.iter().filter(|candidate| voters.contains(&candidate.node)) {
        *zones.entry(&voter.zone).or_insert(0_u32) += 1;
    }
    let mut left: Vec<&Candidate> =
        candidates.iter().filter(|candidate| candidate.stable && !voters.contains(&candidate.node)).collect();
    while chosen.len() < STANDBYS_MAX {
        let cost = |candidate: &&Candidate| {
            let in_zone = zones.get(&candidate.zone).copied().unwrap_or(0);
            (in_zone, !learners.contains(&candidate.node), candidate.node)
        };
        let Some(best) = left.iter().copied().min_by_key(cost) else { break };
        *zones.entry(&best.zone).or_default() += 1;
        chosen.insert(best.node);
        left.retain(|candidate| candidate.node != best.node);
    }
    chosen
}

/// The next change to make, if there is one: first let the new voters follow, then change the voters, then let those
/// go that need not follow any more, then let others stand by. `rested`: the last change is [`REST`] ago.
#[must_use]
pub fn next_change(
    candidates: &[Candidate],
    voters: &BTreeSet<NodeId>,
    learners: &BTreeSet<NodeId>,
    max: usize,
    rested: bool,
) -> Option<Change> {
    let wanted = wanted(candidates, voters, max);
    if !rested || wanted.is_empty() {
        return None;
    }
    let known = |node: &NodeId| voters.contains(node) || learners.contains(node);
    let of = |node: &NodeId| candidates.iter().find(|candidate| candidate.node == *node);
    if let Some(candidate) = wanted.iter().find(|node| !known(node)).and_then(of) {
        return Some(Change::AddLearner { node: candidate.node, peer: candidate.peer.clone() });
    }
    if wanted != *voters {
        let ready = wanted.iter().all(|node| of(node).is_some_and(Candidate::has_caught_up));
        return ready.then_some(Change::SetVoters { voters: wanted });
    }
    let standbys = standbys(candidates, voters, learners);
    if let Some(node) = learners.difference(&standbys).next() {
        return Some(Change::RemoveLearner { node: *node });
    }
    let candidate = standbys.difference(learners).next().and_then(of)?;
    Some(Change::AddLearner { node: candidate.node, peer: candidate.peer.clone() })
}

#[cfg(test)]
#[path = "autopilot_tests.rs"]
mod tests;
