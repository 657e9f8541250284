//! The embedded store: one SQLite file, one writer, a few readers.
//!
//! # Durability
//!
//! The journal is a write-ahead log with `synchronous = FULL`: a commit has returned only after its
//! pages were synced, so what was acknowledged survives a `kill -9` and a loss of power.
//!
//! # Failure
//!
//! Each write is one transaction on the one writing connection, run by a task of its own: a caller
//! that stops waiting cannot leave it half done. One that fails, on a full disk for instance, is
//! rolled back, and the store goes on when there is room again.

mod append;
mod effects;
mod history;
mod open;
mod people;
mod places;
mod rows;
mod single;

use std::sync::Arc;

use sqlx::{Sqlite, SqliteConnection, pool::PoolConnection, sqlite::SqlitePool};
use tokio::sync::Mutex;

use crate::error::{Cause, StoreError};

pub use open::SCHEMA_VERSION;

/// The embedded store. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Arc<Mutex<SqliteConnection>>,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Runs `work` in a transaction on the writing connection.
    async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncWork<T>,
    {
        let writer = self.writer.clone();
        let task = tokio::spawn(async move {
            let mut connection = writer.lock_owned().await;
            run(&mut connection, work).await
        });
        written(what, task.await)
    }

    /// Runs `work`, which makes its own transaction, on the writing connection.
    async fn write_alone<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncWork<T>,
    {
        let writer = self.writer.clone();
        let task = tokio::spawn(async move { work.run(&mut *writer.lock_owned().await).await });
        written(what, task.await)
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        self.readers.acquire().await
    }

    /// Closes the connections, so that another process may open the file.
    pub async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        // A checkpoint that fails is made up for by the next start.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *writer).await;
    }
}

fn written<T>(what: &'static str, done: Result<Result<T, Stop>, tokio::task::JoinError>) -> Result<T, StoreError> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Stop::Refused(error))) => Err(error),
        Ok(Err(Stop::Failed(error))) => Err(StoreError::Write { what, source: error.into() }),
        Err(panicked) => Err(StoreError::Write { what, source: panicked.into() }),
    }
}

/// Why a transaction was rolled back.
pub(crate) enum Stop {
    /// For a reason that the caller is told.
    Refused(StoreError),
    /// The database failed.
    Failed(sqlx::Error),
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

async fn run<T>(connection: &mut SqliteConnection, work: impl AsyncWork<T>) -> Result<T, Stop> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let done = work.run(connection).await;
    let end = match done {
        Ok(done) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| done).map_err(Stop::Failed),
        Err(stop) => Err(stop),
    };
    if end.is_err() {
        // SQLite rolls some failures back by itself, and then says that there is nothing to do.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    end
}

fn read_failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Read { what, source: Cause::from(source) }
}
