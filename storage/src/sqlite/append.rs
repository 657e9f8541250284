//! Appends under the fence: one statement moves the heads of all shards of a batch that are still
//! held, and their events go in together, so that a batch costs a few statements however many shards
//! it spans.

use std::collections::HashSet;

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::{AsyncWork, SqliteStore, Stop, facts, one_call, read_failed};
use crate::{
    append::{AppendBatch, AppendOutcome, NewEvent, ShardAppend},
    error::StoreError,
    log::{Activation, LogStore, MessagePage, RecentKey, StoredEvent, Window},
    sql::{
        Database,
        events::{body_of, refused, resolved},
        tally,
    },
    vitals::Vitals,
};

/// Rows of one insert, largest first: four statements to prepare, whatever the size of a batch.
const ROWS: [usize; 4] = [64, 16, 4, 1];

async fn fence(connection: &mut SqliteConnection, shard: ShardId) -> Result<(Epoch, ShardSeq), sqlx::Error> {
    let row = sqlx::query("SELECT epoch, head FROM shard_fence WHERE shard_id = ?")
        .bind(i64::from(shard.0))
        .fetch_optional(connection)
        .await?;
    Ok(row.map_or_else(Default::default, |row| (Epoch::from_sql(row.get(0)), ShardSeq::from_sql(row.get(1)))))
}

struct Append(AppendBatch);

impl AsyncWork<Vec<AppendOutcome>> for Append {
    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<AppendOutcome>, Stop> {
        let held = move_heads(connection, &self.0.shards).await?;
        let parts = || self.0.shards.iter().filter(|part| held.contains(&part.shard));
        let events: Vec<_> = parts().flat_map(|part| part.events.iter().map(|event| (part.shard, event))).collect();
        insert(connection, &events).await?;
        for part in parts() {
            facts::run(connection, SqliteStore::effects(&part.effects)).await?;
        }
        let mut outcomes = Vec::with_capacity(self.0.shards.len());
        for part in &self.0.shards {
            if held.contains(&part.shard) {
                outcomes.push(AppendOutcome::Committed);
            } else {
                outcomes.push(refused(part, fence(connection, part.shard).await?));
            }
        }
        Ok(outcomes)
    }
}

/// Moves the heads of those shards whose fence is as their part of the batch says; returns them.
async fn move_heads(
    connection: &mut SqliteConnection,
    parts: &[ShardAppend],
) -> Result<HashSet<ShardId>, sqlx::Error> {
    if parts.is_empty() {
        return Ok(HashSet::new());
    }
    let wanted = parts.iter().map(|part| {
        let (epoch, old, new) = (part.epoch.to_sql(), part.old_head.to_sql(), part.new_head().to_sql());
        format!("[{},{epoch},{old},{new}]", part.shard.0)
    });
    let wanted = format!("[{}]", wanted.collect::<Vec<_>>().join(","));
    let moved = sqlx::query(
        "UPDATE shard_fence SET head = wanted.value ->> 3 FROM json_each(?) AS wanted \
         WHERE shard_id = wanted.value ->> 0 AND epoch = wanted.value ->> 1 AND head = wanted.value ->> 2 \
         RETURNING shard_id",
    )
    .bind(wanted)
    .fetch_all(connection)
    .await?;
    Ok(moved.iter().map(|row| ShardId(row.get(0))).collect())
}

async fn insert(connection: &mut SqliteConnection, events: &[(ShardId, &NewEvent)]) -> Result<(), sqlx::Error> {
    let mut rest = events;
    for rows in ROWS {
        while rest.len() >= rows {
            let (chunk, after) = rest.split_at(rows);
            insert_rows(connection, chunk).await?;
            rest = after;
        }
    }
    Ok(())
}

async fn insert_rows(connection: &mut SqliteConnection, rows: &[(ShardId, &NewEvent)]) -> Result<(), sqlx::Error> {
    let values = vec!["(?,?,?,?,?,?,?,?,?,?)"; rows.len()].join(",");
    let sql = format!(
        "INSERT INTO message \
         (room_id, seq, shard_id, shard_seq, sender, kind, client_msg_id, ts, target, body) VALUES {values}"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (shard, event) in rows {
        query = query
            .bind(event.room.to_sql())
            .bind(event.seq.to_sql())
            .bind(i64::from(shard.0))
            .bind(event.shard_seq.to_sql())
            .bind(event.by.to_sql())
            .bind(i64::from(event.kind as u8))
            .bind(event.key.map(|key| key.0.as_bytes().to_vec()))
            .bind(event.ts.0)
            .bind(event.target.map(Seq::to_sql))
            .bind(body_of(&event.push));
    }
    query.execute(connection).await.map(drop)
}

struct Activate(Vec<(ShardId, Epoch)>, NodeId);

impl AsyncWork<Vec<Activation>> for Activate {
    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<Activation>, Stop> {
        let mut activations = Vec::with_capacity(self.0.len());
        for (shard, epoch) in self.0 {
            let row = sqlx::query(
                "INSERT INTO shard_fence (shard_id, epoch, owner, head) VALUES (?, ?, ?, 0) \
                 ON CONFLICT (shard_id) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner \
                 WHERE excluded.epoch > shard_fence.epoch RETURNING head",
            )
            .bind(i64::from(shard.0))
            .bind(epoch.to_sql())
            .bind(self.1.to_sql())
            .fetch_optional(&mut *connection)
            .await?;
            activations.push(match row {
                Some(row) => Activation::Active { head: ShardSeq::from_sql(row.get(0)) },
                None => Activation::Superseded { epoch: fence(connection, shard).await?.0 },
            });
        }
        Ok(activations)
    }
}

impl SqliteStore {
    /// Appends a usual batch; `false` when it has to go part by part.
    async fn append_at_once(&self, batch: &AppendBatch) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let appended = match writer.as_mut() {
            Some(writer) => one_call::append(writer.connection().await, &batch.shards).await,
            None => Err(Stop::Failed(sqlx::Error::PoolClosed)),
        };
        drop(writer);
        self.noted("events", appended)
    }
}

#[async_trait]
impl LogStore for SqliteStore {
    async fn fences(&self, shards: &[ShardId]) -> Result<Vec<(Epoch, ShardSeq)>, StoreError> {
        let failed = read_failed("fences");
        let mut connection = self.reader().await.map_err(&failed)?;
        let mut fences = Vec::with_capacity(shards.len());
        for shard in shards {
            fences.push(fence(&mut connection, *shard).await.map_err(&failed)?);
        }
        Ok(fences)
    }

    async fn check_writes(&self) -> Result<(), StoreError> {
        self.check().await
    }

    async fn vitals(&self) -> Result<Vitals, StoreError> {
        self.look_inside().await.map_err(read_failed("settings"))
    }

    async fn probe_write(&self) -> Result<(), StoreError> {
        self.probe().await
    }

    async fn close(&self) {
        SqliteStore::close(self).await;
    }

    async fn activate(&self, shards: &[(ShardId, Epoch)], owner: NodeId) -> Result<Vec<Activation>, StoreError> {
        self.write("fences", Activate(shards.to_vec(), owner)).await
    }

    async fn append(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        let appended = if one_call::fits(&batch.shards) { self.append_at_once(batch).await } else { Ok(false) };
        let appended = match appended {
            Ok(true) => Ok(vec![AppendOutcome::Committed; batch.shards.len()]),
            Ok(false) => self.write("events", Append(batch.clone())).await,
            Err(error) => Err(error),
        };
        match appended {
            Err(StoreError::Write { source, .. }) => Err(StoreError::Append(source)),
            Err(StoreError::Taken { what }) => Err(StoreError::Append(format!("{what} is taken").into())),
            other => other,
        }
    }

    async fn resolve(&self, batch: &AppendBatch) -> Result<Vec<AppendOutcome>, StoreError> {
        // An append that its caller gave up may still be on its way to the database's thread, which
        // answers in the order it is asked.
        if let Some(writer) = self.writer.lock().await.as_mut() {
            writer.connection().await.ping().await.map_err(read_failed("fences"))?;
        }
        let shards: Vec<ShardId> = batch.shards.iter().map(|part| part.shard).collect();
        let fences = self.fences(&shards).await?;
        Ok(batch.shards.iter().zip(fences).map(|(part, fence)| resolved(part, fence)).collect())
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Seq>, StoreError> {
        let failed = read_failed("heads");
        let mut connection = self.reader().await.map_err(&failed)?;
        let mut heads = Vec::with_capacity(rooms.len());
        for room in rooms {
            let row = sqlx::query("SELECT max(seq) FROM message WHERE room_id = ?")
                .bind(room.to_sql())
                .fetch_one(&mut *connection)
                .await
                .map_err(&failed)?;
            heads.push(Seq::from_sql(row.get::<Option<i64>, _>(0).unwrap_or(0)));
        }
        Ok(heads)
    }

    async fn events(&self, room: RoomId, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_events(room, after, limit).await
    }

    async fn feed(&self, shard: ShardId, after: ShardSeq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_feed(shard, after, limit).await
    }

    async fn messages(&self, room: RoomId, window: Window, limit: usize) -> Result<MessagePage, StoreError> {
        self.read_messages(room, window, limit).await
    }

    async fn message(&self, room: RoomId, seq: Seq) -> Result<Option<MessageState>, StoreError> {
        self.read_message(room, seq).await
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
