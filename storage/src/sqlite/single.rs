//! The usual append, in one call: a few events of one shard, without effects.
//!
//! Each call to the database's thread costs two changes of thread, more than the statements in it.
//! So fence, events and commit go together. The insert looks at what the fence's update did, so that
//! a fenced append writes nothing; the update returns a row only when it holds.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{Stop, append::body_of, rollback};
use crate::append::ShardAppend;

/// Most events of such an append: one statement text for each number of them is kept prepared.
pub(super) const EVENTS_MAX: usize = 16;

/// Whether `parts` are a usual append.
pub(super) fn fits(parts: &[ShardAppend]) -> bool {
    matches!(parts, [part] if part.effects.is_empty() && (1..=EVENTS_MAX).contains(&part.events.len()))
}

/// Appends `part` in a transaction of its own; says whether the fence held.
///
/// # Errors
/// [`Stop::Failed`]; what was begun is rolled back.
pub(super) async fn append(connection: &mut SqliteConnection, part: &ShardAppend) -> Result<bool, Stop> {
    let values = vec!["(?,?,?,?,?,?,?,?,?,?)"; part.events.len()].join(",");
    let sql = format!(
        "BEGIN IMMEDIATE; \
         UPDATE shard_fence SET head = ? WHERE shard_id = ? AND epoch = ? AND head = ? RETURNING 1; \
         INSERT INTO message (room_id, seq, shard_id, shard_seq, sender, kind, client_msg_id, ts, target, body) \
         SELECT * FROM (VALUES {values}) WHERE changes() = 1; \
         COMMIT"
    );
    let shard = i64::from(part.shard.0);
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(part.new_head().to_sql())
        .bind(shard)
        .bind(part.epoch.to_sql())
        .bind(part.old_head.to_sql());
    for event in &part.events {
        query = query
            .bind(event.room.to_sql())
            .bind(event.seq.to_sql())
            .bind(shard)
            .bind(event.shard_seq.to_sql())
            .bind(event.by.to_sql())
            .bind(i64::from(event.kind as u8))
            .bind(event.key.map(|key| key.0.as_bytes().to_vec()))
            .bind(event.ts.0)
            .bind(event.target.map(hubbub_protocol::ids::Seq::to_sql))
            .bind(body_of(&event.push));
    }
    match query.fetch_all(&mut *connection).await {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(error) => {
            rollback(connection).await;
            Err(Stop::Failed(error))
        }
    }
}
