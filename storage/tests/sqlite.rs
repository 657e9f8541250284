//! The embedded store: it keeps what every store promises, and says clearly why it cannot be opened.

use std::sync::Arc;

use hubbub_storage::{SqliteStore, Store, StoreError};
use tempfile::TempDir;

async fn fresh() -> (Arc<dyn Store>, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let store = SqliteStore::open(&folder.path().join("hubbub.sqlite")).await.expect("a fresh store opens");
    (Arc::new(store), folder)
}

hubbub_storage::conformance_tests!(fresh);

async fn refusal(folder: &TempDir) -> String {
    match SqliteStore::open(&folder.path().join("hubbub.sqlite")).await {
        Err(StoreError::Open(sentence)) => sentence,
        Err(other) => panic!("not a sentence for an operator: {other}"),
        Ok(_) => panic!("the store opened"),
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_with_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("hubbub.sqlite"), [7_u8; 8192]).expect("a writable folder");
    let sentence = refusal(&folder).await;
    assert!(sentence.contains("damaged") && sentence.contains("backup"), "{sentence}");
}

#[tokio::test]
async fn a_newer_file_is_left_alone() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    SqliteStore::open(&file).await.expect("a fresh store opens").close().await;
    let url = format!("sqlite://{}", file.display());
    let mut raw = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.expect("plain SQLite");
    sqlx::query("PRAGMA user_version = 9999").execute(&mut raw).await.expect("a pragma");
    sqlx::Connection::close(raw).await.expect("closes");
    let sentence = refusal(&folder).await;
    assert!(sentence.contains("newer version"), "{sentence}");
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    let store = SqliteStore::open(&file).await.expect("a fresh store opens");
    let kept = hubbub_storage::MetaStore::secret_or(&store, "key", b"first").await.expect("a write");
    store.close().await;
    drop(store);
    let again = SqliteStore::open(&file).await.expect("our own file opens");
    let found = hubbub_storage::MetaStore::secret_or(&again, "key", b"second").await.expect("a read");
    assert_eq!((kept, found), (b"first".to_vec(), b"first".to_vec()));
}
