//! How many messages a room has, counted on from where the last count stopped.
//!
//! A log only grows, and what is in it stays: so a count up to a seq is right for ever, and an append
//! need not keep it up to date. A count that has gone [`KEEP_AFTER`] events beyond the kept one is kept
//! in its place.
//!
//! # Invariants
//!
//! * A kept tally counts exactly the messages up to its seq.
//!
//! # Failure
//!
//! A tally that could not be kept costs the next count time, and nothing else.

use hubbub_protocol::{
    ids::{RoomId, Seq},
    time::Timestamp,
};
use sqlx::{Row, SqliteConnection};

use crate::{
    error::{ErrorChain, StoreError},
    sqlite::{AsyncWork, SqliteStore, Stop, read_failed},
};

/// Events counted beyond a kept tally before it is replaced: about 25 KB to read, a few pages, where
/// a write costs a sync of the disk.
const KEEP_AFTER: u64 = 64;

/// A count of a room's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    /// Everything up to here is counted.
    seq: Seq,
    messages: u64,
    /// When the newest was sent.
    last_ts: Option<Timestamp>,
}

impl SqliteStore {
    pub(in crate::sqlite) async fn read_counts(
        &self,
        rooms: &[RoomId],
    ) -> Result<Vec<(u64, Option<Timestamp>)>, StoreError> {
        let failed = read_failed("counts");
        let mut counts = Vec::with_capacity(rooms.len());
        let mut grown = Vec::new();
        let mut connection = self.reader().await.map_err(&failed)?;
        for room in rooms {
            let known = kept(&mut connection, *room).await.map_err(&failed)?;
            let tally = counted_on(&mut connection, *room, known).await.map_err(&failed)?;
            if tally.seq.0 - known.seq.0 >= KEEP_AFTER {
                grown.push((*room, tally));
            }
            counts.push((tally.messages, tally.last_ts));
        }
        drop(connection);
        if !grown.is_empty()
            && let Err(error) = self.write("tallies", Keep(grown)).await
        {
            tracing::warn!(error = %ErrorChain(&error), "could not keep how many messages rooms have");
        }
        Ok(counts)
    }
}

async fn kept(connection: &mut SqliteConnection, room: RoomId) -> Result<Tally, sqlx::Error> {
    let row = sqlx::query("SELECT seq, messages, last_ts FROM room_tally WHERE room_id = ?").bind(room.to_sql());
    let row = row.fetch_optional(connection).await?;
    Ok(row.map_or_else(Tally::default, |row| Tally {
        seq: Seq::from_sql(row.get(0)),
        messages: row.get::<i64, _>(1).cast_unsigned(),
        last_ts: row.get::<Option<i64>, _>(2).map(Timestamp),
    }))
}

/// The tally of all there is, from one of a part of it.
async fn counted_on(connection: &mut SqliteConnection, room: RoomId, known: Tally) -> Result<Tally, sqlx::Error> {
    let sql = "SELECT max(seq), count(*) FILTER (WHERE kind = 1), max(ts) FILTER (WHERE kind = 1) \
               FROM message WHERE room_id = ? AND seq > ?";
    let row = sqlx::query(sql).bind(room.to_sql()).bind(known.seq.to_sql()).fetch_one(connection).await?;
    Ok(Tally {
        seq: row.get::<Option<i64>, _>(0).map_or(known.seq, Seq::from_sql),
        messages: known.messages + row.get::<i64, _>(1).cast_unsigned(),
        last_ts: row.get::<Option<i64>, _>(2).map(Timestamp).or(known.last_ts),
    })
}

struct Keep(Vec<(RoomId, Tally)>);

impl AsyncWork<()> for Keep {
    async fn run(self, connection: &mut SqliteConnection) -> Result<(), Stop> {
        // Two who counted at once keep the longer count.
        let sql = "INSERT INTO room_tally (room_id, seq, messages, last_ts) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (room_id) DO UPDATE \
                   SET seq = excluded.seq, messages = excluded.messages, last_ts = excluded.last_ts \
                   WHERE excluded.seq > room_tally.seq";
        for (room, tally) in self.0 {
            sqlx::query(sql)
                .bind(room.to_sql())
                .bind(tally.seq.to_sql())
                .bind(tally.messages.cast_signed())
                .bind(tally.last_ts.map(|ts| ts.0))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
