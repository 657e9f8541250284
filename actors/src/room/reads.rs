//! What is read of a room: history and its kin. These ask the store, not the room's actor; what was
//! answered as sent is in the store.

use bytes::Bytes;
use hubbub_protocol::{
    emoji::Emoji,
    error::Refusal,
    event::{Event, EventBody},
    ids::{RoomId, Seq, UserId},
    message::{Message, MessageState, ThreadSummary},
    op::Page,
    permissions::Permissions,
    rest::{Edit, History},
};
use hubbub_storage::{MessagePage, Window};

use super::Rooms;
use crate::{caller::Caller, tails};

/// Reads of a page after which one that moved meanwhile is taken as it is.
const STEADY_TRIES: u32 = 3;
/// Texts of one message that are told.
const EDITS_MAX: usize = 100;

impl Rooms {
    async fn may_read(&self, caller: Caller, room: RoomId) -> Result<(), Refusal> {
        let access = self.context.directory.access(caller.user, room).await?;
        if access.permissions.has(Permissions::HISTORY) {
            Ok(())
        } else {
            Err(Refusal::forbidden("read what was said before"))
        }
    }

    /// A page of messages.
    ///
    /// # Errors
    /// The refusals of `history`.
    pub async fn history(
        &self,
        caller: Caller,
        room: RoomId,
        page: Page,
        limit: usize,
    ) -> Result<History, Refusal> {
        self.may_read(caller, room).await?;
        let window = match page {
            Page::Newest => Window::Newest,
            Page::Before(seq) => Window::Before(seq),
            Page::After(seq) => Window::After(seq),
            Page::Around(seq) => Window::Around(seq),
        };
        let hot = if window == Window::Newest { self.newest_by_the_tail(room, limit).await } else { None };
        let (head, page) = match hot {
            Some(page) => page,
            None => self.page_at_a_head(room, window, limit).await?,
        };
        let messages = self.seen_by(caller.user, page.messages).await?;
        Ok(History { messages, more_before: page.more_before, more_after: page.more_after, head })
    }

    /// The newest page at the head that the store has, made of the room's hot tail; `None` when that does not help.
    async fn newest_by_the_tail(&self, room: RoomId, limit: usize) -> Option<(Seq, MessagePage)> {
        let events = tails::read(&self.context, room).await?;
        let (head, _) = events.last()?;
        Some((*head, tails::page::newest(&events, limit)?))
    }

    /// Reads a page together with the head it was read at, so that a client that applies the events
    /// after that head ends where a fresh read would. In a room that moves all the time the page may
    /// hold a little more than its head says, after [`STEADY_TRIES`] reads.
    async fn page_at_a_head(
        &self,
        room: RoomId,
        window: Window,
        limit: usize,
    ) -> Result<(Seq, MessagePage), Refusal> {
        let directory = &self.context.directory;
        let mut head =
            directory.read(self.context.store.heads(&[room]).await)?.first().copied().unwrap_or_default();
        for tries in 1.. {
            let page = directory.read(self.context.store.messages(room, window, limit).await)?;
            let after =
                directory.read(self.context.store.heads(&[room]).await)?.first().copied().unwrap_or_default();
            if after == head || tries == STEADY_TRIES {
                return Ok((head, page));
            }
            head = after;
        }
        Err(crate::answer::unavailable())
    }

    /// One message.
    ///
    /// # Errors
    /// The refusals of `history`; `not_found`.
    pub async fn message(&self, caller: Caller, room: RoomId, seq: Seq) -> Result<Message, Refusal> {
        let state = self.state(caller, room, seq).await?;
        self.seen_by(caller.user, vec![state]).await?.pop().ok_or_else(|| Refusal::not_found("message"))
    }

    async fn state(&self, caller: Caller, room: RoomId, seq: Seq) -> Result<MessageState, Refusal> {
        self.may_read(caller, room).await?;
        let read = self.context.store.message(room, seq).await;
        self.context.directory.read(read)?.ok_or_else(|| Refusal::not_found("message"))
    }

    /// The texts a message had, oldest first; none of a deleted one.
    ///
    /// # Errors
    /// The refusals of `history`; `not_found`.
    pub async fn edits(&self, caller: Caller, room: RoomId, seq: Seq) -> Result<Vec<Edit>, Refusal> {
        if self.state(caller, room, seq).await?.deleted {
            return Ok(Vec::new());
        }
        let read = self.context.store.edits(room, seq, EDITS_MAX).await;
        let mut edits = Vec::new();
        for stored in self.context.directory.read(read)? {
            let text = match Event::decode(&stored.push).map(|event| event.body) {
                Ok(EventBody::MessageCreated(created)) => created.text,
                Ok(EventBody::MessageEdited { text, .. }) => text,
                Ok(_) | Err(_) => continue,
            };
            edits.push(Edit { seq: stored.seq, ts: stored.ts, text });
        }
        Ok(edits)
    }

    /// The pinned messages of a room, oldest pin first.
    ///
    /// # Errors
    /// The refusals of `history`.
    pub async fn pins(&self, caller: Caller, room: RoomId) -> Result<Vec<Message>, Refusal> {
        self.may_read(caller, room).await?;
        let read = self.context.store.pins(room).await;
        let mut states = Vec::new();
        for seq in self.context.directory.read(read)? {
            let read = self.context.store.message(room, seq).await;
            states.extend(self.context.directory.read(read)?);
        }
        self.seen_by(caller.user, states).await
    }

    /// Who reacted to a message with an emoji, first to last.
    ///
    /// # Errors
    /// The refusals of `history`; `not_found`.
    pub async fn reactors(
        &self,
        caller: Caller,
        room: RoomId,
        seq: Seq,
        emoji: &Emoji,
    ) -> Result<Vec<UserId>, Refusal> {
        let state = self.state(caller, room, seq).await?;
        let reacted = state.reactions.into_iter().find(|reacted| reacted.emoji == *emoji);
        Ok(reacted.map(|reacted| reacted.users).unwrap_or_default())
    }

    /// Up to `limit` events after `after`, as pushes, and where to go on if there may be more.
    /// `room` may be a community's log, for those with the right to view it.
    ///
    /// # Errors
    /// The refusals of `history`.
    pub async fn events(
        &self,
        caller: Caller,
        room: RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<(Vec<Bytes>, Option<Seq>), Refusal> {
        self.may_read(caller, room).await?;
        let read = self.context.store.events(room, after, limit).await;
        let events = self.context.directory.read(read)?;
        let next = (events.len() == limit).then(|| events.last().map(|event| event.seq)).flatten();
        Ok((events.into_iter().map(|event| event.push).collect(), next))
    }

    /// Messages in the form for `user`, with what is known of their threads.
    async fn seen_by(&self, user: UserId, states: Vec<MessageState>) -> Result<Vec<Message>, Refusal> {
        let threads: Vec<RoomId> =
            states.iter().filter_map(|state| state.thread.as_ref().map(|(room, _)| *room)).collect();
        let counts = if threads.is_empty() {
            Vec::new()
        } else {
            self.context.directory.read(self.context.store.counts(&threads).await)?
        };
        let counts: std::collections::HashMap<_, _> = threads.into_iter().zip(counts).collect();
        let mut seen = Vec::with_capacity(states.len());
        for state in states {
            let mut thread = None;
            if let Some((room, title)) = state.thread.clone() {
                let facts = self.context.directory.room(room).await?;
                let title = facts.map_or(title, |facts| facts.name.clone());
                let (replies, last_ts) = counts.get(&room).copied().unwrap_or_default();
                thread = Some(ThreadSummary { room, title, replies, last_ts });
            }
            seen.push(state.seen_by(user, thread));
        }
        Ok(seen)
    }
}
