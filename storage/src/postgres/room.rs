//! Whether the database has room for more, asked when it had none for an append.
//!
//! A write that changes no row goes well on a full disk, so it says nothing of messages. After the server has refused an
//! append, [`LogStore::check_writes`](crate::LogStore::check_writes) stores what takes fresh pages, and takes it back.
//! That may find room where a message found none, in another file for instance, so a refusal is remembered for a while.

use std::time::{Duration, Instant};

use sqlx::{Executor as _, PgConnection};

use super::{PostgresStore, failure::Stop, pool::Work, trouble::sentence_of, write_failed};
use crate::error::StoreError;

/// How long a refused append is told of, unless another goes well before.
const REMEMBERED: Duration = Duration::from_secs(10);
/// A message of 64 KiB that cannot be compressed, of no room: more than is free within the pages that are there.
const LARGE: &str = "INSERT INTO message (room_id, seq, shard_seq, sender, ts, shard_id, kind, body) \
     SELECT -1, 0, 0, 0, 0, -1, 0, string_agg(sha256(n::text::bytea), '') FROM generate_series(1, 2048) AS s(n)";

struct Grow;

impl Work<()> for Grow {
    async fn run(self, connection: &mut PgConnection) -> Result<(), Stop> {
        connection.execute("BEGIN").await?;
        let stored = connection.execute(LARGE).await.map(drop).map_err(Stop::from);
        if stored.as_ref().is_err_and(Stop::breaks) {
            return stored;
        }
        connection.execute("ROLLBACK").await?;
        stored
    }
}

impl PostgresStore {
    /// Remembers how an append ended, if the server itself refused it: what befell a connection shows by itself.
    pub(super) fn noted<T>(&self, appended: Result<T, Stop>) -> Result<T, Stop> {
        let refused = match &appended {
            Err(stop @ Stop::Failed(cause)) if !stop.breaks() => Some((Instant::now(), sentence_of(cause))),
            _ => None,
        };
        if refused.is_some() || self.refused.lock().is_some() {
            *self.refused.lock() = refused;
        }
        appended
    }

    /// Whether an append would find room, if the last one was refused.
    pub(super) async fn check_room(&self) -> Result<(), StoreError> {
        let Some((at, why)) = self.refused.lock().clone() else { return Ok(()) };
        self.writers.run(Grow).await.map_err(write_failed("anything"))?;
        if at.elapsed() < REMEMBERED {
            return Err(StoreError::Write { what: "events", source: why.into() });
        }
        *self.refused.lock() = None;
        Ok(())
    }
}
