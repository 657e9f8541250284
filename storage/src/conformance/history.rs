//! Pages of history: in every window, at every edge, a page is what one would pick by hand.

use std::sync::Arc;

use bytes::Bytes;
use hubbub_protocol::{
    event::EventBody,
    ids::{RoomId, Seq},
    message::MessageState,
};

use super::world::{ADA, BOB, EVE, OTHER_ROOM, Owner, ROOM, SHARD, append, deletes, edits, pins, reacts, says};
use crate::{AppendOutcome, MessagePage, Store, StoreError, Window};

/// Every seq that could make a difference in a room with `head`.
fn edges(head: Seq) -> impl Iterator<Item = Seq> {
    let beyond = [i64::MAX as u64 - 1, i64::MAX as u64, 1 << 63, u64::MAX];
    (0..=head.0 + 2).chain(beyond).map(Seq)
}

fn windows(head: Seq) -> impl Iterator<Item = Window> {
    let around = |seq| [Window::Before(seq), Window::After(seq), Window::Around(seq)];
    edges(head).flat_map(around).chain(std::iter::once(Window::Newest))
}

/// The page, picked out of all messages of the room.
fn page_by_hand(all: &[MessageState], window: Window, limit: usize) -> MessagePage {
    let (split, before_max, after_max) = match window {
        Window::Newest => (all.len(), limit, 0),
        Window::Before(seq) => (all.partition_point(|m| m.seq < seq), limit, 0),
        Window::After(seq) => (all.partition_point(|m| m.seq <= seq), 0, limit),
        Window::Around(seq) => (all.partition_point(|m| m.seq < seq), limit / 2, limit),
    };
    let from = split - split.min(before_max);
    let until = all.len().min(split + after_max.min(limit - (split - from)));
    MessagePage { messages: all[from..until].to_vec(), more_before: from > 0, more_after: until < all.len() }
}

/// Compares every page of `room` with the one picked by hand.
pub(super) async fn assert_pages(owner: &Owner, room: RoomId, limits: &[usize]) {
    let head = owner.room_head(room);
    let all: Vec<MessageState> = (1..=head.0).filter_map(|seq| owner.by_hand(room, Seq(seq))).collect();
    for window in windows(head) {
        for &limit in limits {
            let page = owner.store.messages(room, window, limit).await;
            let wanted = page_by_hand(&all, window, limit);
            assert_eq!(page.expect("a read"), wanted, "{window:?}, {limit}");
        }
    }
}

pub async fn an_empty_room_has_empty_pages(store: Arc<dyn Store>) {
    for window in windows(Seq(0)) {
        let page = store.messages(ROOM, window, 5).await.expect("a read");
        assert_eq!(page, MessagePage::default(), "{window:?}");
    }
    assert_eq!(store.pins(ROOM).await.expect("a read"), []);
    assert_eq!(store.edits(ROOM, Seq(1), 5).await.expect("a read"), []);
    let counts = store.counts(&[ROOM]).await.expect("a read");
    assert_eq!(counts, [(0, None)]);
}

pub async fn a_room_of_messages_alone_is_paged(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for number in 0..9 {
        owner.stage(ROOM, ADA, says(&number.to_string()));
        owner.stage(OTHER_ROOM, BOB, says("not here"));
    }
    owner.commit().await;
    assert_pages(&owner, ROOM, &[1, 2, 3, 4, 5, 8, 9, 10, 100]).await;
}

/// Events that are no messages leave holes in the seqs of messages, at either end and between.
pub async fn holes_between_messages_do_not_show_in_pages(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.stage(ROOM, ADA, EventBody::MemberJoined { user: ADA });
    owner.stage(ROOM, BOB, EventBody::MemberJoined { user: BOB });
    let first = owner.stage(ROOM, ADA, says("one"));
    for emoji in ["👍", "🎉", "🚀"] {
        owner.stage(ROOM, BOB, reacts(first, emoji));
    }
    owner.stage(ROOM, BOB, says("two"));
    owner.stage(ROOM, BOB, says("three"));
    owner.stage(ROOM, BOB, pins(first));
    owner.stage(ROOM, BOB, says("four"));
    owner.stage(ROOM, EVE, reacts(first, "👍"));
    owner.stage(ROOM, EVE, EventBody::MemberLeft { user: BOB });
    owner.commit().await;
    assert_pages(&owner, ROOM, &[1, 2, 3, 4, 5, 100]).await;
}

pub async fn a_room_of_one_message_and_a_room_of_none_are_paged(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.stage(ROOM, ADA, says("alone"));
    let user = ADA;
    owner.stage(OTHER_ROOM, ADA, EventBody::MemberJoined { user });
    owner.commit().await;
    assert_pages(&owner, ROOM, &[1, 2, 3]).await;
    assert_pages(&owner, OTHER_ROOM, &[1, 2, 3]).await;
}

pub async fn a_deleted_message_keeps_its_place_in_pages(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for text in ["one", "two", "three"] {
        owner.stage(ROOM, ADA, says(text));
    }
    owner.stage(ROOM, ADA, deletes(Seq(2)));
    owner.stage(ROOM, ADA, edits(Seq(3), "three, edited"));
    owner.commit().await;
    let page = store.messages(ROOM, Window::Newest, 10).await;
    let page = page.expect("a read");
    let seen: Vec<_> = page.messages.iter().map(|m| (m.seq.0, m.deleted, m.text.as_str())).collect();
    let wanted = [(1, false, "one"), (2, true, ""), (3, false, "three, edited")];
    assert_eq!(seen, wanted);
    assert_pages(&owner, ROOM, &[1, 2, 3]).await;
}

pub async fn only_a_message_is_found_as_one(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.stage(ROOM, ADA, says("one"));
    owner.stage(ROOM, BOB, reacts(Seq(1), "👍"));
    owner.stage(ROOM, BOB, reacts(Seq(9), "👍"));
    owner.commit().await;
    for seq in edges(Seq(9)) {
        let message = store.message(ROOM, seq).await.expect("a read");
        assert_eq!(message, owner.by_hand(ROOM, seq), "{seq}");
        let elsewhere = store.message(OTHER_ROOM, seq).await.expect("a read");
        assert_eq!(elsewhere, None);
    }
}

pub async fn bytes_that_nobody_can_read_are_named_by_their_place(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(ROOM, ADA, says("fine")).await;
    let seq = owner.stage(ROOM, ADA, says("spoiled"));
    let mut part = owner.part();
    part.events[0].push = Bytes::from_static(b"{\"ev\":");
    assert_eq!(append(&store, part).await, AppendOutcome::Committed);
    let spoiled = [store.message(ROOM, seq).await.err(), store.messages(ROOM, Window::Newest, 5).await.err()];
    for error in spoiled {
        let found = matches!(
            error,
            Some(StoreError::Undecodable { room: ROOM, seq: at, .. }) if at == seq
        );
        assert!(found, "{error:?}");
    }
    assert!(store.message(ROOM, Seq(1)).await.is_ok());
    let raw = store.events(ROOM, Seq(0), 5).await.expect("raw bytes");
    assert_eq!(raw.len(), 2);
}
