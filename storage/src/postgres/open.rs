//! Connects, looks whether the server is fit, and brings the schema up to date.

use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions, Connection, Executor as _, PgConnection, Row};

use super::{
    PostgresConfig, PostgresStore, PostgresUrl,
    failure::{read_only, sentence},
    pool::Pool,
    session::Session,
};
use crate::error::StoreError;

/// Each step of the schema, oldest first; a step that was released never changes.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema/0001_first.sql")];
/// The schema this program writes.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();
/// The oldest server that has all that we use, as it numbers itself: 14.
const SERVER_MIN: i32 = 140_000;
/// The lock under which one node at a time changes the schema: "hubbub" in ASCII.
const MIGRATION_LOCK: i64 = 0x0068_7562_6275_6200;
/// How long another node's change of the schema is waited for.
const MIGRATION_WAIT: Duration = Duration::from_secs(60);
const MIGRATION_PAUSE: Duration = Duration::from_millis(100);
/// How long a reader or writer tries to connect again. A lane does not: its owner asks again itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long an idle connection is taken for alive without asking. A writer is always asked: a write that
/// meets a dead connection cannot be tried again, since nobody knows whether it was carried out.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

const SERVER: &str = "SELECT current_setting('server_version_num')::int, \
     pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', \
     current_setting('server_encoding'), current_setting('fsync')";

impl PostgresStore {
    /// Opens the store in the database at `url`, making its tables when they are not there.
    ///
    /// # Errors
    /// [`StoreError::Open`] with a sentence that names the remedy: unreachable, refused, read-only, out of
    /// connections, of a newer version.
    pub async fn open(url: &PostgresUrl, config: PostgresConfig) -> Result<Self, StoreError> {
        Self::open_with(url, config, url.options.clone().disable_statement_logging()).await
    }

    pub(super) async fn open_with(
        url: &PostgresUrl,
        config: PostgresConfig,
        options: sqlx::postgres::PgConnectOptions,
    ) -> Result<Self, StoreError> {
        let mut session = Session::connect(&options, "opening").await.map_err(|error| open_failed(url, &error))?;
        check(&mut session.connection, url).await?;
        migrate(&mut session.connection, url, MIGRATIONS).await?;
        // It has served; that it is gone is all that is wanted.
        let _ = session.connection.close().await;
        let pool = |name, max: usize, times| Pool::new(name, options.clone(), max.max(1), times);
        let lanes = (0..config.lanes.max(1)).map(|_| pool("lanes", 1, (Duration::ZERO, TRUSTED_IDLE))).collect();
        let readers = pool("readers", config.readers, (PATIENCE, TRUSTED_IDLE));
        let writers = pool("writers", config.writers, (PATIENCE, Duration::ZERO));
        Ok(Self { lanes, readers, writers, pages: Arc::default(), refused: Arc::default() })
    }
}

fn open_failed(url: &PostgresUrl, error: &sqlx::Error) -> StoreError {
    StoreError::Open(sentence(url, error))
}

async fn check(connection: &mut PgConnection, url: &PostgresUrl) -> Result<(), StoreError> {
    let row = sqlx::query(SERVER).fetch_one(connection).await.map_err(|error| open_failed(url, &error))?;
    let (version, reads_only): (i32, bool) = (row.get(0), row.get(1));
    let (encoding, fsync): (String, String) = (row.get(2), row.get(3));
    if version < SERVER_MIN {
        let (is, min) = (version / 10_000, SERVER_MIN / 10_000);
        return Err(StoreError::Open(format!("{url} is PostgreSQL {is}: Hubbub needs {min} or later")));
    }
    if reads_only {
        return Err(StoreError::Open(read_only(url)));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Open(format!(
            "{url} stores texts as {encoding}: make a database with `createdb --encoding=UTF8 --template=template0`"
        )));
    }
    if fsync != "on" {
        tracing::warn!("the server of {url} runs with fsync off: a crash of its machine loses messages");
    }
    Ok(())
}

/// Brings the schema up to date: one node at a time, a step at a time, each in a transaction.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    url: &PostgresUrl,
    steps: &[&'static str],
) -> Result<(), StoreError> {
    let fail = |error: sqlx::Error| open_failed(url, &error);
    if version(connection, url, steps.len()).await? == steps.len() {
        return Ok(());
    }
    lock(connection, url).await?;
    let done = async {
        let first = version(connection, url, steps.len()).await?;
        for (done, step) in steps.iter().enumerate().skip(first) {
            // A change of a large table takes its time.
            let begin = "BEGIN; SET LOCAL statement_timeout = 0; \
                 CREATE TABLE IF NOT EXISTS schema_version (version bigint PRIMARY KEY, made_at timestamptz)";
            connection.execute(begin).await.map_err(fail)?;
            connection.execute(sqlx::raw_sql(*step)).await.map_err(fail)?;
            let note = sqlx::query("INSERT INTO schema_version (version, made_at) VALUES ($1, now())");
            let number = i64::try_from(done + 1).unwrap_or(i64::MAX);
            note.bind(number).execute(&mut *connection).await.map_err(fail)?;
            connection.execute("COMMIT").await.map_err(fail)?;
        }
        Ok(())
    };
    let done = done.await;
    if done.is_err() {
        // A failed step leaves its transaction open; the connection is closed by the caller in any case.
        let _ = connection.execute("ROLLBACK").await;
    }
    let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(MIGRATION_LOCK);
    let unlocked = unlock.execute(connection).await.map(drop).map_err(fail);
    done.and(unlocked)
}

async fn lock(connection: &mut PgConnection, url: &PostgresUrl) -> Result<(), StoreError> {
    let waiting = async {
        loop {
            let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(MIGRATION_LOCK);
            let row = row.fetch_one(&mut *connection).await.map_err(|error| open_failed(url, &error))?;
            if row.get(0) {
                return Ok(());
            }
            tokio::time::sleep(MIGRATION_PAUSE).await;
        }
    };
    tokio::time::timeout(MIGRATION_WAIT, waiting).await.unwrap_or_else(|_| {
        Err(StoreError::Open(format!(
            "another node has been changing the schema of {url} for {MIGRATION_WAIT:?}: wait for it, then start again"
        )))
    })
}

/// The version of the schema, unless it is newer than what is `known`.
async fn version(connection: &mut PgConnection, url: &PostgresUrl, known: usize) -> Result<usize, StoreError> {
    let fail = |error: sqlx::Error| open_failed(url, &error);
    let row = sqlx::query("SELECT to_regclass('schema_version') IS NOT NULL").fetch_one(&mut *connection).await;
    if !row.map_err(fail)?.get::<bool, _>(0) {
        return Ok(0);
    }
    let row = sqlx::query("SELECT coalesce(max(version), 0) FROM schema_version").fetch_one(connection).await;
    let version = usize::try_from(row.map_err(fail)?.get::<i64, _>(0)).unwrap_or(usize::MAX);
    if version > known {
        return Err(StoreError::Open(format!(
            "{url} was written by a newer version of Hubbub (schema {version}, this program knows {known}): \
             start that version, or restore a backup made by this one"
        )));
    }
    Ok(version)
}
