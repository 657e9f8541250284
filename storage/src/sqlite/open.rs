//! Opens the file, and brings its schema up to date.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::{SqliteStore, Writer, rollback};
use crate::error::StoreError;

/// Each step of the schema, oldest first; a step that was released never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_tally.sql"),
    include_str!("schema/0003_append.sql"),
];
/// The schema this program writes.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();
/// What the journal is given at the start: 1,000 pages of 4 KiB. It grows to what it may hold as it is needed.
const JOURNAL_BYTES: u64 = 1_000 * 4_096;
/// Free space from which the journal is given its size at the start: sixteen times what that takes.
const SPARE_BYTES: u64 = 16 * JOURNAL_BYTES;
/// Pages that the writing connection keeps, as SQLite takes it: 16 MiB. The indexes of an archive that is taken in are
/// written all over, and a page that is not kept is read again.
const WRITER_CACHE: &str = "-16384";
/// Pages that the journal holds before they are brought into the file, 16 MiB: a page that an archive changes again and
/// again is brought there once.
const CHECKPOINT_PAGES: &str = "4000";
/// Connections that read side by side: two cores' worth, and as many that wait for the disk.
const READERS: u32 = 4;
/// How long a lock is waited for. Only another process could hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reader is waited for when all are at work.
const READER_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements kept per connection; there are about 80 different ones.
const STATEMENTS_MAX: usize = 200;

impl SqliteStore {
    /// Opens the store in `file`, making it when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Open`] with a sentence that names the remedy: the file cannot be written, is
    /// damaged, or comes from a newer version.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_with(file, options(file).disable_statement_logging()).await
    }

    pub(super) async fn open_with(file: &Path, options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let fail = |error: sqlx::Error| StoreError::Open(sentence(file, &error));
        let writing =
            options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
        let mut writer = SqliteConnection::connect_with(&writing).await.map_err(fail)?;
        migrate(&mut writer, file, MIGRATIONS).await?;
        if has_room_for_journal(file) {
            // Without it commits take longer, and nothing else: whoever writes tells of a failing disk.
            let _ = reserve_journal(&mut writer).await;
        }
        let readers = options.read_only(true).create_if_missing(false);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .acquire_timeout(READER_TIMEOUT)
            // A connection to a file does not go away by itself.
            .test_before_acquire(false)
            .connect_with(readers)
            .await
            .map_err(fail)?;
        Ok(Self { writer: Arc::new(Mutex::new(Some(Writer::of(writer)))), readers, failed: Arc::default() })
    }
}

/// Whether the disk has room to spare: what little there is belongs to what is sent.
fn has_room_for_journal(file: &Path) -> bool {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= SPARE_BYTES)
}

/// Lets the journal have its full size from the start. One that grows has its length brought to disk
/// with every commit, which costs a write and a wait as long as that of the commit itself. The pages
/// of the file that this takes are free for what comes later.
async fn reserve_journal(writer: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let fill = AssertSqlSafe(format!(
        "BEGIN IMMEDIATE; DROP TABLE IF EXISTS journal_space; CREATE TABLE journal_space (bytes BLOB); \
         INSERT INTO journal_space VALUES (zeroblob({JOURNAL_BYTES})); COMMIT"
    ));
    let filled = sqlx::raw_sql(fill).execute(&mut *writer).await;
    if filled.is_err() {
        rollback(writer).await;
    }
    // Another who opens the file may have done so meanwhile.
    sqlx::raw_sql("DROP TABLE IF EXISTS journal_space; PRAGMA wal_checkpoint(RESTART)").execute(writer).await?;
    filled.map(drop)
}

pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
        .pragma("journal_size_limit", "67108864")
        .pragma("temp_store", "memory")
}

/// Brings the schema up to date, a step at a time: each in a transaction that looks at the version
/// first, so that two who open a new file at once do not both make it.
pub(super) async fn migrate(
    writer: &mut SqliteConnection,
    file: &Path,
    steps: &[&'static str],
) -> Result<(), StoreError> {
    let fail = |error: sqlx::Error| StoreError::Open(sentence(file, &error));
    while version(writer, file, steps.len()).await? < steps.len() {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?;
        let step = version(&mut transaction, file, steps.len()).await?;
        if let Some(sql) = steps.get(step) {
            sqlx::raw_sql(*sql).execute(&mut *transaction).await.map_err(fail)?;
            let set = AssertSqlSafe(format!("PRAGMA user_version = {}", step + 1));
            sqlx::query(set).execute(&mut *transaction).await.map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)?;
    }
    Ok(())
}

/// The version of the schema in the file, unless it is newer than what is `known`.
async fn version(connection: &mut SqliteConnection, file: &Path, known: usize) -> Result<usize, StoreError> {
    let row = sqlx::query("PRAGMA user_version").fetch_one(connection).await;
    let row = row.map_err(|error| StoreError::Open(sentence(file, &error)))?;
    let version = usize::try_from(row.get::<i64, _>(0)).unwrap_or(usize::MAX);
    if version > known {
        return Err(StoreError::Open(format!(
            "{} was written by a newer version of Hubbub (schema {version}, this program knows {known}): \
             start that version, or restore a backup made by this one",
            file.display()
        )));
    }
    Ok(version)
}

/// What is wrong with the file, and what to do.
pub(super) fn sentence(file: &Path, error: &sqlx::Error) -> String {
    let file = file.display();
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(11 | 26) => format!("{file} is damaged or no Hubbub store: restore it from a backup ({error})"),
        Ok(8 | 14) => format!("cannot write {file}: make the directory writable for this user ({error})"),
        Ok(13) => format!("the disk of {file} is full: make room and start again"),
        Ok(5 | 6) => format!("{file} is in use by another process: stop that one first"),
        _ => format!("cannot open {file}: {error}"),
    }
}
