//! What is sent to the devices of a user on other nodes.

use std::sync::Arc;

use hubbub_protocol::{
    frame::Frame,
    ids::{RoomId, Seq, UserId},
    push::Push,
};

use super::wire::{Mentioned, ToUsers};
use crate::{context::Context, user::UserMessage};

impl Context {
    /// Sends `push` to every device of each of `users`, wherever it is connected; nobody misses it when it is lost.
    pub fn push_to(&self, users: &[UserId], push: &Push, except: Option<u64>) {
        if users.is_empty() {
            return;
        }
        let frame = Arc::new(Frame::of(push));
        self.push_here(users, &frame, except);
        if !self.peers.others().is_empty() {
            self.peers.tell_all(&ToUsers { users: users.to_vec(), push: frame.payload_bytes(), except });
        }
    }

    pub(crate) fn push_here(&self, users: &[UserId], frame: &Arc<Frame>, except: Option<u64>) {
        for user in users {
            self.users.send_if_here(*user, UserMessage::Push { frame: frame.clone(), except });
        }
    }

    /// Counts a mention for those of `users` who are here or elsewhere.
    pub(crate) fn mentioned(&self, users: &[UserId], room: RoomId, seq: Seq) {
        if users.is_empty() {
            return;
        }
        users.iter().for_each(|user| self.markers.mentioned(*user, room, seq));
        if !self.peers.others().is_empty() {
            self.peers.tell_all(&Mentioned { users: users.to_vec(), room, seq });
        }
    }
}
