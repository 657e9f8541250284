//! What the file says of itself, asked of the open store or, of a node that does not run, by one connection.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use super::{
    SCHEMA_VERSION, SqliteStore,
    open::{options, sentence},
};
use crate::{
    error::StoreError,
    vitals::{Durability, Vitals},
};

async fn look(connection: &mut SqliteConnection) -> Result<Vitals, sqlx::Error> {
    let synchronous = sqlx::query("PRAGMA synchronous").fetch_one(&mut *connection).await?.get(0);
    let journal = sqlx::query("PRAGMA journal_mode").fetch_one(&mut *connection).await?.get(0);
    let schema: i64 = sqlx::query("PRAGMA user_version").fetch_one(connection).await?.get(0);
    Ok(Vitals {
        durability: Durability::Sqlite { synchronous, journal },
        clock: None,
        schema: usize::try_from(schema).unwrap_or(usize::MAX),
        schema_known: SCHEMA_VERSION,
    })
}

impl SqliteStore {
    /// Asks the file of a node that does not run, and leaves its schema as it is.
    ///
    /// # Errors
    /// [`StoreError::Open`] with a sentence that names the remedy.
    pub async fn look(file: &Path) -> Result<Vitals, StoreError> {
        let failed = |error: sqlx::Error| StoreError::Open(sentence(file, &error));
        let options = options(file).create_if_missing(false).disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let vitals = look(&mut connection).await;
        // What could not be closed is found by the next start.
        let _ = connection.close().await;
        vitals.map_err(failed)
    }

    /// The writing connection is the one that says how durable writes are.
    pub(super) async fn look_inside(&self) -> Result<Vitals, sqlx::Error> {
        let mut writer = self.writer.lock().await;
        let writer = writer.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        look(writer.connection().await).await
    }

    /// A write that is brought to disk and changes nothing; see [`SqliteStore::check`] for what a success may not hide.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        if self.failed.lock().is_some() {
            return self.check().await;
        }
        self.write("a probe", super::Probe).await
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::LogStore as _;

    #[tokio::test]
    async fn an_embedded_store_says_that_it_syncs_each_commit_and_which_schema_it_has() {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("hubbub.sqlite");
        assert!(SqliteStore::look(&file).await.is_err(), "a look makes no store");
        assert!(!file.exists());
        let store = SqliteStore::open(&file).await.expect("a fresh store opens");
        let wanted = Vitals {
            durability: Durability::Sqlite { synchronous: 2, journal: "wal".to_owned() },
            clock: None,
            schema: SCHEMA_VERSION,
            schema_known: SCHEMA_VERSION,
        };
        assert_eq!(store.vitals().await.expect("a read"), wanted);
        store.probe_write().await.expect("a write");
        store.close().await;
        store.probe_write().await.expect_err("it is closed");
        assert_eq!(SqliteStore::look(&file).await.expect("a look"), wanted);
    }
}
