//! Posts: decided by the rules, repeated, or held until their key has been looked for in the log.

use std::collections::VecDeque;

use hubbub_protocol::{
    error::Refusal,
    event::{Event, EventBody},
    ids::{Seq, UserId},
    rest::Sent,
    time::Timestamp,
};
use hubbub_storage::{Effect, RecentKey, StoreError};

use super::{Done, Held, RoomMessage, RoomState};
use crate::{
    answer::{Answer, unavailable},
    directory::Access,
    room::core::Decision,
};

impl RoomState {
    pub(super) fn post(&mut self, held: Held, searched: bool) {
        let Some(core) = &self.core else { return };
        let author = held.caller.user;
        let Some(rights) = self.context.directory.still(&held.access, author) else {
            self.judge_anew(held, searched);
            return;
        };
        match core.decide_post(author, rights, &held.post, self.context.now(), searched) {
            Ok(Decision::Accept(event)) => {
                let effects = mention_effects(&event);
                self.store(held.permit.since(), vec![(*event, Done::Sent(held.answer))], effects);
            }
            Ok(Decision::Repeat(seq, ts)) => self.repeat(seq, ts, held.answer),
            Ok(Decision::Search(since)) => self.search(held, since),
            Err(refusal) => held.answer.give(Err(refusal)),
        }
    }

    pub(super) fn repeat(&mut self, seq: Seq, ts: Timestamp, answer: Answer<Sent>) {
        match self.in_flight.iter_mut().find(|waiting| waiting.event.seq == seq) {
            Some(waiting) => waiting.repeats.push(answer),
            None => answer.give(Ok(Sent { seq, ts, repeat: true })),
        }
    }

    /// Looks for the post's key in the log; the author's later posts wait behind it.
    pub(super) fn search(&mut self, held: Held, since: Timestamp) {
        let (author, key) = (held.caller.user, held.post.key);
        self.held.entry(author).or_default().push_front(held);
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let found = context.store.find_key(room, author, key, since).await;
            let _ = me.cast(RoomMessage::Searched { author, found });
        });
    }

    pub(super) fn searched(&mut self, author: UserId, found: Result<Option<RecentKey>, StoreError>) {
        let Some(mut queue) = self.held.remove(&author) else {
            return;
        };
        let Some(held) = queue.pop_front() else {
            return;
        };
        match found {
            Ok(Some(known)) => self.repeat(known.seq, known.ts, held.answer),
            Ok(None) => self.post(held, true),
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %hubbub_storage::ErrorChain(&error), "could not look for a key");
                held.answer.give(Err(unavailable()));
            }
        }
        self.go_on(author, queue);
    }

    /// Asks for the author's rights, which are no longer in memory; the author's later posts wait behind.
    fn judge_anew(&mut self, held: Held, searched: bool) {
        let author = held.caller.user;
        self.held.entry(author).or_default().push_front(held);
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let judged = Box::new(context.directory.access(author, room).await);
            let _ = me.cast(RoomMessage::Judged { author, searched, judged });
        });
    }

    pub(super) fn judged(&mut self, author: UserId, searched: bool, judged: Result<Access, Refusal>) {
        let Some(mut queue) = self.held.remove(&author) else {
            return;
        };
        let Some(mut held) = queue.pop_front() else {
            return;
        };
        match judged {
            Ok(access) => {
                held.access = access;
                self.post(held, searched);
            }
            Err(refusal) => held.answer.give(Err(refusal)),
        }
        self.go_on(author, queue);
    }

    /// Takes an author's posts that waited.
    fn go_on(&mut self, author: UserId, mut queue: VecDeque<Held>) {
        if let Some(again) = self.held.get_mut(&author) {
            again.append(&mut queue);
        }
        while let Some(next) = queue.pop_front() {
            self.post(next, false);
            if let Some(again) = self.held.get_mut(&author) {
                again.append(&mut queue);
            }
        }
    }
}

/// Mentions are facts beside the log, so that unread counts need not read texts.
fn mention_effects(event: &Event) -> Vec<Effect> {
    let EventBody::MessageCreated(created) = &event.body else {
        return Vec::new();
    };
    let (room, seq) = (event.room, event.seq);
    let users = created.mentions.users.iter().filter(|user| **user != event.by);
    let named = users.map(|user| Effect::AddMention { user: Some(*user), room, seq });
    let everyone = created.mentions.everyone.then_some(Effect::AddMention { user: None, room, seq });
    named.chain(everyone).collect()
}
