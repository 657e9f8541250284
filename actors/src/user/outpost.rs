//! The outpost of a user: reports what this node has to the user's home, and is told how the user stands.
//!
//! # Invariants
//!
//! * The home is told of every change, and all of it again when it is another node or has a new link.
//! * Whoever watches is answered within [`ASKED_WITHIN`], by what is known here if the home says nothing.

use std::time::Duration;

use hubbub_protocol::{ids::NodeId, push::Presence};
use tokio::sync::oneshot;

use super::{Said, Share, Stand, UserMessage, UserState};
use crate::{answer::Answer, peers::reports::Report};

/// How long the home may take to say how a user stands.
const ASKED_WITHIN: Duration = Duration::from_secs(1);

impl UserState {
    /// Whether a watcher can be answered without asking the home.
    pub(super) fn knows(&self) -> bool {
        // Of a device that has just come here this node knows, but not of what the user said on another.
        let heard = self.heard == Some(self.context.home_of(self.user));
        self.known.is_some() || heard && self.share().is_present() || self.is_home()
    }

    /// Has the home asked, by reporting that somebody watches.
    pub(super) fn ask_home(&mut self, answer: Answer<Presence>) {
        self.report();
        self.asking.push(answer);
        if self.context.cut_off.lock().contains(&self.context.home_of(self.user)) {
            self.answer_askers();
        } else if self.asking.len() == 1 {
            self.later(ASKED_WITHIN, || UserMessage::AskedLongEnough);
        }
    }

    pub(super) fn answer_askers(&mut self) {
        std::mem::take(&mut self.asking).into_iter().for_each(|answer| self.answer(answer));
    }

    /// Tells the home what this node has, if it has not been told.
    pub(super) fn report(&mut self) {
        if self.is_home() {
            self.reported = None;
            return;
        }
        let (place, share) = (self.context.home_place(self.user), self.share());
        let home = place.owner;
        if !share.watches {
            // Nobody tells changes of it any more.
            self.known = None;
        }
        if !share.watches && !share.devices {
            self.heard = None;
        }
        let told = self.reported.as_ref().filter(|(at, _)| *at == home).map(|(_, told)| told);
        if told == Some(&share) || share.is_empty() && told.is_none_or(Share::is_empty) {
            return;
        }
        let report = Report::Share(share.clone(), place.epoch);
        self.context.homes.reports.put(&self.context, home, self.user, report);
        self.reported = Some((home, share));
    }

    /// Tells `known` once the home has what was reported.
    pub(super) fn tell_when_known(&self, known: oneshot::Sender<()>) {
        let home = self.context.home_of(self.user);
        if home == self.context.this_node() {
            // Whoever stopped waiting goes on without.
            let _: Result<(), ()> = known.send(());
        } else if !self.context.cut_off.lock().contains(&home) {
            self.context.homes.reports.tell_when_taken(home, self.user, known);
        }
    }

    /// Reports all of it anew: the home is another one, or its link is new.
    pub(super) fn announce(&mut self) {
        // What there is no more has been taken back, or ends with the epoch under which it was reported.
        (self.reported, self.heard) = (None, None);
        if self.is_home() {
            self.answer_askers();
        } else {
            self.elsewhere.clear();
        }
        self.report();
        self.tell();
    }

    /// The home says how the user stands.
    pub(super) fn take_stand(&mut self, home: NodeId, stand: Stand) {
        if home != self.context.home_of(self.user) || self.is_home() {
            return;
        }
        self.said = Said::newer(self.said.take(), stand.said.clone());
        // What the home says is known there.
        if let Some((_, told)) = &mut self.reported {
            told.said.clone_from(&self.said);
        }
        self.heard = Some(home);
        self.known = (!self.watchers.is_empty()).then(|| stand.or_known(self.known.take()));
        self.answer_askers();
        self.tell();
    }

    /// A node cannot be reached any more.
    pub(super) fn node_gone(&mut self, node: NodeId) {
        if self.is_home() {
            self.lose(node);
            self.tell();
        } else if node == self.context.home_of(self.user) {
            self.answer_askers();
        }
    }
}
