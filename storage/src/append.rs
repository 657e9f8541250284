//! What an owner asks the log to append, and what became of it.
//!
//! A batch holds events of several shards of one lane. Each shard stands or falls by itself: its
//! events are appended if its epoch and head still hold, and otherwise none of them is.

use bytes::Bytes;
use hubbub_protocol::{
    event::{Event, EventKind},
    ids::{Epoch, MessageKey, RoomId, Seq, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};

use crate::effect::Effect;

/// An event about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The room.
    pub room: RoomId,
    /// The room's next seq, as its owner counts.
    pub seq: Seq,
    /// The shard's next seq, as its owner counts.
    pub shard_seq: ShardSeq,
    /// Who did it.
    pub by: UserId,
    /// What kind of event it is.
    pub kind: EventKind,
    /// The client's key, for messages.
    pub key: Option<MessageKey>,
    /// When the owner took it in.
    pub ts: Timestamp,
    /// The message it changes, for kinds that change one.
    pub target: Option<Seq>,
    /// The push, as [`Event::encode`] gives it. A store may wrap it, and gives it back unchanged.
    pub push: Bytes,
}

impl NewEvent {
    /// The stored form of `event`, at `shard_seq` of its shard.
    #[must_use]
    pub fn of(event: &Event, shard_seq: ShardSeq, push: Bytes) -> Self {
        Self {
            room: event.room,
            seq: event.seq,
            shard_seq,
            by: event.by,
            kind: event.body.kind(),
            key: event.key,
            ts: event.ts,
            target: event.target(),
            push,
        }
    }
}

/// The part of a batch that belongs to one shard.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardAppend {
    /// The shard.
    pub shard: ShardId,
    /// The epoch under which its owner was activated.
    pub epoch: Epoch,
    /// The shard seq before the first of `events`.
    pub old_head: ShardSeq,
    /// The events, in `shard_seq` order, dense from `old_head + 1`.
    pub events: Vec<NewEvent>,
    /// Changes of facts that commit with the events, in order.
    pub effects: Vec<Effect>,
}

impl ShardAppend {
    /// The shard seq after the last event.
    #[must_use]
    pub fn new_head(&self) -> ShardSeq {
        ShardSeq(self.old_head.0 + self.events.len() as u64)
    }
}

/// Appends of several shards, each shard at most once; sent again verbatim when in doubt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AppendBatch {
    /// One entry per shard.
    pub shards: Vec<ShardAppend>,
}

/// What became of one shard's part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// On disk, with its effects.
    Committed,
    /// Another activation has the shard; nothing was written.
    Fenced {
        /// The epoch that holds it now.
        epoch: Epoch,
    },
    /// The epoch holds but the head is another; nothing was written.
    Conflict {
        /// The head as stored.
        head: ShardSeq,
    },
    /// The store cannot say; ask [`crate::LogStore::resolve`].
    Ambiguous,
}
