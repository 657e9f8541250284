//! A user who rests: what the state does about messages while it has no actor.
//!
//! # Invariants
//!
//! * A user rests only while no timer runs: a timer knows the actor that it was set by.
//! * What is taken asleep changes nothing of the state, so it needs no turn of an actor's.

use std::sync::Arc;

use hubbub_protocol::frame::Frame;
use smallvec::SmallVec;

use super::{UserMessage, UserState, home::Elsewhere};
use crate::connection::Connection;

/// A push that a resting user's devices are to be sent, outside any lock.
#[derive(Debug)]
pub(super) struct Asleep {
    frame: Arc<Frame>,
    devices: SmallVec<[Arc<dyn Connection>; 2]>,
}

impl Asleep {
    pub(super) fn carry_out(self) {
        self.devices.iter().for_each(|device| device.ephemeral(&self.frame));
    }
}

impl UserState {
    /// Whether nothing is under way that needs an actor.
    pub(super) fn may_rest(&self) -> bool {
        let timers = self.timer || self.away.is_some() || self.elsewhere.values().any(Elsewhere::is_leaving);
        !timers && self.expected.is_empty() && self.asking.is_empty()
    }

    /// Whether a message can be taken without an actor: a push, and what is no news to this user.
    pub(super) fn sleeps_through(&self, message: &UserMessage) -> bool {
        match message {
            UserMessage::Push { .. } | UserMessage::Rest => true,
            UserMessage::NodeGone { node } => !self.elsewhere.contains_key(node),
            // Who has devices here is present, whatever other nodes report.
            UserMessage::Settled => self.elsewhere.is_empty() && !self.devices.is_empty(),
            _ => false,
        }
    }

    /// What is to be done about such a message.
    pub(super) fn take_asleep(&self, message: UserMessage) -> Option<Asleep> {
        let UserMessage::Push { frame, except } = message else { return None };
        let wanted = |(session, _): &&(u64, Arc<dyn Connection>)| Some(*session) != except;
        let devices = self.devices.iter().filter(wanted).map(|(_, device)| device.clone()).collect();
        Some(Asleep { frame, devices })
    }
}
