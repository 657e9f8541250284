//! Fences, feeds and rooms in memory.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};

use super::{AppendFault, MemStore, State, rooms::RoomLog};
use crate::{
    append::{AppendBatch, AppendOutcome, ShardAppend},
    effect::Effect,
    error::StoreError,
    log::{Activation, LogStore, MessagePage, RecentKey, StoredEvent, Window},
};

/// Who may append to a shard, and where.
#[derive(Debug, Clone, Copy)]
struct Fence {
    epoch: Epoch,
    head: ShardSeq,
}

/// All logs.
#[derive(Debug, Default)]
pub(super) struct Log {
    fences: BTreeMap<ShardId, Fence>,
    feeds: BTreeMap<(ShardId, ShardSeq), (RoomId, Seq)>,
    rooms: BTreeMap<RoomId, RoomLog>,
}

impl Log {
    fn activate(&mut self, shard: ShardId, epoch: Epoch) -> Activation {
        let new = Fence {
            epoch,
            head: ShardSeq(0),
        };
        match self.fences.get_mut(&shard) {
            None if epoch > Epoch(0) => {
                self.fences.insert(shard, new);
                Activation::Active { head: new.head }
            }
            None => Activation::Superseded { epoch: Epoch(0) },
            Some(fence) if epoch > fence.epoch => {
                let head = fence.head;
                *fence = Fence { head, ..new };
                Activation::Active { head }
            }
            Some(fence) => Activation::Superseded { epoch: fence.epoch },
        }
    }

    /// What would become of `part` now.
    fn judge(&self, part: &ShardAppend) -> AppendOutcome {
        match self.fences.get(&part.shard) {
            None => AppendOutcome::Fenced { epoch: Epoch(0) },
            Some(fence) if fence.epoch != part.epoch => {
                AppendOutcome::Fenced { epoch: fence.epoch }
            }
            Some(fence) if fence.head != part.old_head => {
                AppendOutcome::Conflict { head: fence.head }
            }
            Some(_) => AppendOutcome::Committed,
        }
    }

    fn head(&self, room: RoomId) -> Seq {
        self.rooms.get(&room).map_or(Seq(0), RoomLog::head)
    }

    /// Refuses events that would leave a hole or fork a log.
    fn check_dense(&self, part: &ShardAppend) -> Result<(), StoreError> {
        let mut heads: BTreeMap<RoomId, Seq> = BTreeMap::new();
        let mut feed_head = part.old_head;
        for event in &part.events {
            let room = event.room;
            let head = heads.entry(room).or_insert_with(|| self.head(room));
            if event.seq != head.next() || event.shard_seq != feed_head.next() {
                let (shard, seq, shard_seq) = (part.shard, event.seq, event.shard_seq);
                let text = format!(
                    "event {seq} of room {room} does not follow {head}, or {shard_seq} of shard \
                     {shard} does not follow {feed_head}"
                );
                return Err(StoreError::Append(text.into()));
            }
            *head = event.seq;
            feed_head = event.shard_seq;
        }
        Ok(())
    }

    fn push(&mut self, part: &ShardAppend) {
        if let Some(fence) = self.fences.get_mut(&part.shard) {
            fence.head = part.new_head();
        }
        for event in &part.events {
            let place = (part.shard, event.shard_seq);
            self.feeds.insert(place, (event.room, event.seq));
            self.rooms.entry(event.room).or_default().push(event);
        }
    }

    /// Whether the feed holds exactly the events of `part` where it wanted them.
    fn holds(&self, part: &ShardAppend) -> bool {
        let same = |event: &crate::append::NewEvent| {
            let place = self.feeds.get(&(part.shard, event.shard_seq));
            let stored = self
                .rooms
                .get(&event.room)
                .and_then(|room| room.get(event.seq));
            place == Some(&(event.room, event.seq))
                && stored.is_some_and(|stored| stored.push == event.push)
        };
        !part.events.is_empty() && part.events.iter().all(same)
    }

    fn resolve(&self, part: &ShardAppend) -> AppendOutcome {
        match self.fences.get(&part.shard) {
            None => AppendOutcome::Fenced { epoch: Epoch(0) },
            Some(fence) if fence.epoch != part.epoch => {
                AppendOutcome::Fenced { epoch: fence.epoch }
            }
            Some(_) if self.holds(part) => AppendOutcome::Committed,
            Some(fence) => AppendOutcome::Conflict { head: fence.head },
        }
    }
}

impl State {
    fn append(&mut self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        let outcomes: Vec<_> = batch
            .shards
            .iter()
            .map(|part| self.log.judge(part))
            .collect();
        let judged = batch.shards.iter().zip(&outcomes);
        let accepted: Vec<&ShardAppend> = judged
            .filter(|(_, outcome)| **outcome == AppendOutcome::Committed)
            .map(|(part, _)| part)
            .collect();
        for part in &accepted {
            self.log.check_dense(part)?;
        }
        let effects: Vec<Effect> = accepted
            .iter()
            .flat_map(|part| part.effects.clone())
            .collect();
        self.facts
            .apply_all(&effects)
            .map_err(|error| StoreError::Append(error.into()))?;
        for part in accepted {
            self.log.push(part);
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl LogStore for MemStore {
    async fn fences(&self, shards: &[ShardId]) -> Result<Vec<(Epoch, ShardSeq)>, StoreError> {
        let state = self.read("fences")?;
        let fence = |shard| state.log.fences.get(shard);
        let seen = |shard| fence(shard).map_or_else(Default::default, |f| (f.epoch, f.head));
        Ok(shards.iter().map(seen).collect())
    }

    async fn activate(
        &self,
        shards: &[(ShardId, Epoch)],
        _owner: NodeId,
    ) -> Result<Vec<Activation>, StoreError> {
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

    async fn events(
        &self,
        room: RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let state = self.read("events")?;
        let log = state.log.rooms.get(&room);
        Ok(log.map_or_else(Vec::new, |log| log.after(after, limit)))
    }

    async fn feed(
        &self,
        shard: ShardId,
        after: ShardSeq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let state = self.read("the feed")?;
        let range = (Excluded((shard, after)), Unbounded);
        let places = state.log.feeds.range(range);
        let here = places.take_while(|((at, _), _)| *at == shard).take(limit);
        let event = |(_, &(room, seq)): (_, &(RoomId, Seq))| state.log.rooms[&room].get(seq);
        Ok(here.filter_map(event).cloned().collect())
    }

    async fn messages(
        &self,
        room: RoomId,
        window: Window,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        let state = self.read("messages")?;
        let log = state.log.rooms.get(&room);
        log.map_or_else(|| Ok(MessagePage::default()), |log| log.page(window, limit))
    }

    async fn message(&self, room: RoomId, seq: Seq) -> Result<Option<MessageState>, StoreError> {
        let state = self.read("a message")?;
        let log = state.log.rooms.get(&room);
        log.map_or(Ok(None), |log| log.message(seq))
    }

    async fn edits(
        &self,
        room: RoomId,
        seq: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
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
