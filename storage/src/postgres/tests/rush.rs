//! Many at once: pages are shared, connections are bounded, and the counts say so.

use hubbub_protocol::ids::CommunityId;
use tokio::task::JoinSet;

use super::{ROOM, messages, ours};
use crate::{
    LogStore, MetaStore, Window,
    postgres::{PostgresConfig, PostgresStore},
};

const ONE_READER: PostgresConfig = PostgresConfig { lanes: 1, readers: 1, writers: 1 };

async fn newest(store: &PostgresStore) -> u64 {
    let page = store.messages(ROOM, Window::Newest, 10).await.expect("a read");
    page.messages.last().map_or(0, |message| message.seq.0)
}

#[tokio::test]
async fn a_page_that_many_wait_for_is_read_once() {
    let (store, _database) = ours(ONE_READER).await;
    store.append(&messages(0, 20)).await.expect("the store appends");
    let only = store.readers.turn().await.expect("the reader is free");
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        asking.spawn(async move { newest(&store).await });
    }
    while store.pages.joined() < 49 {
        tokio::task::yield_now().await;
    }
    drop(only);
    let answers = asking.join_all().await;
    assert_eq!(answers, vec![20; 50]);
    let readers = store.pools()[1];
    assert_eq!((readers.name, readers.waits), ("readers", 1), "one of them waited for all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_after_a_write_sees_it_whoever_asked_before() {
    let (store, _database) = ours(ONE_READER).await;
    let crowd = store.clone();
    let asking = tokio::spawn(async move {
        let mut asking = JoinSet::new();
        for _ in 0..400 {
            let store = crowd.clone();
            asking.spawn(async move { newest(&store).await });
            tokio::task::yield_now().await;
        }
        asking.join_all().await
    });
    for head in 0..60 {
        store.append(&messages(head, 1)).await.expect("the store appends");
        assert_eq!(newest(&store).await, head + 1);
    }
    asking.await.expect("no panic");
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    let (store, _database) = ours(ONE_READER).await;
    store.append(&messages(0, 3)).await.expect("the store appends");
    let only = store.readers.turn().await.expect("the reader is free");
    for _ in 0..3 {
        let patience = std::time::Duration::from_millis(5);
        tokio::time::timeout(patience, newest(&store)).await.expect_err("nobody answers");
    }
    drop(only);
    assert_eq!(newest(&store).await, 3);
    assert!(!store.pages.is_waited_for(), "a page nobody waits for is on the list");
}

#[tokio::test]
async fn connections_are_bounded_and_counted() {
    let (store, _database) = ours(PostgresConfig { lanes: 2, readers: 3, writers: 1 }).await;
    let mut asking = JoinSet::new();
    for _ in 0..40 {
        let store = store.clone();
        asking.spawn(async move { store.member_count(CommunityId::from_raw(1)).await.expect("a read") });
    }
    asking.join_all().await;
    let [lanes, readers, writers] = store.pools()[..] else { panic!("three kinds") };
    assert_eq!((lanes.max, lanes.open), (2, 0), "no append yet, and none is open for nothing");
    assert_eq!((readers.max, readers.open, readers.idle), (3, 3, 3));
    assert!(readers.waits >= 30, "{readers:?}");
    assert_eq!((writers.max, writers.open, writers.lost), (1, 1, 0));
    store.close().await;
    assert!(store.pools().iter().all(|pool| (pool.open, pool.idle) == (0, 0)), "{:?}", store.pools());
    store.member_count(CommunityId::from_raw(1)).await.expect_err("it is closed");
}
