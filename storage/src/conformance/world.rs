//! Who acts in the cases: people, and an owner that counts as the owner of a shard does.
//!
//! The owner remembers each event it had stored, so a case can fold them by hand and compare.

use std::sync::Arc;

use hubbub_protocol::{
    emoji::Emoji,
    event::{Created, Event, EventBody},
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    text::Mentions,
    time::Timestamp,
};

use crate::{Activation, AppendBatch, AppendOutcome, Effect, NewEvent, ShardAppend, Store, StoredEvent};

pub(super) const ADA: UserId = UserId::from_raw(101);
pub(super) const BOB: UserId = UserId::from_raw(102);
pub(super) const EVE: UserId = UserId::from_raw(103);
pub(super) const ROOM: RoomId = RoomId::from_raw(5_000);
pub(super) const OTHER_ROOM: RoomId = RoomId::from_raw(5_001);
pub(super) const SHARD: ShardId = ShardId(7);
pub(super) const OTHER_SHARD: ShardId = ShardId(8);
pub(super) const NODE: NodeId = NodeId(1);
/// When the first event of an owner happens.
pub(super) const DAWN: Timestamp = Timestamp(1_795_435_200_000);
/// No case makes an event beyond this many.
pub(super) const MANY: usize = 1_000_000;

/// The owner of one shard.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) store: Arc<dyn Store>,
    pub(super) shard: ShardId,
    pub(super) epoch: Epoch,
    pub(super) head: ShardSeq,
    /// When the next event happens.
    pub(super) now: Timestamp,
    /// Every event that was stored, in feed order.
    pub(super) log: Vec<Event>,
    staged: Vec<(Event, NewEvent)>,
    effects: Vec<Effect>,
}

impl Owner {
    /// Activates a shard that nobody had before.
    pub(super) async fn of(store: &Arc<dyn Store>, shard: ShardId) -> Self {
        let epoch = Epoch(1);
        let active = activate(store, shard, epoch).await;
        assert_eq!(active, Activation::Active { head: ShardSeq(0) });
        Self {
            store: Arc::clone(store),
            shard,
            epoch,
            head: ShardSeq(0),
            now: DAWN,
            log: Vec::new(),
            staged: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// The newest seq of `room`, staged events included.
    pub(super) fn room_head(&self, room: RoomId) -> Seq {
        let staged = self.staged.iter().map(|(event, _)| event);
        let all = self.log.iter().chain(staged);
        all.filter(|event| event.room == room).map(|event| event.seq).last().unwrap_or_default()
    }

    /// Adds an event to the next batch.
    pub(super) fn stage(&mut self, room: RoomId, by: UserId, body: EventBody) -> Seq {
        self.stage_keyed(room, by, None, body)
    }

    pub(super) fn stage_keyed(
        &mut self,
        room: RoomId,
        by: UserId,
        key: Option<MessageKey>,
        body: EventBody,
    ) -> Seq {
        let seq = self.room_head(room).next();
        let ts = self.now;
        let event = Event { room, seq, ts, by, key, body };
        let shard_seq = ShardSeq(self.head.0 + self.staged.len() as u64 + 1);
        let new = NewEvent::of(&event, shard_seq, event.encode());
        self.staged.push((event, new));
        seq
    }

    /// Adds an effect to the next batch.
    pub(super) fn stage_effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// What is staged, as it would be sent.
    pub(super) fn part(&self) -> ShardAppend {
        ShardAppend {
            shard: self.shard,
            epoch: self.epoch,
            old_head: self.head,
            events: self.staged.iter().map(|(_, new)| new.clone()).collect(),
            effects: self.effects.clone(),
        }
    }

    /// Counts what is staged as stored.
    pub(super) fn committed(&mut self) {
        self.head = self.part().new_head();
        self.log.extend(self.staged.drain(..).map(|(event, _)| event));
        self.effects.clear();
    }

    /// Stores what is staged.
    pub(super) async fn commit(&mut self) {
        let outcome = append(&self.store, self.part()).await;
        assert_eq!(outcome, AppendOutcome::Committed, "{:?}", self.shard);
        self.committed();
    }

    /// Stores one event.
    pub(super) async fn put(&mut self, room: RoomId, by: UserId, body: EventBody) -> Seq {
        let seq = self.stage(room, by, body);
        self.commit().await;
        seq
    }

    /// The message at `seq`, folded from everything this owner stored or staged.
    pub(super) fn by_hand(&self, room: RoomId, seq: Seq) -> Option<MessageState> {
        let staged = self.staged.iter().map(|(event, _)| event);
        let mut later = self.log.iter().chain(staged).filter(|event| event.room == room && event.seq >= seq);
        let first = later.next().filter(|event| event.seq == seq)?;
        let mut state = MessageState::begin(first)?;
        later.for_each(|event| state.apply(event));
        Some(state)
    }

    /// The events of one room, as a store gives them back.
    pub(super) fn stored(&self, room: RoomId) -> Vec<StoredEvent> {
        let feed = self.stored_feed().into_iter();
        feed.filter(|event| event.room == room).collect()
    }

    /// The whole feed, as a store gives it back.
    pub(super) fn stored_feed(&self) -> Vec<StoredEvent> {
        let numbered = (1..).map(ShardSeq).zip(&self.log);
        let stored = numbered.map(|(shard_seq, event)| StoredEvent {
            room: event.room,
            seq: event.seq,
            shard_seq,
            kind: event.body.kind(),
            by: event.by,
            ts: event.ts,
            push: event.encode(),
        });
        stored.collect()
    }
}

pub(super) async fn activate(store: &Arc<dyn Store>, shard: ShardId, epoch: Epoch) -> Activation {
    let answer = store.activate(&[(shard, epoch)], NODE).await;
    let active = answer.expect("the store activates");
    assert_eq!(active.len(), 1, "one answer per shard");
    active[0]
}

pub(super) async fn append(store: &Arc<dyn Store>, part: ShardAppend) -> AppendOutcome {
    let outcomes = append_all(store, vec![part]).await;
    outcomes[0]
}

pub(super) async fn append_all(store: &Arc<dyn Store>, shards: Vec<ShardAppend>) -> Vec<AppendOutcome> {
    let wanted = shards.len();
    let answer = store.append(&AppendBatch { shards }).await;
    let outcomes = answer.expect("the store appends");
    assert_eq!(outcomes.len(), wanted, "one outcome per shard");
    outcomes
}

pub(super) fn says(text: &str) -> EventBody {
    EventBody::MessageCreated(Box::new(Created {
        text: text.to_owned(),
        mentions: Mentions::of(text),
        ..Created::default()
    }))
}

pub(super) fn edits(target: Seq, text: &str) -> EventBody {
    EventBody::MessageEdited { target, text: text.to_owned(), mentions: Mentions::of(text) }
}

pub(super) fn deletes(target: Seq) -> EventBody {
    let reason = None;
    EventBody::MessageDeleted { target, reason }
}

pub(super) fn purges(user: Option<UserId>, from: u64, to: u64) -> EventBody {
    let (from, to) = (Seq(from), Seq(to));
    EventBody::MessagesPurged { user, from, to }
}

pub(super) fn reacts(target: Seq, emoji: &str) -> EventBody {
    let emoji = Emoji::parse(emoji).expect("an emoji");
    let count = None;
    EventBody::ReactionAdded { target, emoji, count }
}

pub(super) fn unreacts(target: Seq, emoji: &str) -> EventBody {
    let emoji = Emoji::parse(emoji).expect("an emoji");
    EventBody::ReactionRemoved { target, emoji }
}

pub(super) const fn pins(target: Seq) -> EventBody {
    EventBody::MessagePinned { target }
}

pub(super) const fn unpins(target: Seq) -> EventBody {
    EventBody::MessageUnpinned { target }
}

pub(super) fn key(number: u128) -> MessageKey {
    MessageKey(uuid::Uuid::from_u128(number))
}

/// Dice that fall the same way each time: splitmix64.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `sides`.
    pub(super) const fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut face = self.0;
        face = (face ^ (face >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        face = (face ^ (face >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (face ^ (face >> 31)) % sides
    }
}
