//! The rules of one room: who may do what, in what order, and what counts as a repeat.
//!
//! A room numbers its events. History, unread counts and "go on where I stopped" are all expressed in
//! those numbers, and this module is the only place that creates one. The state runs ahead of the
//! disk by the events that are being appended; when an append fails the whole state is thrown away
//! and loaded again, so it never tells of an event that is not going to be stored.
//!
//! # Invariants
//!
//! * Accepted events are numbered on from the head, without a gap.
//! * One `(author, key)` has at most one number, whatever was forgotten in between.
//! * A refusal changes nothing: to judge takes `&self`, to change takes [`RoomCore::apply`].
//! * Times of a room never go back.
//!
//! Nothing here waits, reads a clock or draws a random number. [`super::actor`] carries decisions out.

use std::collections::{BTreeSet, HashMap};

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::{Created, Event, EventBody},
    ids::{MessageKey, RoomId, Seq, UserId},
    permissions::Permissions,
    text::{Mentions, Text},
    time::Timestamp,
};

use super::{
    keys::{KeyWindow, Seen},
    post::NewPost,
};

/// Users whose last send is remembered for slow mode; the oldest are forgotten beyond it.
/// 16 bytes each: 160 KB at most.
const SLOW_USERS_MAX: usize = 10_000;

/// What a room is set to, as far as its rules go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Whether it takes no more messages.
    pub archived: bool,
    /// Seconds between two sends of one member.
    pub slow_mode_s: u32,
}

/// What should happen to a post.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Store this event, after [`RoomCore::apply`].
    Accept(Box<Event>),
    /// It is there already, under this number.
    Repeat(Seq, Timestamp),
    /// The key may lie before what is remembered: look for it in the log from this time on, and
    /// judge again with what was found.
    Search(Timestamp),
}

/// Everything the rules need to know about a room.
#[derive(Debug)]
pub struct RoomCore {
    room: RoomId,
    head: Seq,
    last_ts: Timestamp,
    keys: KeyWindow,
    rules: Rules,
    last_sent: HashMap<UserId, Timestamp>,
    pins: Option<BTreeSet<Seq>>,
}

impl RoomCore {
    /// A room whose log ends at `head`, with the keys that the log's end holds.
    #[must_use]
    pub fn new(room: RoomId, head: Seq, last_ts: Timestamp, keys: KeyWindow, rules: Rules) -> Self {
        let last_sent = keys.last_sends();
        Self { room, head, last_ts, keys, rules, last_sent, pins: None }
    }

    /// The newest number given out.
    #[must_use]
    pub const fn head(&self) -> Seq {
        self.head
    }

    /// The time of the newest event.
    #[must_use]
    pub const fn last_ts(&self) -> Timestamp {
        self.last_ts
    }

    /// Takes over changed settings.
    pub const fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Whether the pins are known.
    #[must_use]
    pub const fn knows_pins(&self) -> bool {
        self.pins.is_some()
    }

    /// Learns the pins.
    pub fn learn_pins(&mut self, pins: BTreeSet<Seq>) {
        self.pins = Some(pins);
    }

    /// How many pins there are, as far as known.
    #[must_use]
    pub fn pins(&self) -> usize {
        self.pins.as_ref().map_or(0, BTreeSet::len)
    }

    /// Judges `post` of `author`. `searched` says that the log holds no such key.
    ///
    /// # Errors
    /// The refusals of `send`.
    pub fn decide_post(
        &self,
        author: UserId,
        rights: Permissions,
        post: &NewPost,
        now: Timestamp,
        searched: bool,
    ) -> Result<Decision, Refusal> {
        // First, because the earlier attempt did succeed, whatever has changed since.
        match self.keys.find(author, post.key, now) {
            Seen::As(seq, ts) => return Ok(Decision::Repeat(seq, ts)),
            Seen::MaybeSince(since) if !searched => return Ok(Decision::Search(since)),
            Seen::MaybeSince(_) | Seen::Never => {}
        }
        self.may_send(author, rights, now)?;
        let text = Text::parse(post.text.clone())?;
        if post.reply_to.is_some_and(|seq| seq == Seq(0) || seq > self.head) {
            return Err(Refusal::not_found("message to answer"));
        }
        if !post.files.is_empty() {
            return Err(Refusal::not_found("file"));
        }
        let mut mentions = Mentions::of(text.as_str());
        mentions.everyone &= rights.has(Permissions::MENTION_EVERYONE);
        let created = Created {
            text: text.into_string(),
            reply_to: post.reply_to,
            files: Vec::new(),
            mentions,
            imported: None,
        };
        let body = EventBody::MessageCreated(Box::new(created));
        Ok(Decision::Accept(Box::new(self.event(author, Some(post.key), body, now))))
    }

    fn may_send(&self, author: UserId, rights: Permissions, now: Timestamp) -> Result<(), Refusal> {
        if self.rules.archived {
            return Err(archived());
        }
        if !rights.has(Permissions::SEND) {
            return Err(Refusal::forbidden("send here"));
        }
        let wait_ms = u64::from(self.rules.slow_mode_s) * 1_000;
        if let Some(last) = self.last_sent.get(&author).filter(|_| !rights.has(Permissions::BYPASS_SLOW_MODE)) {
            let passed_ms = now.ms_since(*last);
            if passed_ms < wait_ms {
                let message = format!("this room takes one message in {} s", self.rules.slow_mode_s);
                return Err(Refusal::new(ErrorCode::SlowMode, message).after_ms(wait_ms - passed_ms));
            }
        }
        Ok(())
    }

    /// The next event of the room. Its time is `now`, or the last event's when the clock stepped
    /// back.
    #[must_use]
    pub fn event(&self, by: UserId, key: Option<MessageKey>, body: EventBody, now: Timestamp) -> Event {
        Event { room: self.room, seq: self.head.next(), ts: now.max(self.last_ts), by, key, body }
    }

    /// Whether the room takes changes at all.
    ///
    /// # Errors
    /// `archived`.
    pub fn may_change(&self) -> Result<(), Refusal> {
        if self.rules.archived { Err(archived()) } else { Ok(()) }
    }

    /// Takes in an event that is about to be stored.
    ///
    /// # Panics
    /// When the event is not the room's next.
    pub fn apply(&mut self, event: &Event) {
        assert_eq!(event.seq, self.head.next(), "room {} and its event disagree on the order", self.room);
        self.head = event.seq;
        self.last_ts = self.last_ts.max(event.ts);
        if let Some(key) = event.key {
            self.keys.insert(event.by, key, event.seq, event.ts);
        }
        match &event.body {
            EventBody::MessageCreated(_) if self.rules.slow_mode_s > 0 => self.note_send(event.by, event.ts),
            EventBody::MessagePinned { target } => {
                if let Some(pins) = &mut self.pins {
                    pins.insert(*target);
                }
            }
            EventBody::MessageUnpinned { target } | EventBody::MessageDeleted { target, .. } => {
                if let Some(pins) = &mut self.pins {
                    pins.remove(target);
                }
            }
            EventBody::MessagesPurged { .. } => self.pins = None,
            _ => {}
        }
    }

    fn note_send(&mut self, user: UserId, ts: Timestamp) {
        if self.last_sent.len() >= SLOW_USERS_MAX {
            let wait_ms = u64::from(self.rules.slow_mode_s) * 1_000;
            self.last_sent.retain(|_, last| ts.ms_since(*last) < wait_ms);
        }
        if self.last_sent.len() < SLOW_USERS_MAX || self.last_sent.contains_key(&user) {
            self.last_sent.insert(user, ts);
        }
    }
}

fn archived() -> Refusal {
    Refusal::new(ErrorCode::Archived, "this room is archived")
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ADA: UserId = UserId::from_raw(1);
    const BOB: UserId = UserId::from_raw(2);
    const NOW: Timestamp = Timestamp(1_795_435_200_000);

    fn room(rules: Rules) -> RoomCore {
        let keys = KeyWindow::new(NOW.plus_ms(-600_000));
        RoomCore::new(RoomId::from_raw(5), Seq(0), Timestamp(0), keys, rules)
    }

    fn key(now: Timestamp, n: u8) -> MessageKey {
        let ms = u64::try_from(now.0).expect("after 1970");
        MessageKey(uuid::Builder::from_unix_timestamp_millis(ms, &[n; 10]).into_uuid())
    }

    fn post(n: u8, text: &str) -> NewPost {
        NewPost { key: key(NOW, n), text: text.into(), reply_to: None, files: vec![], retry: false }
    }

    fn decide(room: &RoomCore, by: UserId, post: &NewPost, now: Timestamp) -> Result<Decision, ErrorCode> {
        room.decide_post(by, Permissions::MEMBER, post, now, false).map_err(|refusal| refusal.code)
    }

    fn accept(room: &mut RoomCore, by: UserId, post: &NewPost, now: Timestamp) -> Seq {
        let Ok(Decision::Accept(event)) = decide(room, by, post, now) else { panic!("refused: {post:?}") };
        room.apply(&event);
        event.seq
    }

    #[test]
    fn messages_are_numbered_from_one_without_a_gap() {
        let mut room = room(Rules::default());
        let numbers = [1, 2, 3].map(|n| accept(&mut room, ADA, &post(n, "hi"), NOW));
        assert_eq!(numbers, [Seq(1), Seq(2), Seq(3)]);
    }

    #[test]
    fn a_repeat_is_given_the_first_number_even_when_it_would_be_refused_now() {
        let mut room = room(Rules::default());
        let first = post(1, "hello");
        let seq = accept(&mut room, ADA, &first, NOW);
        room.set_rules(Rules { archived: true, slow_mode_s: 0 });
        assert_eq!(decide(&room, ADA, &first, NOW), Ok(Decision::Repeat(seq, NOW)));
        let other_text = NewPost { text: String::new(), ..first };
        assert_eq!(decide(&room, ADA, &other_text, NOW), Ok(Decision::Repeat(seq, NOW)));
    }

    #[test]
    fn the_same_key_of_two_people_is_two_messages() {
        let mut room = room(Rules::default());
        let numbers = [ADA, BOB].map(|by| accept(&mut room, by, &post(1, "hi"), NOW));
        assert_eq!(numbers, [Seq(1), Seq(2)]);
    }

    #[test]
    fn a_key_that_may_be_older_than_memory_is_searched_for_once() {
        let room = room(Rules::default());
        let old = NewPost { key: key(NOW.plus_ms(-3_600_000), 1), ..post(1, "hi") };
        let untimed = NewPost { key: MessageKey(Uuid::from_u128(77)), ..post(1, "hi") };
        let future = NewPost { key: key(NOW.plus_ms(3_600_000), 1), ..post(1, "hi") };
        for post in [old, untimed, future] {
            assert!(matches!(decide(&room, ADA, &post, NOW), Ok(Decision::Search(_))), "{post:?}");
            let judged = room.decide_post(ADA, Permissions::MEMBER, &post, NOW, true);
            assert!(matches!(judged, Ok(Decision::Accept(_))), "{post:?}");
        }
    }

    #[test]
    fn slow_mode_says_how_long_to_wait() {
        let mut room = room(Rules { archived: false, slow_mode_s: 10 });
        accept(&mut room, ADA, &post(1, "hi"), NOW);
        let refusal = room.decide_post(ADA, Permissions::MEMBER, &post(2, "again"), NOW.plus_ms(4_000), false);
        let refusal = refusal.expect_err("too soon");
        assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::SlowMode, Some(6_000)));
        accept(&mut room, BOB, &post(3, "me too"), NOW.plus_ms(4_000));
        accept(&mut room, ADA, &post(4, "now"), NOW.plus_ms(10_000));
    }

    #[test]
    fn a_refused_post_leaves_no_trace() {
        let mut room = room(Rules::default());
        assert_eq!(decide(&room, ADA, &post(1, " "), NOW), Err(ErrorCode::Empty));
        assert_eq!(decide(&room, ADA, &post(1, &"a".repeat(8_001)), NOW), Err(ErrorCode::TooLong));
        let nobody = room.decide_post(BOB, Permissions::VIEW, &post(1, "hi"), NOW, false);
        assert_eq!(nobody.expect_err("no right").code, ErrorCode::Forbidden);
        let answer = NewPost { reply_to: Some(Seq(1)), ..post(1, "hi") };
        assert_eq!(decide(&room, ADA, &answer, NOW), Err(ErrorCode::NotFound));
        assert_eq!(accept(&mut room, ADA, &post(1, "hi"), NOW), Seq(1));
    }

    #[test]
    fn times_never_go_back() {
        let mut room = room(Rules::default());
        accept(&mut room, ADA, &post(1, "hi"), NOW);
        let event = room.event(ADA, None, EventBody::MemberJoined { user: ADA }, NOW.plus_ms(-5_000));
        assert_eq!(event.ts, NOW);
    }
}
