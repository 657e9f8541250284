//! The home of a user: what all nodes have of the user, put together.
//!
//! # Invariants
//!
//! * A node that has watchers or devices is told every change of how the user stands, and at once when it reports.
//! * A node that is gone counts for as long as a device that has gone: the user may be on the way to another one.
//! * Only a home that every node has had the time to report to says that a user is absent; until then it goes by what
//!   was known here before.

use hubbub_protocol::ids::{Epoch, NodeId};

use super::{Said, Share, Stand, UserState};
use crate::peers::reports::Report;

/// What another node has of the user, and what it was told.
#[derive(Debug)]
pub(super) struct Elsewhere {
    share: Share,
    told: Option<Stand>,
    /// The absence that began when the node went.
    absence: Option<u64>,
    /// Of the home's shard, as the node knew it.
    epoch: Epoch,
}

impl Elsewhere {
    /// Whether the node has gone, and not for long enough to say so.
    pub(super) const fn is_leaving(&self) -> bool {
        self.absence.is_some()
    }

    /// Whether the node is told how the user stands.
    const fn listens(&self) -> bool {
        self.share.watches || self.share.devices
    }
}

impl UserState {
    /// Whether this node is the user's home.
    pub(super) fn is_home(&self) -> bool {
        self.context.home_of(self.user) == self.context.this_node()
    }

    /// How the user stands, as far as this node knows.
    pub(super) fn stand(&self) -> Stand {
        let here = self.share().is_present();
        let said = self.said.clone();
        if !self.is_home() {
            // The home is about to hear of devices that have just come here.
            let known = if here { None } else { self.known.clone() };
            return known.unwrap_or(Stand { present: here, said, settled: here });
        }
        let present = here || self.elsewhere.values().any(|elsewhere| elsewhere.share.is_present());
        let settled = present || self.context.homes.is_settled(self.context.shard_of_user(self.user));
        let known = self.known.clone().map(|known| Stand { said: said.clone(), settled: false, ..known });
        Stand { present, said, settled }.or_known(known)
    }

    /// Another node says what it has of the user.
    pub(super) fn take_share(&mut self, node: NodeId, share: Share, epoch: Epoch) {
        if !self.is_home() {
            // It hears of the new home as this node has.
            return;
        }
        self.said = Said::newer(self.said.take(), share.said.clone());
        if share.is_empty() {
            self.elsewhere.remove(&node);
        } else {
            // It may have forgotten what it was told.
            self.elsewhere.insert(node, Elsewhere { share, told: None, absence: None, epoch });
            self.tell_outpost(node);
        }
        self.tell();
    }

    /// Tells one node how the user stands; says whether it had to be told.
    fn tell_outpost(&mut self, node: NodeId) -> bool {
        let stand = self.stand();
        let Some(outpost) = self.elsewhere.get_mut(&node).filter(|outpost| outpost.listens()) else { return false };
        if outpost.told.as_ref() == Some(&stand) {
            return false;
        }
        outpost.told = Some(stand.clone());
        self.context.homes.reports.put(&self.context, node, self.user, Report::Stand(stand));
        true
    }

    /// Tells every node that listens what it does not know yet; says whether there was one.
    pub(super) fn tell_outposts(&mut self) -> bool {
        if self.elsewhere.is_empty() || !self.is_home() {
            return false;
        }
        let nodes: Vec<NodeId> = self.elsewhere.keys().copied().collect();
        nodes.into_iter().filter(|node| self.tell_outpost(*node)).count() > 0
    }

    /// Every node has had the time to report under the epoch of now; who has not has nothing any more.
    pub(super) fn settled(&mut self) {
        let epoch = self.context.home_place(self.user).epoch;
        self.elsewhere.retain(|_, elsewhere| elsewhere.epoch >= epoch || elsewhere.absence.is_some());
        self.tell();
    }

    /// A node is gone, with all it had.
    pub(super) fn lose(&mut self, node: NodeId) {
        let Some(lost) = self.elsewhere.remove(&node) else { return };
        let share = lost.share.left_behind();
        if !share.is_empty() {
            let absence = Some(self.check_later(Some(node)));
            self.elsewhere.insert(node, Elsewhere { share, told: None, absence, epoch: lost.epoch });
        }
    }

    /// A node went so long ago that whoever was there is not on the way any more.
    pub(super) fn stayed_away(&mut self, node: NodeId, absence: u64) {
        if self.elsewhere.get(&node).is_some_and(|elsewhere| elsewhere.absence == Some(absence)) {
            self.elsewhere.remove(&node);
        }
    }
}
