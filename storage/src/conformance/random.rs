//! Long random histories: after each stretch, every read equals what one would say by hand.

use std::sync::Arc;

use hubbub_protocol::{
    event::{EventBody, EventKind},
    ids::{RoomId, Seq, ShardSeq, UserId},
};

use super::{
    history::assert_pages,
    world::{
        ADA, BOB, Dice, EVE, MANY, Owner, SHARD, deletes, edits, key, pins, purges, reacts, says, unpins, unreacts,
    },
};
use crate::{RecentKey, Store};

const ROOMS: [RoomId; 2] = [RoomId::from_raw(1), RoomId::from_raw(2)];
const PEOPLE: [UserId; 3] = [ADA, BOB, EVE];
const EMOJI: [&str; 3] = ["👍", "🎉", ":party:"];
/// Batches of one history.
const BATCHES: u64 = 12;
/// Events of one batch, at most.
const BATCH_EVENTS: u64 = 9;

fn pick<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    of[usize::try_from(dice.roll(of.len() as u64)).expect("small")]
}

/// Some event or other, about a message or about none.
fn event(dice: &mut Dice, head: u64) -> EventBody {
    // Mostly an event that is there, message or not; now and then none at all.
    let target = match dice.roll(12) {
        0 => Seq(head + 1_000),
        _ => Seq(1 + dice.roll(head.max(1))),
    };
    match dice.roll(12) {
        0 | 1 => edits(target, "edited"),
        2 => deletes(target),
        3 => {
            let whom = [None, Some(ADA), Some(BOB)];
            purges(pick(dice, &whom), target.0, target.0 + dice.roll(30))
        }
        4 | 5 => reacts(target, pick(dice, &EMOJI)),
        6 => unreacts(target, pick(dice, &EMOJI)),
        7 | 8 => pins(target),
        9 => unpins(target),
        10 => EventBody::MemberJoined { user: EVE },
        _ => {
            EventBody::ThreadCreated { target, room: RoomId::from_raw(900 + head), title: format!("thread {head}") }
        }
    }
}

/// The same message is pinned again only after it was unpinned, as rooms see to.
fn pins_by_hand(owner: &Owner, room: RoomId) -> Vec<Seq> {
    let mut pinned: Vec<Seq> = Vec::new();
    for (at, event) in owner.log.iter().enumerate() {
        if event.room != room {
            continue;
        }
        if let EventBody::MessagePinned { target } = &event.body
            && !pinned.contains(target)
        {
            pinned.push(*target);
        }
        let so_far = &owner.log[..=at];
        pinned.retain(|&seq| is_pinned(so_far, room, seq));
    }
    pinned
}

fn is_pinned(log: &[hubbub_protocol::event::Event], room: RoomId, seq: Seq) -> bool {
    let mut later = log.iter().filter(|event| event.room == room && event.seq >= seq);
    let first = later.next().filter(|event| event.seq == seq);
    let Some(mut state) = first.and_then(hubbub_protocol::message::MessageState::begin) else {
        return false;
    };
    later.for_each(|event| state.apply(event));
    state.pinned
}

async fn assert_same(owner: &Owner, room: RoomId) {
    let store = &owner.store;
    let events = store.events(room, Seq(0), MANY).await.expect("a read");
    assert_eq!(events, owner.stored(room));
    let head = owner.room_head(room);
    assert_eq!(store.heads(&[room]).await.expect("a read"), [head]);
    for seq in (0..=head.0).map(Seq) {
        let message = store.message(room, seq).await.expect("a read");
        assert_eq!(message, owner.by_hand(room, seq), "{seq}");
        let edits = store.edits(room, seq, MANY).await.expect("a read");
        let about = |event: &hubbub_protocol::event::Event| {
            event.seq == seq
                || event.body.kind() == EventKind::MessageEdited && event.target() == Some(seq) && event.seq > seq
        };
        let log = owner.log.iter().filter(|event| event.room == room);
        let told: Vec<Seq> = log.filter(|event| message.is_some() && about(event)).map(|event| event.seq).collect();
        assert_eq!(edits.iter().map(|e| e.seq).collect::<Vec<_>>(), told);
    }
    let pins = store.pins(room).await.expect("a read");
    assert_eq!(pins, pins_by_hand(owner, room));
    let messages =
        owner.log.iter().filter(|event| event.room == room && event.body.kind() == EventKind::MessageCreated);
    let count = (messages.clone().count() as u64, messages.clone().next_back().map(|e| e.ts));
    assert_eq!(store.counts(&[room]).await.expect("a read"), [count]);
    let keys: Vec<RecentKey> = messages
        .rev()
        .filter_map(|event| {
            let (by, seq, ts) = (event.by, event.seq, event.ts);
            event.key.map(|key| RecentKey { by, key, seq, ts })
        })
        .collect();
    let since = super::world::DAWN;
    let recent = store.recent_keys(room, since, MANY).await;
    assert_eq!(recent.expect("a read"), keys);
    for known in keys {
        let found = store.find_key(room, known.by, known.key, known.ts).await;
        assert_eq!(found.expect("a read"), Some(known));
    }
}

pub async fn a_random_history_reads_as_it_was_written(store: Arc<dyn Store>) {
    for seed in 0..3 {
        let shard = hubbub_protocol::shard::ShardId(SHARD.0 + seed);
        let mut dice = Dice(u64::from(seed));
        let mut owner = Owner::of(&store, shard).await;
        let rooms = ROOMS.map(|room| RoomId::from_raw(room.raw() + 10 * u64::from(seed)));
        for batch in 0..BATCHES {
            for _ in 0..=dice.roll(BATCH_EVENTS) {
                owner.now = owner.now.plus_ms(i64::try_from(dice.roll(3)).expect("small"));
                let (room, by) = (pick(&mut dice, &rooms), pick(&mut dice, &PEOPLE));
                if dice.roll(2) == 0 {
                    let fresh = key(u128::from(owner.head.0) << 64 | u128::from(owner.room_head(room).0));
                    let key = (dice.roll(4) > 0).then_some(fresh);
                    owner.stage_keyed(room, by, key, says("random"));
                } else {
                    let body = event(&mut dice, owner.room_head(room).0);
                    let again = |target| owner.by_hand(room, target).is_some_and(|m| m.pinned);
                    match body {
                        EventBody::MessagePinned { target } if again(target) => {}
                        body => {
                            owner.stage(room, by, body);
                        }
                    }
                }
            }
            owner.commit().await;
            if batch % 4 == 3 {
                for room in rooms {
                    assert_same(&owner, room).await;
                }
            }
        }
        let feed = store.feed(shard, ShardSeq(0), MANY).await.expect("a read");
        assert_eq!(feed, owner.stored_feed());
        for room in rooms {
            assert_pages(&owner, room, &[1, 4, 7]).await;
        }
    }
}
