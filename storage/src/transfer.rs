//! Moves everything from the embedded store into an empty PostgreSQL database.
//!
//! # Order of effects
//!
//! All is written in one transaction. Before it commits, every row is read back and compared with the
//! source by a digest, room by room for messages. Whatever ends it before leaves the target as empty as
//! it was, so a transfer that was broken off is simply begun anew.
//!
//! The source is read and not changed. Nobody may write to it meanwhile: the caller holds its directory.

mod digest;
mod tables;

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row, SqliteConnection};

use self::{
    digest::{Cell, Digest},
    tables::{Batch, TABLES, Table},
};
use crate::{
    error::{Cause, ErrorChain, StoreError},
    log::LogStore,
    postgres::{PostgresConfig, PostgresStore, PostgresUrl},
    sqlite::SqliteStore,
};

/// Rows written by one statement: 4,000 messages take about 40 ms.
const BATCH_ROWS: usize = 4_000;
/// Bytes of such rows, for rooms full of long messages.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How far a transfer has got. Each row counts twice: written, then read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Messages and other events among them.
    pub events: u64,
    /// Rooms whose logs were compared.
    pub rooms: u64,
}

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The target is in use.
    #[error("{0} is not empty: name an empty database, or drop this one's tables first")]
    NotEmpty(String),
    /// What was read back is not what was written.
    #[error("{0} came out different in the target: nothing was moved; check the server's disk and memory")]
    Differs(String),
    /// The source cannot be read.
    #[error("cannot read the source: {}", ErrorChain(&**.0))]
    Source(#[source] Cause),
    /// The target cannot be written.
    #[error("cannot write the target: {}", ErrorChain(&**.0))]
    Target(#[source] Cause),
    /// One of them cannot be opened.
    #[error(transparent)]
    Open(#[from] StoreError),
}

fn source(error: sqlx::Error) -> TransferError {
    TransferError::Source(error.into())
}

fn target(error: sqlx::Error) -> TransferError {
    TransferError::Target(error.into())
}

/// Moves all of `from` to the database at `to`.
///
/// # Errors
/// [`TransferError`]: nothing was moved.
pub async fn to_postgres(
    from: &SqliteStore,
    to: &PostgresUrl,
    mut progress: impl FnMut(Progress),
) -> Result<Moved, TransferError> {
    // Makes the tables, and looks whether the server is fit.
    PostgresStore::open(to, PostgresConfig::default()).await?.close().await;
    let mut source_rows = from.detached_reader().await.map_err(source)?;
    let mut into = PgConnection::connect_with(to.options()).await.map_err(target)?;
    into.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '5s'")
        .await
        .map_err(target)?;
    into.execute("BEGIN").await.map_err(target)?;
    refuse_unless_empty(&mut into, to).await?;
    let mut total = 0;
    for table in TABLES {
        total += count(&mut source_rows, table).await?;
    }
    let mut steps = Progress { done: 0, total: total * 2 };
    let mut step = |rows: u64| {
        steps.done += rows;
        progress(steps);
    };
    let mut written = Vec::new();
    for table in TABLES {
        written.push(copy(table, &mut source_rows, &mut into, &mut step).await?);
    }
    let mut moved = Moved { rows: total, events: 0, rooms: 0 };
    for (table, written) in TABLES.iter().zip(written) {
        let read = read_back(table, &mut into, &mut step).await?;
        if let Some(part) = different(table, &written, &read) {
            return Err(TransferError::Differs(part));
        }
        if table.by_room {
            moved.rooms = written.len() as u64;
            moved.events = written.values().map(|digest| digest.rows).sum();
        }
    }
    into.execute("COMMIT").await.map_err(target)?;
    // Without statistics the first pages would be planned blindly.
    into.execute("ANALYZE").await.map_err(target)?;
    into.close().await.map_err(target)?;
    Ok(moved)
}

/// Digests of a table's rows: by room where it has rooms of its own, else one.
type Digests = BTreeMap<i64, Digest>;

/// Which rooms, or which table, differ.
fn different(table: &Table, written: &Digests, read: &Digests) -> Option<String> {
    let rooms = written.keys().chain(read.keys());
    let room = rooms.copied().find(|room| written.get(room) != read.get(room))?;
    Some(if table.by_room {
        format!("the log of room {}", hubbub_protocol::ids::RoomId::from_sql(room))
    } else {
        format!("the table {}", table.name)
    })
}

/// Takes the tables for ourselves, and looks whether there is anything in them.
async fn refuse_unless_empty(into: &mut PgConnection, to: &PostgresUrl) -> Result<(), TransferError> {
    for table in TABLES {
        let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", table.name);
        into.execute(sqlx::raw_sql(AssertSqlSafe(lock))).await.map_err(target)?;
        let any = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
        let row = sqlx::query(AssertSqlSafe(any)).fetch_one(&mut *into).await.map_err(target)?;
        if row.get(0) {
            return Err(TransferError::NotEmpty(to.to_string()));
        }
    }
    Ok(())
}

async fn count(from: &mut SqliteConnection, table: &Table) -> Result<u64, TransferError> {
    let sql = format!("SELECT count(*) FROM {}", table.name);
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(from).await.map_err(source)?;
    Ok(row.get::<i64, _>(0).cast_unsigned())
}

async fn copy(
    table: &Table,
    from: &mut SqliteConnection,
    into: &mut PgConnection,
    step: &mut impl FnMut(u64),
) -> Result<Digests, TransferError> {
    let mut digests = Digests::new();
    let mut batch = Batch::of(table);
    let mut rows = sqlx::query(AssertSqlSafe(table.select())).fetch(from);
    while let Some(row) = rows.try_next().await.map_err(source)? {
        let cells = table.cells(&row);
        add(&mut digests, table, &cells);
        batch.push(cells);
        if batch.rows >= BATCH_ROWS || batch.bytes >= BATCH_BYTES {
            step(batch.rows as u64);
            std::mem::replace(&mut batch, Batch::of(table)).insert(into).await.map_err(target)?;
        }
    }
    step(batch.rows as u64);
    batch.insert(into).await.map_err(target)?;
    Ok(digests)
}

async fn read_back(
    table: &Table,
    into: &mut PgConnection,
    step: &mut impl FnMut(u64),
) -> Result<Digests, TransferError> {
    let mut digests = Digests::new();
    let mut rows = sqlx::query(AssertSqlSafe(table.select())).fetch(into);
    let mut read = 0;
    while let Some(row) = rows.try_next().await.map_err(target)? {
        add(&mut digests, table, &table.cells(&row));
        read += 1;
        if read == BATCH_ROWS as u64 {
            step(std::mem::take(&mut read));
        }
    }
    step(read);
    Ok(digests)
}

fn add(digests: &mut Digests, table: &Table, cells: &[Cell]) {
    let room = match cells.first() {
        Some(Cell::Number(Some(room))) if table.by_room => *room,
        _ => 0,
    };
    digests.entry(room).or_default().add(cells);
}

#[cfg(test)]
mod tests;
