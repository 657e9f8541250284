//! Activations, and [`LogStore`] by the statements of this and the neighbouring files.
//!
//! An activation raises the epochs of its shards in one statement and returns the heads of the very rows
//! it raised: after a wait for an append under way these are read again, so they count its events.

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};
use sqlx::{PgConnection, Row};

use super::{
    PostgresStore,
    append::{Append, Fences, SETTLED_FENCES, fences, shard_from_sql, shard_to_sql},
    facts::{Transaction, read_with},
    failure::Stop,
    pool::{Pool, Work},
    read_failed,
    trouble::named,
    vitals::Look,
    write_failed,
};
use crate::{
    append::{AppendBatch, AppendOutcome},
    error::{Cause, StoreError},
    log::{Activation, LogStore, MessagePage, RecentKey, StoredEvent, Window},
    pool::PoolStatus,
    sql::{Database, events::resolved, statement::Statement, tally},
    vitals::Vitals,
};

const ACTIVATE: &str = "INSERT INTO shard_fence AS s (shard_id, epoch, owner, head) \
     SELECT w.shard_id, w.epoch, $3, 0 FROM unnest($1::int[], $2::bigint[]) AS w(shard_id, epoch) \
     WHERE w.epoch > 0 ORDER BY w.shard_id \
     ON CONFLICT (shard_id) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner \
     WHERE excluded.epoch > s.epoch RETURNING shard_id, head";

struct Activate(Vec<(ShardId, Epoch)>, NodeId);

impl Work<Vec<Activation>> for Activate {
    async fn run(self, connection: &mut PgConnection) -> Result<Vec<Activation>, Stop> {
        let shards: Vec<i32> = self.0.iter().map(|(shard, _)| shard_to_sql(*shard)).collect();
        let epochs: Vec<i64> = self.0.iter().map(|(_, epoch)| epoch.to_sql()).collect();
        let rows = sqlx::query(ACTIVATE).bind(shards).bind(epochs).bind(self.1.to_sql());
        let rows = rows.fetch_all(&mut *connection).await?;
        let taken = |row: &sqlx::postgres::PgRow| (shard_from_sql(row.get(0)), ShardSeq::from_sql(row.get(1)));
        let taken: Vec<(ShardId, ShardSeq)> = rows.iter().map(taken).collect();
        let all: Vec<ShardId> = self.0.iter().map(|(shard, _)| *shard).collect();
        let Fences { sql, shards } = Fences::of(all);
        // Only for those that were refused, whose epochs never fall again.
        let stand = if taken.len() == shards.len() { Vec::new() } else { fences(connection, sql, &shards).await? };
        let mut activations = Vec::with_capacity(shards.len());
        for (place, shard) in shards.iter().enumerate() {
            activations.push(match taken.iter().find(|(taken, _)| taken == shard) {
                Some((_, head)) => Activation::Active { head: *head },
                None => Activation::Superseded { epoch: stand.get(place).copied().unwrap_or_default().0 },
            });
        }
        Ok(activations)
    }
}

fn append_failed(stop: Stop) -> StoreError {
    let cause: Cause = match stop {
        Stop::Failed(cause) => named(cause),
        Stop::Refused(error) => error.into(),
    };
    StoreError::Append(cause)
}

#[async_trait]
impl LogStore for PostgresStore {
    async fn fences(&self, shards: &[ShardId]) -> Result<Vec<(Epoch, ShardSeq)>, StoreError> {
        read_with(&self.readers, || Fences::of(shards.to_vec())).await.map_err(read_failed("fences"))
    }

    async fn check_writes(&self) -> Result<(), StoreError> {
        let nothing = Statement::of("UPDATE shard_fence SET head = head WHERE shard_id = -1");
        self.write("anything", vec![nothing]).await?;
        self.check_room().await
    }

    async fn vitals(&self) -> Result<Vitals, StoreError> {
        read_with(&self.readers, || Look).await.map_err(read_failed("settings"))
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        // A commit waits for the disk only when it has something in the journal; this is in the journal alone.
        let mark = Statement::of("SELECT pg_logical_emit_message(true, 'hubbub', 'probe'::text)");
        self.write("a probe", vec![mark]).await.map(drop)
    }

    fn pools(&self) -> Vec<PoolStatus> {
        let lanes = self.lanes.iter().map(Pool::status).reduce(PoolStatus::and);
        lanes.into_iter().chain([self.readers.status(), self.writers.status()]).collect()
    }

    async fn close(&self) {
        for pool in self.lanes.iter().chain([&self.readers, &self.writers]) {
            pool.close().await;
        }
    }

    async fn activate(&self, shards: &[(ShardId, Epoch)], owner: NodeId) -> Result<Vec<Activation>, StoreError> {
        self.writers.run(Activate(shards.to_vec(), owner)).await.map_err(write_failed("fences"))
    }

    async fn append(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        if batch.shards.is_empty() {
            return Ok(Vec::new());
        }
        let append = Append::of(batch);
        let lane = self.lane(batch);
        let appended = if append.is_plain() { lane.run(append).await } else { lane.run(Transaction(append)).await };
        self.noted(appended).map_err(append_failed)
    }

    async fn resolve(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        // By the batch's own lane: its turn comes after that of the append, and what a connection that
        // failed left at work is ended before another is made.
        let shards: Vec<ShardId> = batch.shards.iter().map(|part| part.shard).collect();
        let settled = Fences { sql: SETTLED_FENCES, shards };
        let fences = self.lane(batch).run(settled).await.map_err(read_failed("fences"))?;
        Ok(batch.shards.iter().zip(fences).map(|(part, fence)| resolved(part, fence)).collect())
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Seq>, StoreError> {
        self.read_heads(rooms).await
    }

    async fn events(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_events(room, after, limit).await
    }

    async fn feed(&self, shard: ShardId, after: ShardSeq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_feed(shard, after, limit).await
    }

    async fn messages(&self, room: RoomId, window: Window, limit: usize) -> Result<MessagePage, StoreError> {
        self.pages.page(self, room, window, limit).await
    }

    async fn message(&self, room: RoomId, seq: Seq) -> Result<Option<MessageState>, StoreError> {
        Ok(self.read_messages_at(room, &[seq]).await?.pop())
    }

    async fn edits(&self, room: RoomId, seq: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_edits(room, seq, limit).await
    }

    async fn pins(&self, room: RoomId) -> Result<Vec<Seq>, StoreError> {
        self.read_pins(room).await
    }

    async fn recent_keys(
        &self,
        room: RoomId,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RecentKey>, StoreError> {
        self.read_recent_keys(room, since, limit).await
    }

    async fn find_key(
        &self,
        room: RoomId,
        by: UserId,
        key: MessageKey,
        since: Timestamp,
    ) -> Result<Option<RecentKey>, StoreError> {
        self.search_key(room, by, key, since).await
    }

    async fn counts(&self, rooms: &[RoomId]) -> Result<Vec<(u64, Option<Timestamp>)>, StoreError> {
        tally::counts(self, rooms).await
    }
}
