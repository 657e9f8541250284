//! What is told beside events: who types, and how much is unread.

use std::{sync::Arc, time::Duration};

use hubbub_protocol::{frame::Frame, ids::UserId, limits::TYPING_EVERY_MS, op::Intents, push::Push};

use super::{RelayMessage, RelayState, TYPING_FOLLOWERS_MAX, TYPING_FOR_MS, TYPING_PUSH_EVERY, UNREAD_EVERY};

impl RelayState {
    pub(super) fn typing(&mut self, user: UserId) {
        let now = self.context.now();
        let again = self.typing.get(&user).is_some_and(|at| now.ms_since(*at) < TYPING_EVERY_MS);
        if again || self.live.len() > TYPING_FOLLOWERS_MAX {
            return;
        }
        self.typing.insert(user, now);
        if !std::mem::replace(&mut self.typing_timer, true) {
            self.push_typing();
            self.me.send_after(TYPING_PUSH_EVERY, || RelayMessage::FlushTyping);
        }
    }

    pub(super) fn flush_typing(&mut self) {
        if std::mem::take(&mut self.typing_timer) && self.typing.len() > 1 {
            self.push_typing();
        }
    }

    pub(super) fn push_typing(&mut self) {
        let now = self.context.now();
        self.typing.retain(|_, at| now.ms_since(*at) < TYPING_FOR_MS);
        let mut users: Vec<UserId> = self.typing.keys().copied().collect();
        users.sort_unstable_by_key(|user| std::cmp::Reverse(self.typing.get(user).copied()));
        let more = users.len().saturating_sub(3) as u64;
        users.truncate(3);
        if users.is_empty() {
            return;
        }
        let frame = Arc::new(Frame::of(&Push::Typing { room: self.room, users, more }));
        for follower in self.live.iter().filter(|follower| follower.intents.has(Intents::TYPING)) {
            follower.connection.ephemeral(&frame);
        }
    }

    pub(super) fn unread_soon(&mut self) {
        if self.unread_timer {
            return;
        }
        let since_ms = self.context.now().ms_since(self.unread_sent_at);
        let wait = UNREAD_EVERY.saturating_sub(Duration::from_millis(since_ms));
        if wait.is_zero() {
            self.flush_unread();
        } else {
            self.unread_timer = true;
            self.me.send_after(wait, || RelayMessage::FlushUnread);
        }
    }

    pub(super) fn flush_unread(&mut self) {
        self.unread_timer = false;
        self.unread_sent_at = self.context.now();
        let Some(head) = self.head else { return };
        for unread in self.unread.values_mut().filter(|unread| unread.told < head) {
            unread.told = head;
            let follower = &unread.follower;
            if follower.intents.has(Intents::UNREAD) {
                let (_, mentions) = self.context.markers.of(follower.user, self.room);
                let push = Push::Unread { room: self.room, head, mentions };
                follower.connection.ephemeral(&Arc::new(Frame::of(&push)));
            }
        }
    }
}
