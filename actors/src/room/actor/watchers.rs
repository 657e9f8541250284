//! The nodes that follow the room beside this one, and leaving for another owner.

use std::collections::BTreeMap;

use hubbub_protocol::ids::{NodeId, Seq};
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::{Ask, Held, RoomMessage, RoomState};
use crate::{
    peers::{
        following::{self, Reached},
        tree::{self, Branch},
    },
    relay::{Delivery, RelayMessage},
};

/// Shortest time between two counts of people for one node.
const PEOPLE_EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// Pause before a node that is behind is told the head again.
const BEHIND_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

/// What the nodes that follow were told of how many people do so elsewhere.
#[derive(Debug, Default)]
pub(super) struct PeopleTold {
    told: BTreeMap<NodeId, u64>,
    /// Whether they are told again soon.
    timer: bool,
}

impl RoomState {
    /// The relay of this node wants the room's events from now on.
    pub(super) fn watch(&mut self, relay: ActorRef<RelayMessage>) {
        if self.core.is_some() {
            // Cast before any later delivery, so the relay knows where its stretch begins.
            let _ = relay.cast(RelayMessage::Watched { head: self.committed });
        }
        self.relay = Some(relay);
    }

    /// A relay of `node` wants the room's events from now on.
    pub(super) fn watch_from(&mut self, node: NodeId, reply: oneshot::Sender<Seq>) {
        self.watchers.insert(node);
        self.behind.remove(&node);
        // What it is answered is the newest; the others hear of its people.
        self.people.told.remove(&node);
        self.people_changed();
        if self.core.is_some() {
            // Whoever stopped waiting asks again.
            let _ = reply.send(self.committed);
        } else {
            self.watchers_waiting.push(reply);
        }
    }

    pub(super) fn unwatch_from(&mut self, node: NodeId) {
        self.watchers.remove(&node);
        self.behind.remove(&node);
        self.people.told.remove(&node);
        self.people_changed();
    }

    /// More people follow, or fewer, somewhere: all nodes hear of it, at once or [`PEOPLE_EVERY`] after the last time.
    pub(super) fn people_changed(&mut self) {
        if !self.people.timer {
            self.tell_people();
        }
    }

    pub(super) fn tell_people(&mut self) {
        let here = self.context.this_node();
        let (mut told, mut behind) = (false, false);
        for node in &self.watchers {
            let people = self.context.slots.people_elsewhere(self.room, here, *node);
            if self.people.told.get(node) == Some(&people) {
                continue;
            }
            match following::send_elsewhere(&self.context, self.room, *node, people) {
                Reached::Yes => {
                    told = true;
                    self.people.told.insert(*node, people);
                }
                Reached::Behind => behind = true,
                // It asks anew once it has a link.
                Reached::Gone => {}
            }
        }
        self.people.timer = told || behind;
        if self.people.timer {
            self.me.send_after(PEOPLE_EVERY, || RoomMessage::TellPeople { time: true });
        }
    }

    /// Tells everyone who follows where this activation begins: what the one before stored may not have reached them.
    pub(super) fn tell_watchers_where(&mut self) {
        for reply in std::mem::take(&mut self.watchers_waiting) {
            let _ = reply.send(self.committed);
        }
        self.behind.clone_from(&self.watchers);
        self.tell_those_behind();
    }

    pub(super) fn send_to_watchers(&mut self, deliveries: &[Delivery]) {
        if self.watchers.is_empty() {
            return;
        }
        let envelope = following::envelope(&self.context, self.room, deliveries);
        let (mut gone, mut behind) = (Vec::new(), Vec::new());
        for branch in self.branches() {
            let sent = envelope.as_ref().map(|envelope| tree::send(&self.context, self.room, &branch, envelope));
            match sent.unwrap_or(Reached::Behind) {
                Reached::Yes => {}
                Reached::Behind => behind.extend(branch.nodes()),
                Reached::Gone => {
                    behind.extend(branch.onward);
                    gone.push(branch.to);
                }
            }
        }
        gone.into_iter().for_each(|node| self.unwatch_from(node));
        self.are_behind(behind);
    }

    /// These are told the newest seq soon.
    fn are_behind(&mut self, nodes: Vec<NodeId>) {
        if !nodes.is_empty() && self.behind.is_empty() {
            self.me.send_after(BEHIND_EVERY, || RoomMessage::TellBehind(Vec::new()));
        }
        self.behind.extend(nodes);
    }

    /// The nodes to send an event to, each with those behind it. A node that is behind is left out: it reads the log up to
    /// a head that it is told later.
    fn branches(&self) -> Vec<Branch> {
        let there: Vec<NodeId> = self.watchers.difference(&self.behind).copied().collect();
        if self.watchers.len() >= tree::FLAT_MAX {
            return tree::branches(&there);
        }
        there.into_iter().map(|to| Branch { to, onward: Vec::new() }).collect()
    }

    /// It is time to tell those who are behind, or some more are, if they follow.
    pub(super) fn tell_behind(&mut self, missed: Vec<NodeId>) {
        if missed.is_empty() {
            self.tell_those_behind();
        } else {
            self.are_behind(missed.into_iter().filter(|node| self.watchers.contains(node)).collect());
        }
    }

    /// Tells those who were left out what the newest seq is; they read what they miss from the log.
    pub(super) fn tell_those_behind(&mut self) {
        for node in std::mem::take(&mut self.behind) {
            match following::send_head(&self.context, self.room, node, self.committed) {
                Reached::Yes => {}
                Reached::Behind => drop(self.behind.insert(node)),
                Reached::Gone => drop(self.watchers.remove(&node)),
            }
        }
        if !self.behind.is_empty() {
            self.me.send_after(BEHIND_EVERY, || RoomMessage::TellBehind(Vec::new()));
        }
    }

    /// Takes nothing more: what waits is asked anew, wherever the room is ordered then, and what is under way is
    /// settled first. The room has been taken out of the slots.
    pub(super) fn let_go(&mut self, done: Option<oneshot::Sender<()>>) {
        self.leaving = Some(done);
        let waiting = self.waiting.drain(..).map(|(_, ask)| ask);
        let held = self.held.drain().flat_map(|(_, posts)| posts).map(Held::into_ask);
        let targeted = self.targeted.drain().flat_map(|(_, asks)| asks).map(|(_, ask)| ask);
        let asks: Vec<Ask> = waiting.chain(held).chain(targeted).collect();
        self.context.forwards.give_back(&self.context, self.room, asks);
        self.leave_when_settled();
    }

    /// Ends a room that leaves, once nothing of it is under way.
    pub(super) fn leave_when_settled(&mut self) {
        if self.in_flight.is_empty()
            && let Some(done) = self.leaving.take()
        {
            stop(&self.me);
            // Whoever waited may have given up.
            let _ = done.map(|done| done.send(()));
        }
    }
}

fn stop(me: &ActorRef<RoomMessage>) {
    me.stop(Some("the room is ordered elsewhere".into()));
}

impl Held {
    fn into_ask(self) -> Ask {
        let Self { caller, access, post, answer, .. } = self;
        Ask::Post { caller, access, post, answer }
    }
}
