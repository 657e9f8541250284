//! Who sends a room's events on to whom, when very many nodes follow it: a pure function, and what nodes do by it.
//!
//! Up to [`FLAT_MAX`] nodes the room's home sends to each itself. Beyond, it sends to [`FAN_OUT`] of them, and each sends
//! on to those it is named, again to at most so many. The way is part of the message ([`Spread`]), so nobody but the
//! home keeps a plan, and the home makes it anew for each message, of the nodes that follow now: a node that is gone is
//! planned around from the moment the home misses it.
//!
//! # Invariants
//!
//! * Every node that follows is on exactly one way, and no node sends to more than [`FAN_OUT`].
//! * What is sent on is taken away from who it is sent to, so no message goes round in circles.
//!
//! # Failure
//!
//! Nothing here is needed for the truth: a relay that finds a hole in the seqs reads the log. What could hide a hole is
//! that nothing more is said. So a node that cannot send on, or whose link to one that it has sent on to breaks, tells the
//! home ([`Missed`]); and when the link between the home and a node breaks, everyone may have missed something. The
//! home then tells the newest seq, straight to each.

use std::collections::{HashMap, HashSet};

use hubbub_protocol::{
    ids::{NodeId, RoomId},
    peer::{Class, Envelope, PeerMessage as _, Rejection},
};
use parking_lot::Mutex;

use super::{
    following::{self, Reached},
    wire::{Deliver, Missed, Spread},
};
use crate::{context::Context, room::RoomMessage};

/// Nodes that a room's home sends to itself: one send each, of bytes that all share.
pub const FLAT_MAX: usize = 64;
/// Nodes that one node sends an event to beyond that: three steps reach 16 + 16² + 16³ nodes, far more than a cell has.
pub const FAN_OUT: usize = 16;
/// Rooms that are remembered as sent on to one node: 16 bytes each. Beyond, the home sends what it is.
const SENT_ON_MAX: usize = 16_384;

/// A node to send to, and those it is to send on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The node.
    pub to: NodeId,
    /// Those behind it.
    pub onward: Vec<NodeId>,
}

impl Branch {
    /// All nodes on it.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        std::iter::once(self.to).chain(self.onward.iter().copied())
    }
}

/// At most [`FAN_OUT`] branches that reach each of `nodes`, as even as can be, in their order.
#[must_use]
pub fn branches(nodes: &[NodeId]) -> Vec<Branch> {
    let (size, larger) = (nodes.len() / FAN_OUT, nodes.len() % FAN_OUT);
    let (more, rest) = nodes.split_at(larger * (size + 1));
    let parts = more.chunks(size + 1).chain(rest.chunks(size.max(1)));
    parts
        .filter_map(|part| part.split_first())
        .map(|(to, onward)| Branch { to: *to, onward: onward.to_vec() })
        .collect()
}

/// Which rooms this node has sent on to which, since their link is new, and whose those are.
#[derive(Debug, Default)]
pub(crate) struct SentOn(Mutex<HashMap<NodeId, HashSet<RoomId>>>);

impl SentOn {
    fn note(&self, to: NodeId, room: RoomId) -> bool {
        let mut sent = self.0.lock();
        let rooms = sent.entry(to).or_default();
        rooms.contains(&room) || (rooms.len() < SENT_ON_MAX && rooms.insert(room))
    }

    fn forget(&self, to: NodeId) -> HashSet<RoomId> {
        self.0.lock().remove(&to).unwrap_or_default()
    }
}

/// Sends a room's events, packed as [`Deliver`], along a branch.
pub(crate) fn send(context: &Context, room: RoomId, branch: &Branch, deliver: &Envelope) -> Reached {
    if branch.onward.is_empty() {
        return following::send(context, room, branch.to, deliver.clone());
    }
    let spread = Spread { room, onward: branch.onward.clone(), deliver: deliver.body.clone() };
    let packed = context.peers.pack(&spread);
    packed.map_or(Reached::Behind, |packed| following::send(context, room, branch.to, packed))
}

/// Events that are for this node and others: hands them to the relay here, and sends them on.
pub(crate) fn spread(context: &Context, Spread { room, onward, deliver }: Spread) -> Result<(), Rejection> {
    let deliver = Envelope { kind: Deliver::KIND, map_version: context.peers.map_version(), body: deliver };
    let events = deliver.open()?;
    let mut missed = Vec::new();
    for branch in branches(&onward) {
        let noted = context.sent_on.note(branch.to, room);
        if !noted || send(context, room, &branch, &deliver) != Reached::Yes {
            missed.extend(branch.nodes());
        }
    }
    following::delivered(context, events);
    tell_missed(context, room, missed);
    Ok(())
}

/// Tells a room's home who may have missed something. A home that cannot be told has lost its link to this node, and
/// tells everybody.
fn tell_missed(context: &Context, room: RoomId, nodes: Vec<NodeId>) {
    let home = context.place_of(room).owner;
    if nodes.is_empty() || home == context.this_node() {
        return;
    }
    if let Some(packed) = context.peers.pack(&Missed { room, nodes }) {
        // On the lane of no room: one that is full of events leaves this one free.
        let _ = context.peers.bus().cast(home, Class::Control.lane(0), packed);
    }
}

/// A node says who may have missed something of a room that is ordered here.
pub(crate) fn missed(context: &Context, Missed { room, nodes }: Missed) {
    context.slots.with_room(room, |actor| actor.cast(RoomMessage::TellBehind(nodes)).is_ok());
}

/// The link to `node` is broken: what was sent on to it may be lost, and what it was to send on.
pub(crate) fn link_is_down(context: &Context, node: NodeId) {
    for room in context.sent_on.forget(node) {
        tell_missed(context, room, vec![node]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Walks the tree; gives how often each node is reached, and the steps of the longest way.
    fn walk(nodes: &[NodeId], reached: &mut Vec<NodeId>) -> usize {
        let branches = branches(nodes);
        assert!(branches.len() <= FAN_OUT);
        let mut longest = 0;
        for branch in &branches {
            reached.push(branch.to);
            longest = longest.max(1 + walk(&branch.onward, reached));
        }
        longest
    }

    fn numbered(count: u64) -> Vec<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    proptest! {
        #[test]
        fn every_node_is_reached_once_within_three_steps(nodes in prop::collection::btree_set((0_u64..2_000).prop_map(NodeId), 0..600)) {
            let nodes: Vec<NodeId> = nodes.into_iter().collect();
            let mut reached = Vec::new();
            prop_assert!(walk(&nodes, &mut reached) <= 3);
            prop_assert_eq!(reached.len(), nodes.len());
            prop_assert_eq!(reached.into_iter().collect::<BTreeSet<_>>(), nodes.into_iter().collect::<BTreeSet<_>>());
        }

        #[test]
        fn without_a_node_that_is_gone_all_others_are_still_reached(count in 65_u64..400, gone in any::<prop::sample::Index>()) {
            let mut nodes = numbered(count);
            let gone = nodes.remove(gone.index(nodes.len()));
            let mut reached = Vec::new();
            walk(&nodes, &mut reached);
            prop_assert!(!reached.contains(&gone));
            prop_assert_eq!(reached.len(), nodes.len());
        }
    }

    #[test]
    fn branches_are_even() {
        let sizes =
            |count| branches(&numbered(count)).iter().map(|branch| 1 + branch.onward.len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), Vec::<usize>::new());
        assert_eq!(sizes(3), [1, 1, 1]);
        assert_eq!(sizes(199), [vec![13; 7], vec![12; 9]].concat());
    }
}
