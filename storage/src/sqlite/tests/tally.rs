//! Counts that are kept: when, and that nothing depends on it.

use hubbub_protocol::time::Timestamp;
use sqlx::Row;

use super::{ROOM, messages, ours};
use crate::{log::LogStore, sqlite::SqliteStore};

/// What a count says: how many, and when the newest was sent.
async fn counted(store: &SqliteStore) -> (u64, Option<Timestamp>) {
    store.counts(&[ROOM]).await.expect("a read")[0]
}

/// The seq up to which a count is kept.
async fn kept_to(store: &SqliteStore) -> Option<i64> {
    let mut connection = store.reader().await.expect("a reader");
    let row = sqlx::query("SELECT seq FROM room_tally").fetch_optional(&mut *connection).await.expect("a read");
    row.map(|row| row.get(0))
}

fn first(events: u64) -> (u64, Option<Timestamp>) {
    (events, Some(Timestamp(1_795_435_200_000 + events.cast_signed())))
}

#[tokio::test]
async fn a_count_goes_on_from_where_one_was_kept() {
    let (store, folder) = ours(&[]).await;
    for (head, events, kept) in [(0, 63, None), (63, 1, Some(64)), (64, 63, Some(64)), (127, 1, Some(128))] {
        store.append(&messages(head, events)).await.expect("the store appends");
        assert_eq!(counted(&store).await, first(head + events));
        assert_eq!(kept_to(&store).await, kept, "after {}", head + events);
    }
    store.close().await;
    let store = SqliteStore::open(&folder.path().join("hubbub.sqlite")).await.expect("the file opens again");
    assert_eq!(kept_to(&store).await, Some(128));
    assert_eq!(counted(&store).await, first(128));
}

#[tokio::test]
async fn a_count_is_given_though_it_cannot_be_kept() {
    let (store, _folder) = ours(&[]).await;
    store.append(&messages(0, 200)).await.expect("the store appends");
    // The writing connection is gone; readers are not.
    store.writer.lock().await.take();
    assert_eq!(counted(&store).await, first(200));
    assert_eq!(kept_to(&store).await, None);
}

#[tokio::test]
async fn of_two_counts_the_longer_one_is_kept() {
    let (store, _folder) = ours(&[]).await;
    store.append(&messages(0, 100)).await.expect("the store appends");
    let counts = tokio::join!(counted(&store), counted(&store), async {
        store.append(&messages(100, 100)).await.expect("the store appends");
        counted(&store).await
    });
    assert_eq!(counts.2, first(200));
    assert_eq!(counted(&store).await, first(200));
    assert_eq!(kept_to(&store).await, Some(200));
}
