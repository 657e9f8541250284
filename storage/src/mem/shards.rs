//! Fences and feeds in memory: who may append, and what becomes of a batch.

use std::collections::BTreeMap;

use hubbub_protocol::{
    ids::{Epoch, RoomId, Seq, ShardSeq},
    shard::ShardId,
};

use super::{State, rooms::RoomLog};
use crate::{
    append::{AppendBatch, AppendOutcome, NewEvent, ShardAppend},
    effect::Effect,
    error::StoreError,
    log::Activation,
};

/// Who may append to a shard, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fence {
    pub(super) epoch: Epoch,
    pub(super) head: ShardSeq,
}

/// All logs.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) fences: BTreeMap<ShardId, Fence>,
    pub(super) feeds: BTreeMap<(ShardId, ShardSeq), (RoomId, Seq)>,
    pub(super) rooms: BTreeMap<RoomId, RoomLog>,
}

impl Log {
    pub(super) fn activate(&mut self, shard: ShardId, epoch: Epoch) -> Activation {
        let new = Fence { epoch, head: ShardSeq(0) };
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
            Some(fence) if fence.epoch != part.epoch => AppendOutcome::Fenced { epoch: fence.epoch },
            Some(fence) if fence.head != part.old_head => AppendOutcome::Conflict { head: fence.head },
            Some(_) => AppendOutcome::Committed,
        }
    }

    pub(super) fn head(&self, room: RoomId) -> Seq {
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
        let same = |event: &NewEvent| {
            let place = self.feeds.get(&(part.shard, event.shard_seq));
            let stored = self.rooms.get(&event.room).and_then(|room| room.get(event.seq));
            place == Some(&(event.room, event.seq)) && stored.is_some_and(|stored| stored.push == event.push)
        };
        !part.events.is_empty() && part.events.iter().all(same)
    }

    pub(super) fn resolve(&self, part: &ShardAppend) -> AppendOutcome {
        match self.fences.get(&part.shard) {
            None => AppendOutcome::Fenced { epoch: Epoch(0) },
            Some(fence) if fence.epoch != part.epoch => AppendOutcome::Fenced { epoch: fence.epoch },
            Some(_) if self.holds(part) => AppendOutcome::Committed,
            Some(fence) => AppendOutcome::Conflict { head: fence.head },
        }
    }
}

impl State {
    pub(super) fn append(&mut self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        let outcomes: Vec<_> = batch.shards.iter().map(|part| self.log.judge(part)).collect();
        let judged = batch.shards.iter().zip(&outcomes);
        let accepted: Vec<&ShardAppend> =
            judged.filter(|(_, outcome)| **outcome == AppendOutcome::Committed).map(|(part, _)| part).collect();
        for part in &accepted {
            self.log.check_dense(part)?;
        }
        let effects: Vec<Effect> = accepted.iter().flat_map(|part| part.effects.clone()).collect();
        self.facts.apply_all(&effects).map_err(|error| StoreError::Append(error.into()))?;
        for part in accepted {
            self.log.push(part);
        }
        Ok(outcomes)
    }
}
