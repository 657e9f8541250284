//! The usual append, in one statement: a few events of some shards, without effects.
//!
//! Each statement given to the database's thread costs two changes of thread, more than the work in
//! it. So fence, events and commit go together: rows put into the view `append` move their shard's
//! head, and one whose fence does not hold ends the statement, which has then written nothing. The
//! batch then goes the long way, part by part.
//!
//! The statement is its own transaction, so a caller may give it up at any point.

use hubbub_protocol::ids::Seq;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::Stop;
use crate::{append::ShardAppend, sql::events::body_of};

/// Most events of such an append: one statement text for each number of them is kept prepared.
pub(super) const EVENTS_MAX: usize = 32;
/// What the trigger says of a row whose fence does not hold.
const FENCED: &str = "fenced";

/// Whether `parts` are a usual append.
pub(super) fn fits(parts: &[ShardAppend]) -> bool {
    let events: usize = parts.iter().map(|part| part.events.len()).sum();
    let plain = parts.iter().all(|part| part.effects.is_empty() && !part.events.is_empty());
    plain && (1..=EVENTS_MAX).contains(&events)
}

/// Appends `parts`; says whether all fences held. If not, nothing was written.
///
/// # Errors
/// [`Stop::Failed`]; nothing was written then either.
pub(super) async fn append(connection: &mut SqliteConnection, parts: &[ShardAppend]) -> Result<bool, Stop> {
    let events: usize = parts.iter().map(|part| part.events.len()).sum();
    let values = vec!["(?,?,?,?,?,?,?,?,?,?,?)"; events].join(",");
    let sql = format!(
        "INSERT INTO append \
         (epoch, room_id, seq, shard_id, shard_seq, sender, kind, client_msg_id, ts, target, body) VALUES {values}"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for part in parts {
        for event in &part.events {
            query = query
                .bind(part.epoch.to_sql())
                .bind(event.room.to_sql())
                .bind(event.seq.to_sql())
                .bind(i64::from(part.shard.0))
                .bind(event.shard_seq.to_sql())
                .bind(event.by.to_sql())
                .bind(i64::from(event.kind as u8))
                .bind(event.key.map(|key| key.0.as_bytes().to_vec()))
                .bind(event.ts.0)
                .bind(event.target.map(Seq::to_sql))
                .bind(body_of(&event.push));
        }
    }
    match query.execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.message() == FENCED => Ok(false),
        Err(error) => Err(Stop::Failed(error)),
    }
}
