//! That everything is moved, to the byte, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_protocol::{ids::UserId, time::Timestamp};
use sqlx::{Connection as _, Executor as _, Row, SqliteConnection};
use tempfile::TempDir;

use super::{Moved, Progress, TABLES, TransferError, to_postgres};
use crate::{
    MetaStore, SqliteStore,
    facts::User,
    postgres::{PostgresConfig, PostgresStore, testing::Database},
};

async fn embedded() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("hubbub.sqlite")).await.expect("a fresh store opens");
    (store, folder)
}

/// Puts a row into every table: numbers at their ends, texts that PostgreSQL cannot keep as they are.
async fn fill(folder: &TempDir) {
    let url = format!("sqlite://{}", folder.path().join("hubbub.sqlite").display());
    let mut raw = SqliteConnection::connect(&url).await.expect("plain SQLite");
    for (number, table) in TABLES.iter().enumerate() {
        for row in 0..3_i64 {
            let values = table.columns.iter().enumerate().map(|(at, (name, kind))| match (kind, *name) {
                (super::tables::Kind::Number, "shard_id" | "kind") => format!("{}", row + 1),
                (super::tables::Kind::Number, _) if at == 0 && table.by_room => "-9223372036854775808".to_owned(),
                (super::tables::Kind::Number, _) => format!("{}", i64::MAX - row - at as i64),
                (super::tables::Kind::Text, _) => format!("'{number} ' || char({}) || 'ö'", 57_344 * (row % 2)),
                (super::tables::Kind::Bytes, _) => "x'0100ff'".to_owned(),
                (super::tables::Kind::Key, _) => format!("x'000102030405060708090a0b0c0d0e0{row}'"),
                (super::tables::Kind::Flag, _) => format!("{}", row % 2),
            });
            let values = values.collect::<Vec<_>>().join(", ");
            let names = table.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let sql = format!("INSERT OR IGNORE INTO {} ({names}) VALUES ({values})", table.name);
            raw.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.expect("a row for every table");
        }
    }
}

async fn moved(from: &SqliteStore, to: &Database) -> Result<(Moved, Vec<Progress>), TransferError> {
    let mut steps = Vec::new();
    let moved = to_postgres(from, &to.url, |step| steps.push(step)).await?;
    Ok((moved, steps))
}

#[tokio::test]
async fn postgres_has_every_row_of_every_table_afterwards() {
    let (store, folder) = embedded().await;
    fill(&folder).await;
    let target = Database::fresh().await;
    let (moved, steps) = moved(&store, &target).await.expect("it is moved");
    assert_eq!(moved.rooms, 1);
    assert!(moved.rows >= TABLES.len() as u64, "{moved:?}");
    let last = steps.last().expect("it tells how far it is");
    assert_eq!((last.done, last.total), (moved.rows * 2, moved.rows * 2));
    let refused = to_postgres(&store, &target.url, |_| {}).await.expect_err("it is not empty any more");
    assert!(matches!(refused, TransferError::NotEmpty(_)), "{refused}");
    assert!(!refused.to_string().contains("hubbub:"), "{refused}");
}

#[tokio::test]
async fn a_target_that_garbles_what_it_is_given_gets_nothing() {
    let (store, folder) = embedded().await;
    fill(&folder).await;
    let target = Database::fresh().await;
    let garble = "CREATE FUNCTION garble() RETURNS trigger LANGUAGE plpgsql AS $$ \
                  BEGIN NEW.body := NEW.body || '\\x00'::bytea; RETURN NEW; END $$; \
                  CREATE TRIGGER garble BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION garble()";
    target.connect().await.execute(garble).await.expect("a trigger");
    let refused = to_postgres(&store, &target.url, |_| {}).await.expect_err("it came out different");
    assert!(refused.to_string().starts_with("the log of room "), "{refused}");
    let row = target.connect().await.fetch_one("SELECT count(*) FROM user_account").await.expect("a count");
    assert_eq!(row.get::<i64, _>(0), 0, "nothing was moved");
}

#[tokio::test]
async fn a_transfer_that_was_broken_off_is_begun_anew() {
    let (store, folder) = embedded().await;
    fill(&folder).await;
    let target = Database::fresh().await;
    let broken = async {
        let halfway = tokio::sync::Notify::new();
        tokio::select! {
            _ = to_postgres(&store, &target.url, |step| if step.done > 10 { halfway.notify_one(); }) => false,
            () = halfway.notified() => true,
        }
    };
    assert!(broken.await, "it was given up on the way");
    // The server may still be ending what was begun.
    let done = async {
        loop {
            match to_postgres(&store, &target.url, |_| {}).await {
                Err(TransferError::Target(_)) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                done => return done,
            }
        }
    };
    done.await.expect("it is moved in the end");
}

#[tokio::test]
async fn an_account_can_be_used_after_the_move() {
    let (store, _folder) = embedded().await;
    let ada = User {
        id: UserId::from_raw(u64::MAX),
        name: "ada".to_owned(),
        display: "Ada\0\u{E000}".to_owned(),
        email: None,
        avatar: Some("file".to_owned()),
        owner: true,
        disabled: false,
        imported: false,
        created_at: Timestamp(-1),
    };
    store.create_user(&ada, Some("a hash")).await.expect("a write");
    store.secret_or("key", &[0, 255]).await.expect("a write");
    let target = Database::fresh().await;
    moved(&store, &target).await.expect("it is moved");
    let moved = PostgresStore::open(&target.url, PostgresConfig::default()).await.expect("the target opens");
    assert_eq!(moved.user_by_name("ada").await.expect("a read"), Some(ada.clone()));
    assert_eq!(moved.password_hash(ada.id).await.expect("a read").as_deref(), Some("a hash"));
    assert_eq!(moved.secret_or("key", b"other").await.expect("a write"), [0, 255]);
}

/// Names of tables with their columns.
type Columns = BTreeMap<String, BTreeSet<String>>;

fn listed() -> Columns {
    let columns = |table: &super::Table| table.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    TABLES.iter().map(|table| (table.name.to_owned(), columns(table))).collect()
}

#[tokio::test]
async fn the_list_of_tables_is_that_of_both_schemas() {
    let (store, _folder) = embedded().await;
    let mut reader = store.detached_reader().await.expect("a reader");
    let sql = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut found = Columns::new();
    for row in sqlx::query(sql).fetch_all(&mut reader).await.expect("a schema") {
        found.entry(row.get(0)).or_default().insert(row.get(1));
    }
    assert_eq!(found, listed());
    let target = Database::fresh().await;
    let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns \
               WHERE table_schema = 'public' AND table_name !~ '^message_' AND table_name <> 'schema_version'";
    let mut found = Columns::new();
    for row in sqlx::query(sql).fetch_all(&mut target.connect().await).await.expect("a schema") {
        found.entry(row.get(0)).or_default().insert(row.get(1));
    }
    assert_eq!(found, listed());
}
