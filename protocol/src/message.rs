//! A message as it stands now: its `message.created` and every later event about it, folded.
//!
//! The room's rules, history, the importer's export and the client fold with this one function, so
//! `apply(old state, events)` equals a fresh read: the promise that lets a client resume.

use serde::{Deserialize, Serialize};

use crate::{
    emoji::Emoji,
    event::{Created, Event, EventBody, Imported},
    ids::{MessageKey, RoomId, Seq, UserId},
    text::Mentions,
    time::Timestamp,
};

/// Everything that is known of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageState {
    /// The room it was sent to.
    pub room: RoomId,
    /// Its place there.
    pub seq: Seq,
    /// When it was sent.
    pub ts: Timestamp,
    /// Its author.
    pub by: UserId,
    /// The author's key.
    pub key: Option<MessageKey>,
    /// The text now; empty once deleted.
    pub text: String,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// Ids of its files; none once deleted.
    pub files: Vec<String>,
    /// Whom the text mentions now.
    pub mentions: Mentions,
    /// Emoji in order of their first use, each with the people in order; nobody stands for an
    /// archive's unnamed.
    pub reactions: Vec<Reacted>,
    /// The thread that grew out of it, and its title.
    pub thread: Option<(RoomId, String)>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Where it came from, for a message of an archive.
    pub imported: Option<Imported>,
}

/// One emoji on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reacted {
    /// The emoji.
    pub emoji: Emoji,
    /// Who reacted with it, first to last.
    pub users: Vec<UserId>,
    /// People counted but not named by an archive.
    pub unnamed: u32,
}

impl MessageState {
    /// The state right after `message.created`; `None` for other events.
    #[must_use]
    pub fn begin(event: &Event) -> Option<Self> {
        let EventBody::MessageCreated(created) = &event.body else {
            return None;
        };
        let Created { text, reply_to, files, mentions, imported } = (**created).clone();
        Some(Self {
            room: event.room,
            seq: event.seq,
            ts: event.ts,
            by: event.by,
            key: event.key,
            text,
            edited_at: None,
            deleted: imported.as_ref().is_some_and(|from| from.kind.as_deref() == Some("deleted")),
            reply_to,
            files,
            mentions,
            reactions: Vec::new(),
            thread: None,
            pinned: false,
            imported,
        })
    }

    /// Takes in a later event of the same room; events about other messages change nothing.
    pub fn apply(&mut self, event: &Event) {
        if let EventBody::MessagesPurged { user, from, to } = &event.body {
            if (*from..=*to).contains(&self.seq) && user.is_none_or(|user| user == self.by) {
                self.delete();
            }
            return;
        }
        if event.body.target() != Some(self.seq) {
            return;
        }
        match &event.body {
            EventBody::MessageEdited { text, mentions, .. } if !self.deleted => {
                self.text.clone_from(text);
                self.mentions.clone_from(mentions);
                self.edited_at = Some(event.ts);
            }
            EventBody::MessageDeleted { .. } => self.delete(),
            EventBody::ReactionAdded { emoji, count, .. } => self.react(emoji, event.by, *count),
            EventBody::ReactionRemoved { emoji, .. } => self.unreact(emoji, event.by),
            EventBody::MessagePinned { .. } => self.pinned = true,
            EventBody::MessageUnpinned { .. } => self.pinned = false,
            EventBody::ThreadCreated { room, title, .. } => self.thread = Some((*room, title.clone())),
            _ => {}
        }
    }

    /// Whether `user` has reacted with `emoji`.
    #[must_use]
    pub fn has_reacted(&self, emoji: &Emoji, user: UserId) -> bool {
        self.reactions.iter().any(|reacted| reacted.emoji == *emoji && reacted.users.contains(&user))
    }

    fn delete(&mut self) {
        self.deleted = true;
        self.pinned = false;
        self.text.clear();
        self.files.clear();
        self.reactions.clear();
        self.mentions = Mentions::default();
    }

    fn react(&mut self, emoji: &Emoji, user: UserId, unnamed: Option<u32>) {
        let at = self.reactions.iter().position(|reacted| reacted.emoji == *emoji).unwrap_or_else(|| {
            self.reactions.push(Reacted { emoji: emoji.clone(), users: Vec::new(), unnamed: 0 });
            self.reactions.len() - 1
        });
        let reacted = &mut self.reactions[at];
        match unnamed {
            Some(count) => reacted.unnamed += count,
            None if !reacted.users.contains(&user) => reacted.users.push(user),
            None => {}
        }
    }

    fn unreact(&mut self, emoji: &Emoji, user: UserId) {
        for reacted in &mut self.reactions {
            if reacted.emoji == *emoji {
                reacted.users.retain(|known| *known != user);
            }
        }
        self.reactions.retain(|reacted| !reacted.users.is_empty() || reacted.unnamed > 0);
    }
}

/// One emoji on a message, as `me` sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReactionSummary {
    /// The emoji.
    pub emoji: Emoji,
    /// How many people.
    pub count: u64,
    /// Whether the asker is one of them.
    pub me: bool,
}

/// The thread of a message, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ThreadSummary {
    /// The thread's room.
    pub room: RoomId,
    /// Its title.
    pub title: String,
    /// Messages in it.
    pub replies: u64,
    /// When the newest was sent; none before the first.
    pub last_ts: Option<Timestamp>,
}

/// A message as history answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Message {
    /// The room.
    pub room: RoomId,
    /// Its place there.
    pub seq: Seq,
    /// When it was sent.
    pub ts: Timestamp,
    /// Its author.
    pub by: UserId,
    /// The author's key.
    #[schema(value_type = Option<String>)]
    pub key: Option<MessageKey>,
    /// The text now; empty when deleted.
    pub text: String,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// Ids of its files.
    pub files: Vec<String>,
    /// Whom it mentions.
    pub mentions: Mentions,
    /// Reactions, in order of first use.
    pub reactions: Vec<ReactionSummary>,
    /// The thread that grew out of it.
    pub thread: Option<ThreadSummary>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// Where it came from, for a message of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

impl MessageState {
    /// The form for `me`, with what is known of the thread.
    #[must_use]
    pub fn seen_by(self, me: UserId, thread: Option<ThreadSummary>) -> Message {
        let summary = |reacted: Reacted| ReactionSummary {
            count: reacted.users.len() as u64 + u64::from(reacted.unnamed),
            me: reacted.users.contains(&me),
            emoji: reacted.emoji,
        };
        Message {
            room: self.room,
            seq: self.seq,
            ts: self.ts,
            by: self.by,
            key: self.key,
            text: self.text,
            edited_at: self.edited_at,
            deleted: self.deleted,
            reply_to: self.reply_to,
            files: self.files,
            mentions: self.mentions,
            reactions: self.reactions.into_iter().map(summary).collect(),
            thread,
            pinned: self.pinned,
            imported: self.imported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserId = UserId::from_raw(1);
    const BOB: UserId = UserId::from_raw(2);

    fn event(seq: u64, by: UserId, body: EventBody) -> Event {
        Event { room: RoomId::from_raw(5), seq: Seq(seq), ts: Timestamp(1_000), by, key: None, body }
    }

    fn folded(bodies: Vec<(UserId, EventBody)>) -> MessageState {
        let created = EventBody::MessageCreated(Box::new(Created { text: "hi".into(), ..Created::default() }));
        let mut state = MessageState::begin(&event(1, ADA, created)).expect("a message");
        for (seq, (by, body)) in (2..).zip(bodies) {
            state.apply(&event(seq, by, body));
        }
        state
    }

    fn added(emoji: &str) -> EventBody {
        EventBody::ReactionAdded { target: Seq(1), emoji: Emoji::parse(emoji).expect("an emoji"), count: None }
    }

    #[test]
    fn reactions_count_people_once_in_order_of_first_use() {
        let removed = EventBody::ReactionRemoved { target: Seq(1), emoji: Emoji::parse("👍").expect("an emoji") };
        let state = folded(vec![(ADA, added("👍")), (BOB, added("🎉")), (BOB, added("👍")), (BOB, added("👍"))]);
        let seen = state.seen_by(BOB, None).reactions;
        let got: Vec<_> = seen.iter().map(|r| (r.emoji.as_str(), r.count, r.me)).collect();
        assert_eq!(got, [("👍", 2, true), ("🎉", 1, true)]);
        let state = folded(vec![(ADA, added("👍")), (ADA, removed)]);
        assert!(state.reactions.is_empty());
    }

    #[test]
    fn a_deleted_message_keeps_its_place_and_nothing_else() {
        let target = Seq(1);
        let edited = EventBody::MessageEdited { target, text: "late".into(), mentions: Mentions::default() };
        let deleted = EventBody::MessageDeleted { target, reason: None };
        let state = folded(vec![(BOB, added("👍")), (ADA, deleted), (ADA, edited)]);
        assert!(state.deleted && state.text.is_empty() && state.reactions.is_empty());
        assert_eq!(state.seq, target);
    }

    #[test]
    fn a_purge_reaches_only_its_range_and_its_user() {
        let purge = |user, from| EventBody::MessagesPurged { user, from: Seq(from), to: Seq(9) };
        assert!(folded(vec![(BOB, purge(Some(ADA), 1))]).deleted);
        assert!(!folded(vec![(BOB, purge(Some(BOB), 1))]).deleted);
        assert!(!folded(vec![(BOB, purge(None, 2))]).deleted);
    }
}
