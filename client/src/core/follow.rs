//! Following rooms: once, until told otherwise, and no more at a time than the node answers.

use std::time::Duration;

use hubbub_protocol::{
    op::{Mode, Op},
    push::Subscribed,
};
use serde_json::Value;

use super::{Awaited, Core, Effect, Follow};
use crate::{error::RequestError, track::Track, update::Update};

/// Pause before a room that was refused for now is asked for again, where the node names none.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

impl Core {
    /// Sends what the queue holds, as far as there is room.
    pub(super) fn pump(&mut self, effects: &mut Vec<Effect>) {
        while self.has_room()
            && let Some(follow) = self.queue.pop_front()
        {
            let id = self.next_id();
            let Follow { room, mode, .. } = follow;
            // The track may have got further while the room waited in the queue.
            let after = self.live.get(&room).map(Track::seen).or(follow.after);
            self.awaited.insert(id, Awaited::Follow(Follow { after, ..follow }));
            effects.push(Effect::Send(id, Op::Subscribe { room, after, mode }));
        }
    }

    /// Asks again for what was refused for now.
    pub(crate) fn again(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.queue.extend(std::mem::take(&mut self.later));
        self.pump(&mut effects);
        effects
    }

    pub(super) fn followed(
        &mut self,
        id: u32,
        follow: Follow,
        answer: Result<Value, RequestError>,
        effects: &mut Vec<Effect>,
    ) {
        let read = answer
            .clone()
            .and_then(|ok| serde_json::from_value::<Subscribed>(ok).map_err(|_| RequestError::Unreadable));
        match read {
            Ok(subscribed) => self.follows(follow, &subscribed, effects),
            Err(error) if !follow.asked => self.follows_not(follow, error, effects),
            Err(_) => {}
        }
        if follow.asked {
            effects.push(Effect::Answer(id, answer));
        }
    }

    fn follows(&mut self, follow: Follow, subscribed: &Subscribed, effects: &mut Vec<Effect>) {
        let Follow { room, after, mode, asked } = follow;
        if !asked && !self.live.contains_key(&room) && !self.unread.contains(&room) {
            // Unsubscribed while this was on its way.
            return;
        }
        match mode {
            Mode::Unread => {
                self.live.remove(&room);
                self.unread.insert(room);
            }
            Mode::Live => {
                self.unread.remove(&room);
                let sparse = self.sparse();
                let begin = || Track::after(after.unwrap_or(subscribed.head), sparse);
                let track = self.live.entry(room).or_insert_with(begin);
                // The node sends only what is new, or beyond `after`, though we may stand further back.
                if after.is_none_or(|after| after > track.seen()) {
                    track.owe(subscribed.head);
                    self.heal(room, effects);
                }
                self.told_head(room, after, subscribed.head, subscribed.gap, effects);
            }
        }
    }

    fn follows_not(&mut self, follow: Follow, error: RequestError, effects: &mut Vec<Effect>) {
        match error {
            RequestError::Refused(refusal) if !refusal.retryable => {
                self.let_go(follow.room);
                effects.push(Effect::Tell(Update::Unfollowed { room: follow.room, refusal }));
            }
            RequestError::Refused(refusal) => {
                let pause = refusal.retry_after_ms.map_or(AGAIN_AFTER, Duration::from_millis);
                self.later.push(follow);
                effects.push(Effect::Again(pause));
            }
            _ => {
                self.later.push(follow);
                effects.push(Effect::Again(AGAIN_AFTER));
            }
        }
    }
}
