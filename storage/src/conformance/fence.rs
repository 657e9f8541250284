//! Only the newest activation of a shard may append, and only where the shard's feed ends.

use std::sync::Arc;

use hubbub_protocol::ids::{Epoch, RoomId, ShardSeq};

use super::world::{
    ADA, BOB, MANY, NODE, OTHER_ROOM, OTHER_SHARD, Owner, ROOM, SHARD, activate, append, append_all, says,
};
use crate::{Activation, AppendOutcome, Effect, ShardAppend, Store};

/// A part with one message and one effect, both of which leave a trace if it is written.
fn traced(owner: &mut Owner, room: RoomId) -> ShardAppend {
    let seq = owner.stage(room, ADA, says("is this written?"));
    owner.stage_effect(Effect::PutMarker { user: ADA, room, seq });
    owner.part()
}

/// Nothing of `room` but what `owner` knows is stored, and no marker of the last test's was moved.
async fn assert_untouched(owner: &Owner, room: RoomId) {
    let store = &owner.store;
    let events = store.events(room, Default::default(), MANY).await;
    assert_eq!(events.expect("a read"), owner.stored(room));
    let feed = store.feed(owner.shard, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read"), owner.stored_feed());
    let markers = store.markers(ADA).await.expect("a read");
    assert_eq!(markers.get(&room), None, "an effect was applied");
    let fences = store.fences(&[owner.shard]).await.expect("a read");
    assert_eq!(fences[0].1, owner.head);
}

pub async fn a_shard_never_activated_takes_no_append(store: Arc<dyn Store>) {
    let mut stranger = Owner::of(&store, SHARD).await;
    stranger.shard = OTHER_SHARD;
    let fences = store.fences(&[OTHER_SHARD, SHARD]).await.expect("a read");
    let zero = ShardSeq(0);
    assert_eq!(fences, [(Epoch(0), zero), (Epoch(1), zero)]);
    let part = traced(&mut stranger, ROOM);
    for epoch in [Epoch(0), Epoch(1)] {
        let part = ShardAppend { epoch, ..part.clone() };
        let outcome = append(&store, part).await;
        assert_eq!(outcome, AppendOutcome::Fenced { epoch: Epoch(0) });
    }
    assert_untouched(&stranger, ROOM).await;
}

pub async fn an_owner_of_an_older_epoch_is_fenced_and_writes_nothing(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, ADA, says("before")).await;
    let head = ShardSeq(1);
    let taken = activate(&store, SHARD, Epoch(5)).await;
    assert_eq!(taken, Activation::Active { head });
    let part = traced(&mut owner, ROOM);
    let outcome = append(&store, part).await;
    assert_eq!(outcome, AppendOutcome::Fenced { epoch: Epoch(5) });
    assert_untouched(&owner, ROOM).await;
}

pub async fn an_epoch_that_nobody_activated_is_fenced_and_writes_nothing(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, ADA, says("before")).await;
    let part = traced(&mut owner, ROOM);
    let epoch = Epoch(2);
    let outcome = append(&store, ShardAppend { epoch, ..part }).await;
    assert_eq!(outcome, AppendOutcome::Fenced { epoch: Epoch(1) });
    assert_untouched(&owner, ROOM).await;
}

pub async fn a_head_that_is_another_conflicts_and_writes_nothing(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for text in ["one", "two"] {
        owner.put(ROOM, ADA, says(text)).await;
    }
    let part = traced(&mut owner, OTHER_ROOM);
    for old in [0, 1, 3, 40] {
        let mut part = part.clone();
        part.old_head = ShardSeq(old);
        part.events[0].shard_seq = ShardSeq(old + 1);
        let outcome = append(&store, part).await;
        let head = ShardSeq(2);
        assert_eq!(outcome, AppendOutcome::Conflict { head }, "from {old}");
    }
    assert_untouched(&owner, OTHER_ROOM).await;
    let outcome = append(&store, part).await;
    assert_eq!(outcome, AppendOutcome::Committed);
}

pub async fn of_a_batch_only_the_shards_still_owned_are_appended(store: Arc<dyn Store>) {
    let mut ours = Owner::of(&store, SHARD).await;
    let mut lost = Owner::of(&store, OTHER_SHARD).await;
    let third = RoomId::from_raw(5_002);
    let mut behind = Owner::of(&store, hubbub_protocol::shard::ShardId(9)).await;
    let after_fence = activate(&store, OTHER_SHARD, Epoch(2)).await;
    assert_eq!(after_fence, Activation::Active { head: ShardSeq(0) });
    let stale = {
        let mut part = traced(&mut behind, third);
        part.old_head = ShardSeq(4);
        part.events[0].shard_seq = ShardSeq(5);
        part
    };
    let parts = vec![traced(&mut lost, OTHER_ROOM), traced(&mut ours, ROOM), stale];
    let outcomes = append_all(&store, parts).await;
    let head = ShardSeq(0);
    let wanted =
        [AppendOutcome::Fenced { epoch: Epoch(2) }, AppendOutcome::Committed, AppendOutcome::Conflict { head }];
    assert_eq!(outcomes, wanted);
    assert_untouched(&lost, OTHER_ROOM).await;
    assert_untouched(&behind, third).await;
    ours.committed();
    let events = store.events(ROOM, Default::default(), MANY).await;
    assert_eq!(events.expect("a read"), ours.stored(ROOM));
    let markers = store.markers(ADA).await.expect("a read");
    assert_eq!(markers.len(), 1, "effects of refused parts were applied");
}

pub async fn epochs_only_rise_and_the_head_stays(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, BOB, says("one")).await;
    let head = ShardSeq(1);
    for epoch in [0, 1] {
        let again = activate(&store, SHARD, Epoch(epoch)).await;
        assert_eq!(again, Activation::Superseded { epoch: Epoch(1) });
    }
    let both = [(OTHER_SHARD, Epoch(3)), (SHARD, Epoch(9))];
    let active = store.activate(&both, NODE).await.expect("an activation");
    let fresh = Activation::Active { head: ShardSeq(0) };
    assert_eq!(active, [fresh, Activation::Active { head }]);
    let both = [(SHARD, Epoch(9)), (OTHER_SHARD, Epoch(4))];
    let active = store.activate(&both, NODE).await.expect("an activation");
    assert_eq!(active, [Activation::Superseded { epoch: Epoch(9) }, fresh]);
    let fences = store.fences(&[OTHER_SHARD, SHARD]).await.expect("a read");
    assert_eq!(fences, [(Epoch(4), ShardSeq(0)), (Epoch(9), head)]);
}

pub async fn the_next_owner_goes_on_where_the_last_one_ended(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, ADA, says("one")).await;
    owner.epoch = Epoch(2);
    let head = owner.head;
    let active = activate(&store, SHARD, owner.epoch).await;
    assert_eq!(active, Activation::Active { head });
    owner.put(ROOM, BOB, says("two")).await;
    let feed = store.feed(SHARD, ShardSeq(0), MANY).await;
    assert_eq!(feed.expect("a read"), owner.stored_feed());
}
