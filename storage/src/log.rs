//! The log: appended under a fence, read by anyone.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::{
    event::EventKind,
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};

use crate::{
    append::{AppendBatch, AppendOutcome},
    error::StoreError,
    pool::PoolStatus,
    vitals::{Durability, Vitals},
};

/// What a fence says after an activation was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The shard is ours under the epoch asked for; its feed goes on after `head`, which includes
    /// every append that was accepted before.
    Active {
        /// The newest shard seq.
        head: ShardSeq,
    },
    /// The fence already stands at this epoch or a later one.
    Superseded {
        /// The epoch it stands at.
        epoch: Epoch,
    },
}

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The room.
    pub room: RoomId,
    /// Its place there.
    pub seq: Seq,
    /// Its place in the shard's feed.
    pub shard_seq: ShardSeq,
    /// Its kind.
    pub kind: EventKind,
    /// Who did it.
    pub by: UserId,
    /// When.
    pub ts: Timestamp,
    /// The push, byte for byte as it was appended.
    pub push: Bytes,
}

/// A key that a room still remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentKey {
    /// Whose.
    pub by: UserId,
    /// The key.
    pub key: MessageKey,
    /// The message it became.
    pub seq: Seq,
    /// When.
    pub ts: Timestamp,
}

/// Which messages of a room are asked for. Seqs beyond the log's range are no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The newest.
    Newest,
    /// The newest of those before a seq.
    Before(Seq),
    /// The oldest of those after a seq.
    After(Seq),
    /// Up to `limit / 2` before a seq, then from the seq on until `limit`.
    Around(Seq),
}

/// Messages in seq order, each folded with every later event about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessagePage {
    /// The messages.
    pub messages: Vec<MessageState>,
    /// Whether the room has messages before the positions asked for.
    pub more_before: bool,
    /// Whether it has messages after them.
    pub more_after: bool,
}

/// The log of rooms, by shard.
#[async_trait]
pub trait LogStore: Send + Sync + Debug {
    /// The epoch and head of each of `shards` (0 and 0 for one never activated).
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn fences(&self, shards: &[ShardId]) -> Result<Vec<(Epoch, ShardSeq)>, StoreError>;

    /// Whether the store can write, for health: asks only when the last write failed, by a write that
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Write`] with the reason.
    async fn check_writes(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What the store says of itself to an operator.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn vitals(&self) -> Result<Vitals, StoreError> {
        Ok(Vitals { durability: Durability::Memory, clock: None, schema: 0, schema_known: 0 })
    }

    /// One write that takes as long as that of a message and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Write`] with the reason.
    async fn probe_write(&self) -> Result<(), StoreError> {
        self.check_writes().await
    }

    /// How the connections to the database stand; none for a store without any.
    fn pools(&self) -> Vec<PoolStatus> {
        Vec::new()
    }

    /// Closes the store: what is under way is waited for, and what comes later fails.
    async fn close(&self) {}

    /// Takes each shard over under the epoch beside it, if that is newer than the fence's.
    /// An append that is under way is waited for, and its events are counted in the head returned.
    ///
    /// # Errors
    /// [`StoreError::Write`]: none was taken over.
    async fn activate(&self, shards: &[(ShardId, Epoch)], owner: NodeId) -> Result<Vec<Activation>, StoreError>;

    /// Appends a batch; returns one outcome per entry of `batch.shards`, in order, once all that is
    /// `Committed` is on disk.
    ///
    /// # Errors
    /// [`StoreError::Append`]: nothing is known of any shard of the batch; call
    /// [`LogStore::resolve`].
    async fn append(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError>;

    /// Finds out what became of a batch whose append failed or was `Ambiguous`. Never answers
    /// `Ambiguous`; `Conflict { head == old_head }` means that nothing was written and the same
    /// batch may be sent again.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn resolve(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError>;

    /// The newest seq of each room, 0 for an empty one; in the order asked.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Seq>, StoreError>;

    /// Up to `limit` events of `room` after `after`, in seq order.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn events(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// Up to `limit` events of `shard` after `after`, in shard seq order.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn feed(&self, shard: ShardId, after: ShardSeq, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// A page of messages.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Undecodable`].
    async fn messages(&self, room: RoomId, window: Window, limit: usize) -> Result<MessagePage, StoreError>;

    /// One message as it stands; `None` when there is none at `seq`.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Undecodable`].
    async fn message(&self, room: RoomId, seq: Seq) -> Result<Option<MessageState>, StoreError>;

    /// `message.created` of `seq` and every `message.edited` of it, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn edits(&self, room: RoomId, seq: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// The messages pinned in `room`, oldest pin first.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Undecodable`].
    async fn pins(&self, room: RoomId) -> Result<Vec<Seq>, StoreError>;

    /// Keys of messages of `room` sent at `since` or later, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn recent_keys(&self, room: RoomId, since: Timestamp, limit: usize)
    -> Result<Vec<RecentKey>, StoreError>;

    /// Looks for the message of `by` with `key` among all of `room` sent at `since` or later.
    /// Times of one room never go back, so the first such event is found by bisection.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn find_key(
        &self,
        room: RoomId,
        by: UserId,
        key: MessageKey,
        since: Timestamp,
    ) -> Result<Option<RecentKey>, StoreError>;

    /// For each room, how many messages it has and when the newest was sent; in the order asked.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    async fn counts(&self, rooms: &[RoomId]) -> Result<Vec<(u64, Option<Timestamp>)>, StoreError>;
}
