//! The store in memory: it keeps what every store promises, and does wrong what it is asked to.

use std::sync::Arc;

use bytes::Bytes;
use hubbub_protocol::{
    event::EventKind,
    ids::{Epoch, NodeId, RoomId, Seq, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};
use hubbub_storage::{
    Activation, Aftermath, AppendBatch, AppendOutcome, LogStore, MemStore, MetaStore, NewEvent, ShardAppend, Store,
    mem::AppendFault,
};

async fn fresh() -> (Arc<dyn Store>, ()) {
    (Arc::new(MemStore::new()), ())
}

hubbub_storage::conformance_tests!(fresh);

const SHARD: ShardId = ShardId(3);
const ROOM: RoomId = RoomId::from_raw(5);

/// A store whose only shard is ours, and the first batch for it.
async fn store_and_batch() -> (Arc<MemStore>, AppendBatch) {
    let store = Arc::new(MemStore::new());
    let fence = [(SHARD, Epoch(1))];
    let active = store.activate(&fence, NodeId(1)).await.expect("no fault");
    assert_eq!(active, [Activation::Active { head: ShardSeq(0) }]);
    let event = NewEvent {
        room: ROOM,
        seq: Seq(1),
        shard_seq: ShardSeq(1),
        by: UserId::from_raw(9),
        kind: EventKind::MemberJoined,
        key: None,
        ts: Timestamp(1_000),
        target: None,
        push: Bytes::from_static(b"{}"),
    };
    let part = ShardAppend {
        shard: SHARD,
        epoch: Epoch(1),
        old_head: ShardSeq(0),
        events: vec![event],
        effects: Vec::new(),
    };
    (store, AppendBatch { shards: vec![part] })
}

#[tokio::test]
async fn an_append_that_fails_before_it_writes_can_be_sent_again() {
    for fault in [AppendFault::FailBefore, AppendFault::AmbiguousBefore] {
        let (store, batch) = store_and_batch().await;
        store.faults().next_append(fault);
        match store.append(&batch).await {
            Err(error) => assert_eq!(error.aftermath(), Aftermath::Unknown),
            Ok(outcomes) => assert_eq!(outcomes, [AppendOutcome::Ambiguous]),
        }
        let resolved = store.resolve(&batch).await.expect("no fault");
        assert_eq!(resolved, [AppendOutcome::Conflict { head: ShardSeq(0) }]);
        let again = store.append(&batch).await.expect("one fault only");
        assert_eq!(again, [AppendOutcome::Committed]);
    }
}

#[tokio::test]
async fn an_append_that_fails_after_it_wrote_is_found_committed() {
    for fault in [AppendFault::FailAfter, AppendFault::AmbiguousAfter] {
        let (store, batch) = store_and_batch().await;
        store.faults().next_append(fault);
        match store.append(&batch).await {
            Err(error) => assert_eq!(error.aftermath(), Aftermath::Unknown),
            Ok(outcomes) => assert_eq!(outcomes, [AppendOutcome::Ambiguous]),
        }
        let resolved = store.resolve(&batch).await.expect("no fault");
        assert_eq!(resolved, [AppendOutcome::Committed]);
        assert_eq!(store.heads(&[ROOM]).await.expect("no fault"), [Seq(1)]);
    }
}

#[tokio::test]
async fn a_held_append_writes_only_once_released() {
    let (store, batch) = store_and_batch().await;
    store.faults().hold_appends();
    let appending = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.append(&batch).await }
    });
    store.faults().until_held(1).await;
    assert_eq!(store.heads(&[ROOM]).await.expect("no fault"), [Seq(0)]);
    store.faults().release_appends();
    let outcomes = appending.await.expect("no panic").expect("no fault");
    assert_eq!(outcomes, [AppendOutcome::Committed]);
}

#[tokio::test]
async fn reads_and_writes_fail_until_they_are_called_off() {
    let (store, _) = store_and_batch().await;
    store.faults().fail_reads(true);
    store.faults().fail_writes(true);
    let read = store.heads(&[ROOM]).await.expect_err("reads fail");
    let written = store.apply(&[]).await.expect_err("writes fail");
    assert_eq!(read.aftermath(), Aftermath::Unchanged);
    assert_eq!(written.aftermath(), Aftermath::Unchanged);
    store.faults().fail_reads(false);
    store.faults().fail_writes(false);
    assert!(store.heads(&[ROOM]).await.is_ok() && store.apply(&[]).await.is_ok());
}

#[tokio::test]
async fn an_owner_that_counts_wrongly_is_told_and_nothing_is_written() {
    let (store, mut batch) = store_and_batch().await;
    batch.shards[0].events[0].seq = Seq(2);
    let error = store.append(&batch).await.expect_err("a hole");
    assert_eq!(error.aftermath(), Aftermath::Unknown);
    let fences = store.fences(&[SHARD]).await.expect("no fault");
    assert_eq!(fences, [(Epoch(1), ShardSeq(0))]);
}
