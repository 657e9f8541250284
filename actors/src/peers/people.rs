//! What is sent to users, wherever they are: pushes for their devices, mentions for their counts.
//!
//! Here at once, and elsewhere by way of their homes ([`super::homes`]).

use std::sync::Arc;

use hubbub_protocol::{
    frame::Frame,
    ids::{NodeId, RoomId, Seq, UserId},
    peer::{Class, Lane, PeerMessage},
    push::Push,
};

use super::{
    Peers,
    homes::Told,
    wire::{Mentioned, ToHome, ToUsers},
};
use crate::{context::Context, user::UserMessage};

/// The lane for it: one, so that what one node sends to a user keeps its order.
const PEOPLE: Lane = Class::Deliver.lane(0);
/// Users told by one message: 64 KiB of ids.
const USERS_MAX: usize = 8_192;

impl Context {
    /// Sends `push` to every device of each of `users`, wherever it is connected; nobody misses it when it is lost.
    pub fn push_to(&self, users: &[UserId], push: &Push, except: Option<u64>) {
        if users.is_empty() {
            return;
        }
        let frame = Arc::new(Frame::of(push));
        self.push_here(users, &frame, except);
        self.tell_others(users, || Told::Push { push: frame.payload_bytes(), except });
    }

    /// Counts a mention for those of `users` who are here or elsewhere.
    pub(crate) fn mentioned(&self, users: &[UserId], room: RoomId, seq: Seq) {
        if users.is_empty() {
            return;
        }
        self.mentioned_here(users, room, seq);
        self.tell_others(users, || Told::Mention { room, seq });
    }

    fn tell_others(&self, users: &[UserId], told: impl FnOnce() -> Told) {
        if !self.peers.others().is_empty() {
            let told = told();
            users.chunks(USERS_MAX).for_each(|users| self.tell_elsewhere(users, &told));
        }
    }

    pub(crate) fn push_here(&self, users: &[UserId], frame: &Arc<Frame>, except: Option<u64>) {
        for user in users {
            self.users.send_if_here(*user, UserMessage::Push { frame: frame.clone(), except });
        }
    }

    pub(crate) fn mentioned_here(&self, users: &[UserId], room: RoomId, seq: Seq) {
        users.iter().for_each(|user| self.markers.mentioned(*user, room, seq));
    }

    /// Takes what another node has for users who live here.
    pub(crate) fn told_as_home(&self, from: NodeId, ToHome { users, told }: &ToHome) {
        match told {
            Told::Push { push, except } => self.push_here(users, &Arc::new(Frame::new(push)), *except),
            Told::Mention { room, seq } => self.mentioned_here(users, *room, *seq),
        }
        self.forward(users, told, Some(from));
    }
}

impl Peers {
    /// Sends to the home of users; says whether it could.
    pub(super) fn tell_home(&self, home: NodeId, users: &[UserId], told: &Told) -> bool {
        self.tell(home, &ToHome { users: users.to_vec(), told: told.clone() })
    }

    /// Sends to users on a node.
    pub(super) fn tell_node(&self, node: NodeId, users: &[UserId], told: &Told) {
        let users = users.to_vec();
        let _sent = match told {
            Told::Push { push, except } => self.tell(node, &ToUsers { users, push: push.clone(), except: *except }),
            Told::Mention { room, seq } => self.tell(node, &Mentioned { users, room: *room, seq: *seq }),
        };
    }

    fn tell(&self, node: NodeId, message: &impl PeerMessage) -> bool {
        let Some(envelope) = self.pack(message) else { return true };
        let sent = self.bus().cast(node, PEOPLE, envelope);
        sent.inspect_err(|error| tracing::debug!(node.id = %node, %error, "could not tell a node of users")).is_ok()
    }
}
