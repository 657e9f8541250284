//! The log in memory, as callers ask for it.

use std::ops::Bound::{Excluded, Unbounded};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};

use super::{AppendFault, MemStore, rooms::RoomLog};
use crate::{
    append::{AppendBatch, AppendOutcome},
    error::StoreError,
    log::{Activation, LogStore, MessagePage, RecentKey, StoredEvent, Window},
};

#[async_trait]
impl LogStore for MemStore {
    async fn fences(&self, shards: &[ShardId]) -> Result<Vec<(Epoch, ShardSeq)>, StoreError> {
        let state = self.read("fences")?;
        let fence = |shard| state.log.fences.get(shard);
        let seen = |shard| fence(shard).map_or_else(Default::default, |f| (f.epoch, f.head));
        Ok(shards.iter().map(seen).collect())
    }

    async fn activate(&self, shards: &[(ShardId, Epoch)], _owner: NodeId) -> Result<Vec<Activation>, StoreError> {
        let mut state = self.write("fences")?;
        let mut take = |&(shard, epoch)| state.log.activate(shard, epoch);
        Ok(shards.iter().map(&mut take).collect())
    }

    async fn append(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        let ambiguous = || vec![AppendOutcome::Ambiguous; batch.shards.len()];
        let failed = || StoreError::Append("a test asked this append to fail".into());
        let fault = self.faults.admit_append().await;
        match fault {
            Some(AppendFault::FailBefore) => return Err(failed()),
            Some(AppendFault::AmbiguousBefore) => return Ok(ambiguous()),
            Some(AppendFault::TakenOver) => {
                let mut state = self.state.lock();
                for part in &batch.shards {
                    state.log.activate(part.shard, part.epoch.next());
                }
            }
            Some(AppendFault::FailAfter | AppendFault::AmbiguousAfter) | None => {}
        }
        let outcomes = self.state.lock().append(batch)?;
        match fault {
            Some(AppendFault::FailAfter) => Err(failed()),
            Some(AppendFault::AmbiguousAfter) => Ok(ambiguous()),
            _ => Ok(outcomes),
        }
    }

    async fn resolve(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        let state = self.read("fences")?;
        let resolve = |part| state.log.resolve(part);
        Ok(batch.shards.iter().map(resolve).collect())
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Seq>, StoreError> {
        let state = self.read("heads")?;
        Ok(rooms.iter().map(|&room| state.log.head(room)).collect())
    }

    async fn events(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let state = self.read("events")?;
        let log = state.log.rooms.get(&room);
        Ok(log.map_or_else(Vec::new, |log| log.after(after, limit)))
    }

    async fn feed(&self, shard: ShardId, after: ShardSeq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let state = self.read("the feed")?;
        let range = (Excluded((shard, after)), Unbounded);
        let places = state.log.feeds.range(range);
        let here = places.take_while(|((at, _), _)| *at == shard).take(limit);
        let event = |(_, &(room, seq)): (_, &(RoomId, Seq))| state.log.rooms[&room].get(seq);
        Ok(here.filter_map(event).cloned().collect())
    }

    async fn messages(&self, room: RoomId, window: Window, limit: usize) -> Result<MessagePage, StoreError> {
        let state = self.read("messages")?;
        let log = state.log.rooms.get(&room);
        log.map_or_else(|| Ok(MessagePage::default()), |log| log.page(window, limit))
    }

    async fn message(&self, room: RoomId, seq: Seq) -> Result<Option<MessageState>, StoreError> {
        let state = self.read("a message")?;
        let log = state.log.rooms.get(&room);
        log.map_or(Ok(None), |log| log.message(seq))
    }

    async fn edits(&self, room: RoomId, seq: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let state = self.read("edits")?;
        let log = state.log.rooms.get(&room);
        Ok(log.map_or_else(Vec::new, |log| log.edits(seq, limit)))
    }

    async fn pins(&self, room: RoomId) -> Result<Vec<Seq>, StoreError> {
        let state = self.read("pins")?;
        let log = state.log.rooms.get(&room);
        log.map_or_else(|| Ok(Vec::new()), RoomLog::pins)
    }

    async fn recent_keys(
        &self,
        room: RoomId,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RecentKey>, StoreError> {
        let state = self.read("keys")?;
        let log = state.log.rooms.get(&room);
        Ok(log.map_or_else(Vec::new, |log| log.recent_keys(since, limit)))
    }

    async fn find_key(
        &self,
        room: RoomId,
        by: UserId,
        key: MessageKey,
        since: Timestamp,
    ) -> Result<Option<RecentKey>, StoreError> {
        let state = self.read("keys")?;
        let log = state.log.rooms.get(&room);
        Ok(log.and_then(|log| log.find_key(by, key, since)))
    }

    async fn counts(&self, rooms: &[RoomId]) -> Result<Vec<(u64, Option<Timestamp>)>, StoreError> {
        let state = self.read("counts")?;
        let log = |room| state.log.rooms.get(room);
        let count = |room| log(room).map_or((0, None), RoomLog::count);
        Ok(rooms.iter().map(count).collect())
    }
}
