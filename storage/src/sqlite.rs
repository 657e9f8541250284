//! The embedded store: one SQLite file, one writer, a few readers.
//!
//! # Durability
//!
//! The journal is a write-ahead log with `synchronous = FULL`: a commit has returned only after its
//! pages were synced, so what was acknowledged survives a `kill -9` and a loss of power.
//!
//! # Failure
//!
//! Each write is one transaction on the one writing connection. Writers wait for it in the order in
//! which they came; who stops waiting before its turn has written nothing. A transaction that has
//! begun is a task of its own, so that a caller who stops waiting cannot leave it half done. One that
//! fails, on a full disk for instance, is rolled back, and the store goes on when there is room again.

mod append;
mod facts;
mod history;
mod one_call;
mod open;
#[cfg(test)]
mod tests;
mod vitals;

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, Sqlite, SqliteConnection, pool::PoolConnection, sqlite::SqlitePool};
use tokio::{sync::Mutex, time::Instant};

use crate::error::{Cause, StoreError};

pub use open::SCHEMA_VERSION;

/// How long a failed write is told of, unless another goes well before.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The embedded store. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// The writing connection, until the store is closed.
    writer: Arc<Mutex<Option<Writer>>>,
    readers: SqlitePool,
    /// When and why the last write failed, on a full disk for instance; none when it went well.
    failed: Arc<parking_lot::Mutex<Option<(Instant, String)>>>,
}

impl SqliteStore {
    /// Runs `work` in a transaction on the writing connection.
    async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncWork<T>,
    {
        // Here, not in the task: what a caller gave up must be in the queue before what it does next.
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let task = tokio::spawn(async move {
            let writer = writer.as_mut().ok_or(sqlx::Error::PoolClosed)?;
            writer.run(Transaction(work)).await
        });
        match task.await {
            Ok(done) => self.noted(what, done),
            Err(panicked) => Err(StoreError::Write { what, source: panicked.into() }),
        }
    }

    /// Asks whether writes work, when the last one did not: by one that changes nothing. It is small,
    /// and may find room where a message found none, so a failure is remembered for a while.
    async fn check(&self) -> Result<(), StoreError> {
        let Some((at, why)) = self.failed.lock().clone() else { return Ok(()) };
        self.write("a probe", Probe).await?;
        if at.elapsed() < REMEMBERED {
            *self.failed.lock() = Some((at, why.clone()));
            return Err(StoreError::Write { what: "events", source: why.into() });
        }
        Ok(())
    }

    /// Remembers how a write ended, for [`SqliteStore::check`], and says so to its caller.
    fn noted<T>(&self, what: &'static str, done: Result<T, Stop>) -> Result<T, StoreError> {
        match &done {
            Ok(_) => *self.failed.lock() = None,
            Err(Stop::Failed(error)) => *self.failed.lock() = Some((Instant::now(), error.to_string())),
            Err(Stop::Refused(_)) => {}
        }
        done.map_err(|stop| stop.of_write(what))
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.readers.acquire().await
    }

    /// A reading connection of the caller's own.
    pub(crate) async fn detached_reader(&self) -> Result<SqliteConnection, sqlx::Error> {
        Ok(self.reader().await?.detach())
    }

    /// Closes the connections; what is under way is waited for, and what comes later fails. The journal
    /// is brought into the file, which then stands alone.
    pub async fn close(&self) {
        self.readers.close().await;
        let writer = self.writer.lock().await.take();
        if let Some(writer) = writer {
            // A journal that could not be brought in is found by the next start.
            let _ = writer.connection.close().await;
        }
    }
}

/// Writes the number of the schema that stands there already: a page of the journal, and no change.
struct Probe;

impl AsyncWork<()> for Probe {
    async fn run(self, connection: &mut SqliteConnection) -> Result<(), Stop> {
        let set = AssertSqlSafe(format!("PRAGMA user_version = {SCHEMA_VERSION}"));
        sqlx::query(set).execute(connection).await.map(drop).map_err(Stop::Failed)
    }
}

/// Why a transaction was rolled back.
pub(crate) enum Stop {
    /// For a reason that the caller is told.
    Refused(StoreError),
    /// The database failed.
    Failed(sqlx::Error),
}

impl Stop {
    /// What the caller of a write of `what` is told.
    fn of_write(self, what: &'static str) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(error) => StoreError::Write { what, source: error.into() },
        }
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// Work inside a transaction.
pub(crate) trait AsyncWork<T>: Send + 'static {
    /// Does it.
    fn run(self, connection: &mut SqliteConnection) -> impl Future<Output = Result<T, Stop>> + Send;
}

/// The writing connection.
#[derive(Debug)]
struct Writer {
    connection: SqliteConnection,
    /// Whether work has begun and not come to its end: true at the start of the next means that it
    /// panicked, and may have left a transaction open.
    at_work: bool,
}

impl Writer {
    const fn of(connection: SqliteConnection) -> Self {
        Self { connection, at_work: false }
    }

    /// The connection, without a transaction.
    async fn connection(&mut self) -> &mut SqliteConnection {
        if std::mem::take(&mut self.at_work) {
            rollback(&mut self.connection).await;
        }
        &mut self.connection
    }

    async fn run<T>(&mut self, work: impl AsyncWork<T>) -> Result<T, Stop> {
        self.connection().await;
        self.at_work = true;
        let done = work.run(&mut self.connection).await;
        self.at_work = false;
        done
    }
}

/// Work in a transaction that ends with it: committed if it went well, else rolled back.
struct Transaction<F>(F);

impl<T: Send, F: AsyncWork<T>> AsyncWork<T> for Transaction<F> {
    async fn run(self, connection: &mut SqliteConnection) -> Result<T, Stop> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let done = self.0.run(connection).await;
        let end = match done {
            Ok(done) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| done).map_err(Stop::Failed),
            Err(stop) => Err(stop),
        };
        if end.is_err() {
            rollback(connection).await;
        }
        end
    }
}

/// Rolls back. SQLite does so by itself after some failures, and then says that there is nothing to do.
async fn rollback(connection: &mut SqliteConnection) {
    let _ = sqlx::query("ROLLBACK").execute(connection).await;
}

fn read_failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Read { what, source: Cause::from(source) }
}
