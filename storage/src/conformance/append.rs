//! What an append leaves: dense rooms and feeds, the very bytes, the effects, and a clear answer
//! later about a batch in doubt.

use std::sync::Arc;

use bytes::Bytes;
use hubbub_protocol::{
    event::EventKind,
    ids::{Epoch, RoomId, Seq, ShardSeq, UserId},
};

use super::world::{
    ADA, BOB, EVE, MANY, OTHER_ROOM, OTHER_SHARD, Owner, ROOM, SHARD, activate, append, append_all, key, pins,
    reacts, says,
};
use crate::{AppendBatch, AppendOutcome, Effect, Store, facts::User};

fn batch(owners: &[&Owner]) -> AppendBatch {
    let shards = owners.iter().map(|owner| owner.part()).collect();
    AppendBatch { shards }
}

async fn resolved(store: &Arc<dyn Store>, batch: &AppendBatch) -> Vec<AppendOutcome> {
    store.resolve(batch).await.expect("a read")
}

pub async fn rooms_and_feeds_are_dense_and_in_order(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let mut other = Owner::of(&store, OTHER_SHARD).await;
    let rooms = [1, 2, 3].map(RoomId::from_raw);
    for round in 0..5 {
        for (number, room) in rooms.into_iter().enumerate() {
            for _ in 0..=number {
                owner.stage(room, ADA, says(&format!("round {round}")));
            }
        }
        owner.commit().await;
        other.put(RoomId::from_raw(9), BOB, says("elsewhere")).await;
    }
    for room in rooms {
        let events = store.events(room, Seq(0), MANY).await.expect("a read");
        assert_eq!(events, owner.stored(room));
        let seqs: Vec<u64> = events.iter().map(|event| event.seq.0).collect();
        assert_eq!(seqs, (1..=5 * room.raw()).collect::<Vec<_>>());
    }
    let asked = [rooms[2], RoomId::from_raw(77), rooms[0], rooms[2]];
    let heads = store.heads(&asked).await.expect("a read");
    assert_eq!(heads, [Seq(15), Seq(0), Seq(5), Seq(15)]);
    let feed = store.feed(OTHER_SHARD, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read"), other.stored_feed());
}

pub async fn feeds_and_rooms_are_read_in_pages_without_a_gap(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for number in 0..10 {
        let room = if number % 3 == 0 { OTHER_ROOM } else { ROOM };
        owner.stage(room, ADA, says("x"));
    }
    owner.commit().await;
    for limit in [1, 3, 10, 11] {
        let (mut feed, mut after) = (Vec::new(), ShardSeq(0));
        loop {
            let page = store.feed(SHARD, after, limit).await.expect("a read");
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = last.shard_seq;
            feed.extend(page);
        }
        assert_eq!(feed, owner.stored_feed(), "pages of {limit}");
    }
    let events = owner.stored(ROOM);
    for after in 0..=events.len() {
        let page = store.events(ROOM, Seq(after as u64), 2).await;
        let until = events.len().min(after + 2);
        assert_eq!(page.expect("a read"), events[after..until]);
    }
    for beyond in [10, 11, u64::MAX] {
        let feed = store.feed(SHARD, ShardSeq(beyond), 5).await;
        assert_eq!(feed.expect("a read"), []);
        let events = store.events(ROOM, Seq(beyond), 5).await;
        assert_eq!(events.expect("a read"), []);
    }
}

pub async fn every_kind_of_event_comes_back_byte_for_byte(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for _ in EventKind::ALL {
        owner.stage(ROOM, ADA, says("placeholder"));
    }
    let mut part = owner.part();
    for (event, kind) in part.events.iter_mut().zip(EventKind::ALL) {
        event.kind = *kind;
        event.by = UserId::from_raw(u64::MAX);
        event.push = Bytes::from(vec![*kind as u8, 0, 0xFF, b'\n', b'"']);
    }
    part.events[0].push = Bytes::new();
    assert_eq!(append(&store, part.clone()).await, AppendOutcome::Committed);
    let stored = store.events(ROOM, Seq(0), MANY).await.expect("a read");
    let fed = store.feed(SHARD, ShardSeq(0), MANY).await.expect("a read");
    assert_eq!(stored, fed);
    assert_eq!(stored.len(), part.events.len());
    for (stored, sent) in stored.iter().zip(&part.events) {
        assert_eq!((stored.kind, stored.by), (sent.kind, sent.by));
        assert_eq!((stored.ts, &stored.push), (sent.ts, &sent.push));
        assert_eq!((stored.seq, stored.shard_seq), (sent.seq, sent.shard_seq));
    }
}

/// More rows than a statement takes parameters in some databases, and texts of the largest size.
pub async fn a_large_batch_is_taken_whole(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let mut other = Owner::of(&store, OTHER_SHARD).await;
    for number in 0..1_500 {
        owner.stage(RoomId::from_raw(number % 40 + 1), ADA, says("many"));
        let user = UserId::from_raw(number + 1);
        let (room, seq) = (ROOM, Seq(number));
        owner.stage_effect(Effect::PutMarker { user, room, seq });
    }
    for _ in 0..20 {
        other.stage(OTHER_ROOM, ADA, says(&"é".repeat(8_000)));
    }
    let outcomes = append_all(&store, vec![owner.part(), other.part()]).await;
    assert_eq!(outcomes, [AppendOutcome::Committed; 2]);
    owner.committed();
    other.committed();
    let feed = store.feed(SHARD, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read"), owner.stored_feed());
    let feed = store.feed(OTHER_SHARD, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read"), other.stored_feed());
}

pub async fn a_replayed_batch_is_written_once(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, ADA, says("before")).await;
    owner.stage(ROOM, ADA, says("once"));
    owner.stage(OTHER_ROOM, ADA, says("once"));
    let part = owner.part();
    owner.commit().await;
    let head = ShardSeq(3);
    for _ in 0..2 {
        let again = append(&store, part.clone()).await;
        assert_eq!(again, AppendOutcome::Conflict { head });
    }
    let feed = store.feed(SHARD, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read"), owner.stored_feed());
}

pub async fn a_batch_in_doubt_is_resolved(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let mut other = Owner::of(&store, OTHER_SHARD).await;
    owner.put(ROOM, ADA, says("before")).await;
    owner.stage(ROOM, ADA, says("in doubt"));
    other.stage(OTHER_ROOM, BOB, says("in doubt"));
    let batch = batch(&[&other, &owner]);
    let unwritten = [AppendOutcome::Conflict { head: ShardSeq(0) }, AppendOutcome::Conflict { head: ShardSeq(1) }];
    assert_eq!(resolved(&store, &batch).await, unwritten);
    let feed = store.feed(SHARD, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read").len(), 1, "resolving wrote something");

    owner.commit().await;
    let half = [unwritten[0], AppendOutcome::Committed];
    assert_eq!(resolved(&store, &batch).await, half);
    other.commit().await;
    let committed = [AppendOutcome::Committed; 2];
    assert_eq!(resolved(&store, &batch).await, committed);

    activate(&store, OTHER_SHARD, Epoch(4)).await;
    let deposed = [AppendOutcome::Fenced { epoch: Epoch(4) }, AppendOutcome::Committed];
    assert_eq!(resolved(&store, &batch).await, deposed);
}

/// A caller that gives up on an append (its future is dropped) still gets a true answer later.
pub async fn an_append_given_up_on_is_resolved(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for round in 0..30 {
        owner.stage(ROOM, ADA, says("in doubt"));
        let batch = batch(&[&owner]);
        let appending = {
            let (store, batch) = (Arc::clone(&store), batch.clone());
            tokio::spawn(async move { store.append(&batch).await })
        };
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        appending.abort();
        let _given_up = appending.await;
        // An append on its way may still land: sending it again settles it either way.
        let sent = store.append(&batch).await.expect("the store appends");
        assert!(matches!(sent[0], AppendOutcome::Committed | AppendOutcome::Conflict { .. }), "{sent:?}");
        assert_eq!(resolved(&store, &batch).await, [AppendOutcome::Committed]);
        owner.committed();
    }
    let events = store.events(ROOM, Seq(0), MANY).await.expect("a read");
    assert_eq!(events, owner.stored(ROOM));
}

pub async fn effects_are_there_as_soon_as_their_events_are(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let first = owner.stage_keyed(ROOM, ADA, Some(key(1)), says("hi"));
    owner.stage(ROOM, BOB, reacts(first, "👍"));
    owner.stage(ROOM, BOB, pins(first));
    for (user, seq) in [(ADA, Seq(3)), (BOB, first), (EVE, Seq(2))] {
        let room = ROOM;
        owner.stage_effect(Effect::PutMarker { user, room, seq });
    }
    owner.commit().await;
    for (user, seq) in [(ADA, Seq(3)), (BOB, first), (EVE, Seq(2))] {
        let markers = store.markers(user).await.expect("a read");
        assert_eq!(markers.get(&ROOM), Some(&seq));
    }
}

pub async fn an_append_of_effects_alone_is_applied(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, ADA, says("before")).await;
    let (user, room, seq) = (EVE, ROOM, Seq(1));
    owner.stage_effect(Effect::PutMarker { user, room, seq });
    owner.commit().await;
    let markers = store.markers(EVE).await.expect("a read");
    assert_eq!(markers.get(&ROOM), Some(&seq));
    owner.put(ROOM, ADA, says("after")).await;
    assert_eq!(append_all(&store, Vec::new()).await, []);
}

pub async fn an_append_whose_effects_cannot_be_is_not_written(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let known = super::accounts::user(ADA, "ada");
    store.create_user(&known, None).await.expect("a new name");
    owner.stage(ROOM, BOB, says("my name is ada"));
    let (user, room, seq) = (BOB, ROOM, Seq(1));
    owner.stage_effect(Effect::PutMarker { user, room, seq });
    let thief = User { id: BOB, ..known };
    owner.stage_effect(Effect::PutUser(Box::new(thief)));
    let answer = store.append(&batch(&[&owner])).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(store.heads(&[ROOM]).await.expect("a read"), [Seq(0)]);
    assert!(store.markers(BOB).await.expect("a read").is_empty());
    assert_eq!(store.user(BOB).await.expect("a read"), None);
    let fences = store.fences(&[SHARD]).await.expect("a read");
    assert_eq!(fences, [(Epoch(1), ShardSeq(0))]);
}
