//! Callers that give up, work that panics, disks that are full.

use std::{future::Future, pin::pin, task::Poll};

use hubbub_protocol::ids::{Seq, ShardSeq};
use sqlx::SqliteConnection;

use super::{ROOM, head, messages, ours};
use crate::{
    append::AppendOutcome,
    error::{Aftermath, StoreError},
    log::LogStore,
    meta::MetaStore,
    sqlite::{AsyncWork, Stop},
};

/// Events of an append that goes to the database in one call, and of one that does not.
const SIZES: [u64; 2] = [1, 50];

/// Polls `work` at most `times`, with a turn for other tasks in between, then gives it up at once.
async fn give_up_after<T>(times: usize, work: impl Future<Output = T>) {
    let mut work = pin!(work);
    for poll in 0..times {
        if poll > 0 {
            tokio::task::yield_now().await;
        }
        if std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await {
            return;
        }
    }
}

/// On one thread, so that what was spawned runs only when this test waits: the order that lets a
/// question overtake what it asks about.
#[tokio::test]
async fn what_is_said_of_an_append_given_up_stays_true() {
    let (store, _folder) = ours(&[]).await;
    let mut committed = 0;
    for turn in 0..72 {
        let size = SIZES[turn % 2];
        let batch = messages(committed, size);
        give_up_after(turn / 2 % 12, store.append(&batch)).await;
        let said = store.resolve(&batch).await.expect("a read")[0];
        // Another write is through only after everything that was on its way.
        store.secret_or("after", b"all").await.expect("a write");
        let now = head(&store).await;
        match said {
            AppendOutcome::Committed => assert_eq!(now, committed + size, "turn {turn}"),
            AppendOutcome::Conflict { head } => assert_eq!((head.0, now), (committed, committed), "turn {turn}"),
            other => panic!("turn {turn}: {other:?}"),
        }
        committed = now;
    }
    assert!(committed > 0, "some of the appends had gone far enough");
}

struct Panics;

impl AsyncWork<()> for Panics {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        sqlx::query("INSERT INTO secret (name, bytes) VALUES ('half', x'01')").execute(c).await?;
        panic!("half way through a transaction");
    }
}

#[tokio::test]
async fn work_that_panics_is_rolled_back_and_the_store_goes_on() {
    let (store, _folder) = ours(&[]).await;
    let error = store.write("a test", Panics).await.expect_err("it panicked");
    assert!(matches!(error, StoreError::Write { .. }), "{error}");
    let appended = store.append(&messages(0, 1)).await.expect("the store appends");
    assert_eq!(appended, [AppendOutcome::Committed]);
    let kept = store.secret_or("half", b"whole").await.expect("a write");
    assert_eq!(kept, b"whole", "nothing of the panicked work is there");
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_until_there_is_room() {
    for size in SIZES {
        fill_up_and_make_room(size).await;
    }
}

async fn fill_up_and_make_room(size: u64) {
    let (store, _folder) = ours(&[("max_page_count", "100")]).await;
    let mut committed = 0;
    let error = loop {
        match store.append(&messages(committed, size)).await {
            Ok(outcomes) => assert_eq!(outcomes, [AppendOutcome::Committed]),
            Err(error) => break error,
        }
        committed += size;
        assert!(committed < 10_000, "100 pages hold fewer events than were acknowledged");
    };
    assert!(committed > 0, "the first appends had room");
    assert_eq!(error.aftermath(), Aftermath::Unknown);
    let batch = messages(committed, size);
    let untouched = AppendOutcome::Conflict { head: ShardSeq(committed) };
    assert_eq!(store.resolve(&batch).await.expect("a read"), [untouched]);
    store.append(&batch).await.expect_err("the disk is still full");
    let events = store.events(ROOM, Seq(0), usize::MAX).await.expect("a read");
    assert_eq!(events.len() as u64, committed);

    let room = sqlx::query("PRAGMA max_page_count = 100000");
    let mut writer = store.writer.lock().await;
    room.execute(&mut writer.as_mut().expect("an open store").connection).await.expect("a pragma");
    drop(writer);
    assert_eq!(store.append(&batch).await.expect("there is room"), [AppendOutcome::Committed]);
    assert_eq!(head(&store).await, committed + size);
}

#[tokio::test]
async fn a_closed_store_refuses_and_leaves_one_file() {
    let (store, folder) = ours(&[]).await;
    store.append(&messages(0, 3)).await.expect("the store appends");
    store.close().await;
    let error = store.append(&messages(3, 1)).await.expect_err("it is closed");
    assert!(matches!(error, StoreError::Append(_)), "{error}");
    store.events(ROOM, Seq(0), 1).await.expect_err("it is closed");
    let files = std::fs::read_dir(folder.path()).expect("a folder");
    let names: Vec<_> = files.map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(names, ["hubbub.sqlite"]);
}
