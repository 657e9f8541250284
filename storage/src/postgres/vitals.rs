//! What the server says of itself, asked through a pool or, of a node that does not run, by one connection.

use hubbub_protocol::time::Timestamp;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};

use super::{
    PostgresStore, PostgresUrl, SCHEMA_VERSION,
    failure::{Stop, sentence},
    pool::Work,
    session::Session,
};
use crate::{
    error::StoreError,
    vitals::{Durability, Vitals},
};

/// The time is read last, after what may have to be looked up on a disk.
const SETTINGS: &str = "SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
     current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), \
     to_regclass('schema_version') IS NOT NULL, (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const SCHEMA: &str = "SELECT coalesce(max(version), 0) FROM schema_version";

pub(super) struct Look;

impl Work<Vitals> for Look {
    async fn run(self, connection: &mut PgConnection) -> Result<Vitals, Stop> {
        Ok(look(connection).await?)
    }
}

async fn look(connection: &mut PgConnection) -> Result<Vitals, sqlx::Error> {
    let row = sqlx::query(SETTINGS).fetch_one(&mut *connection).await?;
    let durability = Durability::Postgres {
        fsync: row.get(0),
        full_page_writes: row.get(1),
        synchronous_commit: row.get(2),
        synchronous_standby_names: row.get(3),
    };
    let (has_schema, clock): (bool, i64) = (row.get(4), row.get(5));
    let schema = if has_schema {
        let version: i64 = sqlx::query(SCHEMA).fetch_one(connection).await?.get(0);
        usize::try_from(version).unwrap_or(usize::MAX)
    } else {
        0
    };
    Ok(Vitals { durability, clock: Some(Timestamp(clock)), schema, schema_known: SCHEMA_VERSION })
}

impl PostgresStore {
    /// Asks the server at `url` by one connection, and changes nothing: tables are neither made nor brought up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`] with a sentence that names the remedy.
    pub async fn look(url: &PostgresUrl) -> Result<Vitals, StoreError> {
        let failed = |error: sqlx::Error| StoreError::Open(sentence(url, &error));
        let options = url.options.clone().disable_statement_logging();
        let mut session = Session::connect(&options, "doctor").await.map_err(failed)?;
        let vitals = look(&mut session.connection).await;
        // It has served; that it is gone is all that is wanted.
        let _ = session.connection.close().await;
        vitals.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        LogStore as _,
        postgres::{PostgresConfig, testing::Database},
    };

    #[tokio::test]
    async fn a_database_says_how_durable_it_is_which_time_it_has_and_which_schema() {
        let database = Database::bare().await;
        let before = PostgresStore::look(&database.url).await.expect("a look");
        assert_eq!((before.schema, before.schema_known), (0, SCHEMA_VERSION));
        let again = PostgresStore::look(&database.url).await.expect("a look");
        assert_eq!(again.schema, 0, "a look makes no tables");

        let store = PostgresStore::open(&database.url, PostgresConfig::default()).await.expect("a store opens");
        let vitals = store.vitals().await.expect("a read");
        assert_eq!(vitals.schema, SCHEMA_VERSION);
        assert!(vitals.clock >= before.clock && before.clock.is_some_and(|at| at.0 > 1_600_000_000_000));
        let Durability::Postgres { synchronous_commit, synchronous_standby_names, .. } = vitals.durability else {
            panic!("{:?}", vitals.durability)
        };
        assert_eq!(synchronous_commit, "on", "sessions raise what the server says");
        assert_eq!(synchronous_standby_names, "", "the test's server stands alone");
        store.probe_write().await.expect("a write");
        store.close().await;
    }
}
