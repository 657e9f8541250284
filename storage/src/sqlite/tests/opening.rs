//! Files that are new, old, or not for us.

use std::{path::Path, time::Duration};

use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

use super::{head, messages, ours};
use crate::{
    error::StoreError,
    log::LogStore,
    sqlite::{SqliteStore, open},
};

const FIRST: &str = "CREATE TABLE kept (number INTEGER); INSERT INTO kept VALUES (42)";

async fn raw(file: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&open::options(file)).await.expect("plain SQLite")
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(connection).await.expect("a row").get(0)
}

#[tokio::test]
async fn a_step_of_the_schema_that_fails_changes_nothing_and_can_be_tried_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    let mut connection = raw(&file).await;
    open::migrate(&mut connection, &file, &[FIRST]).await.expect("a sound step");
    let broken = "CREATE TABLE half (number INTEGER); CREATE TABLE half (number INTEGER)";
    let error = open::migrate(&mut connection, &file, &[FIRST, broken]).await.expect_err("a broken step");
    assert!(matches!(error, StoreError::Open(_)), "{error}");
    assert_eq!(number(&mut connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'").await, 0);
    assert_eq!(number(&mut connection, "PRAGMA user_version").await, 1);
    let sound = "ALTER TABLE kept ADD COLUMN more INTEGER";
    open::migrate(&mut connection, &file, &[FIRST, sound]).await.expect("sound steps");
    assert_eq!(number(&mut connection, "PRAGMA user_version").await, 2);
    assert_eq!(number(&mut connection, "SELECT number FROM kept").await, 42);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_open_a_new_file_at_once_make_it_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let file = file.clone();
            tokio::spawn(async move { SqliteStore::open(&file).await })
        })
        .collect();
    for store in opening {
        let store = store.await.expect("no panic").expect("a new file opens");
        assert_eq!(head(&store).await, 0);
    }
}

#[tokio::test]
async fn a_file_in_use_by_another_process_is_said_to_be() {
    let (store, folder) = ours(&[]).await;
    store.close().await;
    let file = folder.path().join("hubbub.sqlite");
    let mut other = raw(&file).await;
    for sql in ["PRAGMA locking_mode = EXCLUSIVE", "PRAGMA user_version = 1"] {
        sqlx::query(sql).execute(&mut other).await.expect("plain SQLite");
    }
    let options = open::options(&file).busy_timeout(Duration::from_millis(20));
    match SqliteStore::open_with(&file, options).await {
        Err(StoreError::Open(sentence)) => assert!(sentence.contains("in use by another process"), "{sentence}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_cut_short_is_named_with_the_remedy() {
    let (store, folder) = ours(&[]).await;
    store.append(&messages(0, 200)).await.expect("the store appends");
    store.close().await;
    let file = folder.path().join("hubbub.sqlite");
    let bytes = std::fs::read(&file).expect("our file");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("a writable folder");
    match SqliteStore::open(&file).await {
        Err(StoreError::Open(sentence)) => {
            assert!(sentence.contains("damaged") && sentence.contains("backup"), "{sentence}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_named_with_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    let in_the_way = folder.path().join("a file");
    std::fs::write(&in_the_way, "in the way").expect("a writable folder");
    match SqliteStore::open(&in_the_way.join("hubbub.sqlite")).await {
        Err(StoreError::Open(sentence)) => {
            assert!(sentence.contains("cannot write") && sentence.contains("writable"), "{sentence}");
            assert_eq!(sentence.lines().count(), 1, "{sentence}");
        }
        other => panic!("{other:?}"),
    }
}
