//! A message as a store gives it equals all events of its room folded by hand.

use std::sync::Arc;

use hubbub_protocol::{
    emoji::Emoji,
    event::{EventBody, EventKind},
    ids::{RoomId, Seq},
};

use super::{
    history::assert_pages,
    world::{
        ADA, BOB, DAWN, EVE, MANY, OTHER_ROOM, Owner, ROOM, SHARD, deletes, edits, pins, purges, reacts, says,
        unpins, unreacts,
    },
};
use crate::Store;

/// Every message of `room`, alone and in pages, is what one gets by hand.
async fn assert_folded(owner: &Owner, room: RoomId) {
    for seq in (0..=owner.room_head(room).0).map(Seq) {
        let message = owner.store.message(room, seq).await.expect("a read");
        assert_eq!(message, owner.by_hand(room, seq), "{seq}");
    }
    assert_pages(owner, room, &[1, 3, 100]).await;
}

pub async fn edits_show_the_newest_text_until_the_message_is_deleted(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let first = owner.put(ROOM, ADA, says("one")).await;
    let second = owner.put(ROOM, ADA, says("two")).await;
    for text in ["one!", "one!! <@000000000002P>"] {
        owner.now = owner.now.plus_ms(5);
        owner.put(ROOM, ADA, edits(first, text)).await;
    }
    assert_folded(&owner, ROOM).await;
    let message = store.message(ROOM, first).await.expect("a read");
    let message = message.expect("a message");
    assert_eq!(message.edited_at, Some(DAWN.plus_ms(10)));
    owner.put(ROOM, ADA, deletes(second)).await;
    owner.put(ROOM, ADA, edits(second, "too late")).await;
    assert_folded(&owner, ROOM).await;
}

pub async fn the_history_of_edits_begins_with_the_first_text(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.stage(ROOM, BOB, says("before"));
    let target = owner.stage(ROOM, ADA, says("one"));
    owner.stage(ROOM, ADA, edits(Seq(1), "not this"));
    owner.stage(OTHER_ROOM, ADA, says("another room"));
    owner.stage(OTHER_ROOM, ADA, edits(target, "nor this"));
    owner.stage(ROOM, ADA, edits(target, "two"));
    owner.stage(ROOM, BOB, reacts(target, "👍"));
    owner.stage(ROOM, ADA, edits(target, "three"));
    owner.stage(ROOM, ADA, deletes(target));
    owner.commit().await;
    let told = owner.stored(ROOM).into_iter().filter(|event| {
        event.seq == target || event.kind == EventKind::MessageEdited && [Seq(4), Seq(6)].contains(&event.seq)
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 3);
    for limit in [1, 2, 3, 100] {
        let got = store.edits(ROOM, target, limit).await.expect("a read");
        assert_eq!(got, told[..limit.min(3)], "{limit}");
    }
    for seq in [Seq(5), Seq(99), Seq(u64::MAX)] {
        let got = store.edits(ROOM, seq, MANY).await.expect("a read");
        assert_eq!(got, [], "{seq} is no message");
    }
}

pub async fn reactions_keep_the_order_of_their_first_use(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let target = owner.stage(ROOM, ADA, says("react!"));
    let steps = [
        (BOB, reacts(target, "🚀")),
        (ADA, reacts(target, "👍")),
        (EVE, reacts(target, ":party:")),
        (ADA, reacts(target, "🚀")),
        (ADA, reacts(target, "🚀")),
        (EVE, unreacts(target, ":party:")),
        (BOB, unreacts(target, "👍")),
        (BOB, unreacts(target, "🚀")),
        (EVE, reacts(target, ":party:")),
    ];
    for (by, body) in steps {
        owner.stage(ROOM, by, body);
    }
    let emoji = Emoji::from_archive("tada");
    let count = Some(12);
    let unnamed = EventBody::ReactionAdded { target, emoji, count };
    owner.stage(ROOM, ADA, unnamed);
    owner.commit().await;
    let message = store.message(ROOM, target).await.expect("a read");
    let reactions = message.expect("a message").reactions;
    let seen: Vec<_> = reactions.iter().map(|r| (r.emoji.as_str(), r.users.as_slice(), r.unnamed)).collect();
    let wanted = [("🚀", &[ADA][..], 0), ("👍", &[ADA], 0), (":party:", &[EVE], 0), (":tada:", &[], 12)];
    assert_eq!(seen, wanted);
    assert_folded(&owner, ROOM).await;
}

pub async fn a_purge_deletes_what_was_sent_before_it_in_its_range(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for number in 0..6 {
        let by = if number % 2 == 0 { ADA } else { BOB };
        owner.stage(ROOM, by, says("spam"));
        owner.stage(OTHER_ROOM, by, says("no spam"));
    }
    owner.stage(ROOM, EVE, reacts(Seq(3), "👍"));
    owner.commit().await;
    owner.put(ROOM, EVE, purges(Some(ADA), 2, 1_000)).await;
    owner.put(ROOM, ADA, says("I am back")).await;
    owner.put(ROOM, ADA, edits(Seq(3), "undo")).await;
    assert_folded(&owner, ROOM).await;
    owner.put(ROOM, EVE, purges(None, 1, 2)).await;
    owner.put(ROOM, BOB, says("me too")).await;
    assert_folded(&owner, ROOM).await;
    assert_folded(&owner, OTHER_ROOM).await;
    let mut deleted = Vec::new();
    for seq in (1..=6).chain([9]).map(Seq) {
        let message = store.message(ROOM, seq).await.expect("a read");
        if message.is_some_and(|message| message.deleted) {
            deleted.push(seq.0);
        }
    }
    assert_eq!(deleted, [1, 2, 3, 5]);
}

pub async fn a_message_tells_of_its_thread(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let target = owner.put(ROOM, ADA, says("let us talk")).await;
    let (room, title) = (OTHER_ROOM, "Talk".to_owned());
    let thread = EventBody::ThreadCreated { target, room, title };
    owner.put(ROOM, BOB, thread).await;
    owner.put(OTHER_ROOM, BOB, says("in the thread")).await;
    assert_folded(&owner, ROOM).await;
    let message = store.message(ROOM, target).await.expect("a read");
    let thread = message.expect("a message").thread;
    assert_eq!(thread, Some((OTHER_ROOM, "Talk".to_owned())));
}

pub async fn events_of_one_room_leave_other_rooms_alone(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for room in [ROOM, OTHER_ROOM] {
        owner.stage(room, ADA, says("the same seq"));
    }
    for body in [reacts(Seq(1), "👍"), pins(Seq(1)), deletes(Seq(1))] {
        owner.stage(OTHER_ROOM, BOB, body);
    }
    owner.commit().await;
    assert_folded(&owner, ROOM).await;
    assert_folded(&owner, OTHER_ROOM).await;
    assert_eq!(store.pins(ROOM).await.expect("a read"), []);
}

pub async fn pins_are_listed_oldest_pin_first(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for _ in 0..6 {
        owner.stage(ROOM, ADA, says("pin me"));
    }
    let listed = async || {
        let pins = store.pins(ROOM).await.expect("a read");
        pins.iter().map(|seq| seq.0).collect::<Vec<_>>()
    };
    for target in [5, 2, 4, 1, 6] {
        owner.stage(ROOM, BOB, pins(Seq(target)));
    }
    owner.commit().await;
    assert_eq!(listed().await, [5, 2, 4, 1, 6]);
    owner.put(ROOM, BOB, unpins(Seq(5))).await;
    assert_eq!(listed().await, [2, 4, 1, 6]);
    owner.put(ROOM, BOB, pins(Seq(5))).await;
    owner.put(ROOM, ADA, deletes(Seq(4))).await;
    assert_eq!(listed().await, [2, 1, 6, 5]);
    owner.put(ROOM, ADA, purges(Some(BOB), 1, 2)).await;
    assert_eq!(listed().await, [2, 1, 6, 5], "a purge of another's");
    owner.put(ROOM, ADA, purges(Some(ADA), 1, 2)).await;
    assert_eq!(listed().await, [6, 5]);
    assert_folded(&owner, ROOM).await;
}

pub async fn counts_keep_up_with_a_room_that_grows(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let (mut messages, mut newest) = (0, None);
    for round in 0..12_u64 {
        // Some rounds bring more than a store may care to count anew, some nothing that counts.
        for number in 0..(round * 37) % 150 {
            owner.now = owner.now.plus_ms(1);
            if number % 3 == 2 {
                owner.stage(ROOM, BOB, reacts(Seq(1), "👍"));
            } else {
                owner.stage(ROOM, ADA, says("one more"));
                messages += 1;
                newest = Some(owner.now);
            }
        }
        owner.commit().await;
        for _ in 0..2 {
            let counts = store.counts(&[ROOM, OTHER_ROOM]).await.expect("a read");
            assert_eq!(counts, [(messages, newest), (0, None)], "round {round}");
        }
    }
    assert!(messages > 400, "{messages} are many enough");
}

pub async fn counts_are_of_messages_deleted_ones_too(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for _ in 0..3 {
        owner.now = owner.now.plus_ms(10);
        owner.stage(ROOM, ADA, says("count me"));
    }
    let newest = owner.now;
    owner.now = owner.now.plus_ms(10);
    owner.stage(ROOM, BOB, reacts(Seq(1), "👍"));
    owner.stage(ROOM, ADA, deletes(Seq(2)));
    owner.stage(OTHER_ROOM, ADA, EventBody::MemberJoined { user: ADA });
    owner.commit().await;
    let empty = RoomId::from_raw(77);
    let asked = [empty, ROOM, OTHER_ROOM, ROOM];
    let counts = store.counts(&asked).await.expect("a read");
    let three = (3, Some(newest));
    assert_eq!(counts, [(0, None), three, (0, None), three]);
    assert_eq!(store.counts(&[]).await.expect("a read"), []);
}
