//! Reads of the log.
//!
//! Where a partial index is what keeps a read from going through the whole room, the statement names
//! it: without statistics SQLite prefers the primary key, and a page of a large room would cost as
//! much as the room.

use hubbub_protocol::{
    ids::{MessageKey, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    shard::ShardId,
    time::Timestamp,
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{SqliteStore, read_failed};
use crate::{
    error::StoreError,
    log::{MessagePage, RecentKey, StoredEvent, Window},
    sql::{
        columns::Columns,
        events::{self, stored},
        limit_of,
    },
};

/// What every read of events selects, in the order in which [`stored`] takes it.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT room_id, seq, shard_seq, kind, sender, ts, body FROM message ", $rest)
    };
}

fn recent(row: &SqliteRow) -> Option<RecentKey> {
    events::recent(row.number(0), row.bytes(1), row.number(2), row.number(3))
}

impl SqliteStore {
    async fn events_by(
        &self,
        sql: &'static str,
        binds: [i64; 3],
        what: &'static str,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let failed = read_failed(what);
        let mut connection = self.reader().await.map_err(&failed)?;
        let query = sqlx::query(sql).bind(binds[0]).bind(binds[1]).bind(binds[2]);
        let rows = query.fetch_all(&mut *connection).await.map_err(&failed)?;
        rows.iter().map(stored).collect()
    }

    pub(super) async fn read_events(
        &self,
        room: RoomId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = select!("WHERE room_id = ? AND seq > ? ORDER BY seq LIMIT ?");
        self.events_by(sql, [room.to_sql(), after.to_sql(), limit_of(limit)], "events").await
    }

    pub(super) async fn read_feed(
        &self,
        shard: ShardId,
        after: ShardSeq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = select!("WHERE shard_id = ? AND shard_seq > ? ORDER BY shard_seq LIMIT ?");
        self.events_by(sql, [i64::from(shard.0), after.to_sql(), limit_of(limit)], "the feed of a shard").await
    }

    pub(super) async fn read_edits(
        &self,
        room: RoomId,
        seq: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let failed = read_failed("edits");
        let mut connection = self.reader().await.map_err(&failed)?;
        let created = select!("WHERE room_id = ? AND seq = ? AND kind = 1");
        let first = sqlx::query(created).bind(room.to_sql()).bind(seq.to_sql());
        let first = first.fetch_optional(&mut *connection).await.map_err(&failed)?;
        if first.is_none() {
            return Ok(Vec::new());
        }
        let later = select!(
            "INDEXED BY message_target WHERE room_id = ? AND target = ? AND seq > target AND kind = 2 ORDER BY seq LIMIT ?"
        );
        let later = sqlx::query(later).bind(room.to_sql()).bind(seq.to_sql()).bind(limit_of(limit));
        let later = later.fetch_all(&mut *connection).await.map_err(&failed)?;
        let mut edits = first.iter().chain(&later).map(stored).collect::<Result<Vec<_>, _>>()?;
        edits.truncate(limit);
        Ok(edits)
    }

    pub(super) async fn read_pins(&self, room: RoomId) -> Result<Vec<Seq>, StoreError> {
        let sql = select!(
            "INDEXED BY message_mark WHERE room_id = ? AND seq > ? AND kind IN (4, 7, 8) ORDER BY seq LIMIT ?"
        );
        let marks = self.events_by(sql, [room.to_sql(), 0, i64::MAX], "pins").await?;
        let pins = events::pinned(&marks)?;
        // A deleted message is no longer pinned.
        let mut standing = Vec::with_capacity(pins.len());
        for pin in pins {
            if self.read_message(room, pin).await?.is_some_and(|message| message.pinned) {
                standing.push(pin);
            }
        }
        Ok(standing)
    }

    pub(super) async fn read_message(&self, room: RoomId, seq: Seq) -> Result<Option<MessageState>, StoreError> {
        let failed = read_failed("a message");
        let mut connection = self.reader().await.map_err(&failed)?;
        let sql = select!("WHERE room_id = ? AND seq = ? AND kind = 1");
        let row = sqlx::query(sql).bind(room.to_sql()).bind(seq.to_sql());
        let row = row.fetch_optional(&mut *connection).await.map_err(&failed)?;
        let created = row.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        Ok(fold(&mut connection, room, &created).await?.pop())
    }

    pub(super) async fn read_messages(
        &self,
        room: RoomId,
        window: Window,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        let failed = read_failed("messages");
        let mut connection = self.reader().await.map_err(&failed)?;
        let (before, from) = match window {
            Window::Newest => ((i64::MAX, limit), None),
            Window::Before(seq) => ((seq.to_sql(), limit), None),
            Window::After(seq) => ((0, 0), Some((seq.to_sql().saturating_add(1), limit))),
            Window::Around(seq) => ((seq.to_sql(), limit / 2), Some((seq.to_sql(), limit))),
        };
        let mut created = Vec::new();
        if before.1 > 0 {
            let sql = select!("WHERE room_id = ? AND seq < ? AND kind = 1 ORDER BY seq DESC LIMIT ?");
            let query = sqlx::query(sql).bind(room.to_sql()).bind(before.0).bind(limit_of(before.1));
            let rows = query.fetch_all(&mut *connection).await.map_err(&failed)?;
            created = rows.iter().rev().map(stored).collect::<Result<_, _>>()?;
        }
        if let Some((from, limit)) = from {
            let sql = select!("WHERE room_id = ? AND seq >= ? AND kind = 1 ORDER BY seq LIMIT ?");
            let query = sqlx::query(sql).bind(room.to_sql()).bind(from).bind(limit_of(limit - created.len()));
            let rows = query.fetch_all(&mut *connection).await.map_err(&failed)?;
            for row in &rows {
                created.push(stored(row)?);
            }
        }
        let (first, last) = match (created.first(), created.last(), window) {
            (Some(first), Some(last), _) => (first.seq.to_sql(), last.seq.to_sql()),
            (.., Window::Newest) => (i64::MAX, i64::MAX),
            (.., Window::Before(seq)) => (seq.to_sql(), seq.to_sql().saturating_sub(1)),
            (.., Window::After(seq)) => (seq.to_sql().saturating_add(1), seq.to_sql()),
            (.., Window::Around(seq)) => (seq.to_sql(), seq.to_sql()),
        };
        let any_before = "SELECT EXISTS (SELECT 1 FROM message WHERE room_id = ? AND seq < ? AND kind = 1)";
        let any_after = "SELECT EXISTS (SELECT 1 FROM message WHERE room_id = ? AND seq > ? AND kind = 1)";
        let more_before = any(&mut connection, any_before, room, first).await.map_err(&failed)?;
        let more_after = any(&mut connection, any_after, room, last).await.map_err(&failed)?;
        Ok(MessagePage { messages: fold(&mut connection, room, &created).await?, more_before, more_after })
    }

    pub(super) async fn read_recent_keys(
        &self,
        room: RoomId,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<RecentKey>, StoreError> {
        let failed = read_failed("keys");
        let mut connection = self.reader().await.map_err(&failed)?;
        let from = first_at(&mut connection, room, since).await.map_err(&failed)?;
        let rows = sqlx::query(
            "SELECT sender, client_msg_id, seq, ts FROM message \
             WHERE room_id = ? AND seq >= ? AND client_msg_id IS NOT NULL ORDER BY seq DESC LIMIT ?",
        )
        .bind(room.to_sql())
        .bind(from)
        .bind(limit_of(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(&failed)?;
        Ok(rows.iter().filter_map(recent).collect())
    }

    pub(super) async fn search_key(
        &self,
        room: RoomId,
        by: UserId,
        key: MessageKey,
        since: Timestamp,
    ) -> Result<Option<RecentKey>, StoreError> {
        let failed = read_failed("a key");
        let mut connection = self.reader().await.map_err(&failed)?;
        let from = first_at(&mut connection, room, since).await.map_err(&failed)?;
        let row = sqlx::query(
            "SELECT sender, client_msg_id, seq, ts FROM message \
             WHERE room_id = ? AND seq >= ? AND sender = ? AND client_msg_id = ? LIMIT 1",
        )
        .bind(room.to_sql())
        .bind(from)
        .bind(by.to_sql())
        .bind(key.0.as_bytes().to_vec())
        .fetch_optional(&mut *connection)
        .await
        .map_err(&failed)?;
        Ok(row.as_ref().and_then(recent))
    }
}

async fn any(
    connection: &mut SqliteConnection,
    sql: &'static str,
    room: RoomId,
    seq: i64,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(sql).bind(room.to_sql()).bind(seq).fetch_one(connection).await?;
    Ok(row.get::<i64, _>(0) != 0)
}

/// The seq of the room's first event at `since` or later, by bisection: seqs are dense from 1 and
/// times never go back.
async fn first_at(connection: &mut SqliteConnection, room: RoomId, since: Timestamp) -> Result<i64, sqlx::Error> {
    let row = sqlx::query("SELECT max(seq) FROM message WHERE room_id = ?").bind(room.to_sql());
    let head = row.fetch_one(&mut *connection).await?.get::<Option<i64>, _>(0).unwrap_or(0);
    let (mut low, mut high) = (1, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = sqlx::query("SELECT ts FROM message WHERE room_id = ? AND seq = ?");
        let row = row.bind(room.to_sql()).bind(middle).fetch_one(&mut *connection).await?;
        if row.get::<i64, _>(0) < since.0 { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Folds messages with every later event about them, and every purge of the room.
async fn fold(
    connection: &mut SqliteConnection,
    room: RoomId,
    created: &[StoredEvent],
) -> Result<Vec<MessageState>, StoreError> {
    let failed = read_failed("events about messages");
    let states = events::begun(created)?;
    if states.is_empty() {
        return Ok(states);
    }
    let seqs = serde_json::to_string(&states.iter().map(|state| state.seq).collect::<Vec<_>>()).unwrap_or_default();
    let about = select!(
        "INDEXED BY message_target WHERE room_id = ? AND target IN (SELECT value FROM json_each(?)) AND seq > target"
    );
    let about = sqlx::query(about).bind(room.to_sql()).bind(seqs);
    let mut later = about.fetch_all(&mut *connection).await.map_err(&failed)?;
    let purges = select!("INDEXED BY message_mark WHERE room_id = ? AND kind IN (4, 7, 8) AND kind = 4");
    later.extend(sqlx::query(purges).bind(room.to_sql()).fetch_all(&mut *connection).await.map_err(&failed)?);
    let later = later.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
    events::folded(states, later)
}
