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

use super::{Database, columns::Columns, statement::Statement};
use crate::error::{ErrorChain, StoreError};
use hubbub_protocol::{
    ids::{RoomId, Seq},
    time::Timestamp,
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

/// For each room, how many messages it has and when the newest was sent.
pub(crate) async fn counts<D: Database>(
    database: &D,
    rooms: &[RoomId],
) -> Result<Vec<(u64, Option<Timestamp>)>, StoreError> {
    let mut counts = Vec::with_capacity(rooms.len());
    let mut grown = Vec::new();
    for room in rooms {
        let known = kept(database, *room).await?;
        let tally = counted_on(database, *room, known).await?;
        if tally.seq.0 - known.seq.0 >= KEEP_AFTER {
            grown.push(keep(*room, tally));
        }
        counts.push((tally.messages, tally.last_ts));
    }
    if !grown.is_empty()
        && let Err(error) = database.write("tallies", grown).await
    {
        tracing::warn!(error = %ErrorChain(&error), "could not keep how many messages rooms have");
    }
    Ok(counts)
}

async fn kept<D: Database>(database: &D, room: RoomId) -> Result<Tally, StoreError> {
    let sql = "SELECT seq, messages, last_ts FROM room_tally WHERE room_id = $1";
    let rows = database.read("counts", Statement::of(sql).bind(room.to_sql())).await?;
    Ok(rows.first().map_or_else(Tally::default, |row| Tally {
        seq: Seq::from_sql(row.number(0)),
        messages: row.count(1),
        last_ts: row.maybe_number(2).map(Timestamp),
    }))
}

/// The tally of all there is, from one of a part of it.
async fn counted_on<D: Database>(database: &D, room: RoomId, known: Tally) -> Result<Tally, StoreError> {
    let sql = "SELECT max(seq), count(*) FILTER (WHERE kind = 1), max(ts) FILTER (WHERE kind = 1) \
               FROM message WHERE room_id = $1 AND seq > $2";
    let counted = Statement::of(sql).bind(room.to_sql()).bind(known.seq.to_sql());
    let rows = database.read("counts", counted).await?;
    Ok(rows.first().map_or(known, |row| Tally {
        seq: row.maybe_number(0).map_or(known.seq, Seq::from_sql),
        messages: known.messages + row.count(1),
        last_ts: row.maybe_number(2).map(Timestamp).or(known.last_ts),
    }))
}

fn keep(room: RoomId, tally: Tally) -> Statement {
    // Two who counted at once keep the longer count.
    let sql = "INSERT INTO room_tally (room_id, seq, messages, last_ts) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (room_id) DO UPDATE \
               SET seq = excluded.seq, messages = excluded.messages, last_ts = excluded.last_ts \
               WHERE excluded.seq > room_tally.seq";
    let statement = Statement::of(sql).bind(room.to_sql()).bind(tally.seq.to_sql());
    statement.bind(tally.messages.cast_signed()).bind(tally.last_ts.map(|ts| ts.0))
}
