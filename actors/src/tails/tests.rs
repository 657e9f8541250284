//! With a cache that helps, lies, forgets or grows old, a node answers what it answers without one.

use std::sync::Arc;

use hubbub_protocol::{
    emoji::Emoji,
    frame::Frame,
    op::{Mode, Op, Page},
    rest::History,
};
use hubbub_storage::{LogStore as _, MemStore, cache::mem::MemCache};
use proptest::prelude::*;

use super::{tail::Tail, *};
use crate::{Caller, HubConfig, support::World};

/// Long enough for nobody to leave memory in a test.
async fn node(store: &Arc<MemStore>, cache: &Arc<MemCache>) -> World {
    World::with_cache(HubConfig::default(), store.clone(), cache.clone()).await
}

async fn puts(world: &World, cache: &MemCache, room: RoomId) -> Tail {
    world.hub.context().tails.put(cache).await;
    Tail::decode(&cache.peek(Hint::Tail(room)).expect("put")).expect("a tail")
}

async fn newest(world: &World, caller: Caller, room: RoomId, limit: usize) -> History {
    world.hub.rooms().history(caller, room, Page::Newest, limit).await.expect("a member may")
}

/// The newest page as a node without a cache gives it.
async fn plain(world: &World, caller: Caller, room: RoomId, limit: usize) -> History {
    let cache = Arc::new(MemCache::new());
    cache.set_away(true);
    newest(&node(&world.store, &cache).await, caller, room, limit).await
}

/// Something of everything that happens in a room.
async fn talk(world: &World, ada: Caller, room: RoomId, messages: u32) {
    let client = world.connect(ada).await;
    for at in 0..messages {
        let seq = world.say(ada, room, &format!("message {at}")).await;
        let emoji = Emoji::parse("👍").expect("an emoji");
        let change = match at % 5 {
            0 => Op::Edit { room, seq, text: format!("edited {at}") },
            1 => Op::React { room, seq, emoji },
            2 => Op::Delete { room, seq, reason: None },
            3 => Op::Pin { room, seq },
            _ => Op::Thread { room, seq, title: Some(format!("about {at}")) },
        };
        let answer = client.ask(100 + at, change).await;
        assert!(answer["ok"].is_object(), "{answer}");
    }
}

#[tokio::test]
async fn the_newest_page_by_the_tail_is_the_stores_whatever_its_length() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let world = node(&store, &cache).await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    talk(&world, ada, room, 40).await;
    puts(&world, &cache, room).await;
    world.say(ada, room, "after the tail was put").await;
    for limit in [1, 10, 30, 41, 50, 100] {
        let hits = cache.status().hits;
        assert_eq!(newest(&world, ada, room, limit).await, plain(&world, ada, room, limit).await, "{limit}");
        assert_eq!(cache.status().hits, hits + 1, "by the tail");
    }
}

#[tokio::test]
async fn a_tail_that_is_old_forgotten_or_frozen_changes_nothing_that_is_read() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let world = node(&store, &cache).await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    talk(&world, ada, room, 10).await;
    puts(&world, &cache, room).await;
    cache.freeze();
    for _ in 0..6 {
        talk(&world, ada, room, 30).await;
        world.hub.context().tails.put(&*cache).await;
        assert_eq!(newest(&world, ada, room, 20).await, plain(&world, ada, room, 20).await);
    }
    cache.flush();
    assert_eq!(newest(&world, ada, room, 20).await, plain(&world, ada, room, 20).await);
}

#[tokio::test]
async fn a_tail_of_a_log_that_has_gone_another_way_is_thrown_away() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let world = node(&store, &cache).await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    let (mut other, head) = {
        for at in 0..30 {
            world.say(ada, room, &format!("message {at}")).await;
        }
        let events = store.events(room, Seq(0), 100).await.expect("a read");
        let mut other: Option<Tail> = None;
        for event in &events {
            let text = String::from_utf8(event.push.to_vec()).expect("JSON").replace("message", "never said");
            match &mut other {
                Some(other) => assert!(other.push(event.seq, text.into())),
                None => other = Some(Tail::of(event.seq, text.into())),
            }
        }
        (other.expect("events"), events.last().expect("events").seq)
    };
    cache.freeze();
    for extra in [0, 1, 5] {
        for seq in head.0 + 1..=head.0 + extra {
            other.push(Seq(seq), "ahead of the store".into());
        }
        cache.force(Hint::Tail(room), other.encode());
        let page = newest(&world, ada, room, 10).await;
        assert_eq!(page, plain(&world, ada, room, 10).await);
        assert!(page.messages.iter().all(|message| message.text.starts_with("message")), "{page:?}");
    }
    cache.force(Hint::Tail(room), Bytes::from_static(b"no tail at all"));
    assert_eq!(newest(&world, ada, room, 10).await, plain(&world, ada, room, 10).await);
}

#[tokio::test]
async fn the_next_owner_goes_on_with_the_tail_of_the_last() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let first = node(&store, &cache).await;
    let ada = first.user("ada").await;
    let (_, room) = first.community(ada, &[]).await;
    for at in 0..20 {
        first.say(ada, room, &format!("message {at}")).await;
    }
    let before = puts(&first, &cache, room).await;
    let second = node(&store, &cache).await;
    second.say(ada, room, "of the next owner").await;
    let after = puts(&second, &cache, room).await;
    let mut wanted = before;
    let last = store.events(room, before_of(&after), 1).await.expect("a read").remove(0);
    assert!(wanted.push(last.seq, last.push));
    assert_eq!(after, wanted);
}

fn before_of(tail: &Tail) -> Seq {
    tail.before_last()
}

#[tokio::test]
async fn who_may_not_read_a_room_is_not_shown_its_tail() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let world = node(&store, &cache).await;
    let (ada, eve) = (world.user("ada").await, world.user("eve").await);
    let (community, _) = world.community(ada, &[eve]).await;
    let room = world.private_room(ada, community).await.id;
    world.say(ada, room, "a secret").await;
    puts(&world, &cache, room).await;
    let refused = world.hub.rooms().history(eve, room, Page::Newest, 10).await.expect_err("eve is no member");
    assert_eq!(refused.code, hubbub_protocol::error::ErrorCode::NotFound);
}

#[tokio::test]
async fn a_relay_that_begins_serves_all_who_missed_something_by_one_tail() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let first = node(&store, &cache).await;
    let (ada, bob) = (first.user("ada").await, first.user("bob").await);
    let (_, room) = first.community(ada, &[bob]).await;
    for at in 0..50 {
        first.say(ada, room, &format!("message {at}")).await;
    }
    puts(&first, &cache, room).await;
    let second = node(&store, &cache).await;
    let clients = [second.connect(ada).await, second.connect(bob).await];
    let missed = |after: u64| Op::Subscribe { room, after: Some(Seq(after)), mode: Mode::Live };
    let head = store.heads(&[room]).await.expect("a read")[0].0;
    let answer = clients[0].ask(2, missed(head - 20)).await;
    assert_eq!((&answer["ok"]["gap"], &answer["ok"]["head"]), (&serde_json::Value::Null, &head.into()), "{answer}");
    // What the relay has, it does not read again.
    store.faults().fail_reads(true);
    let answer = clients[1].ask(2, missed(head - 40)).await;
    store.faults().fail_reads(false);
    assert_eq!((&answer["ok"]["gap"], &answer["ok"]["head"]), (&serde_json::Value::Null, &head.into()), "{answer}");
    second.say(ada, room, "live").await;
    for (client, missed) in clients.iter().zip([20, 40]) {
        client.until("live", |frame| frame["data"]["text"] == "live").await;
        let mut wanted: Vec<String> = (50 - missed..50).map(|at| format!("message {at}")).collect();
        wanted.push("live".to_owned());
        assert_eq!(client.events_of(room), wanted);
    }
}

#[tokio::test]
async fn a_session_comes_back_to_another_node_with_what_it_followed_and_a_hint_that_is_old_does_not_count() {
    let (store, cache) = (Arc::new(MemStore::new()), Arc::new(MemCache::new()));
    let first = node(&store, &cache).await;
    let ada = first.user("ada").await;
    let (community, room) = first.community(ada, &[]).await;
    let later = first.public_room(ada, community, "later").await;
    let client = first.connect(ada).await;
    client.follow(2, room).await;
    let (token, session) = client.session();
    let context = first.hub.context();
    context.unsaved.flush(context).await.expect("saved");
    context.hinted.put(&*cache).await;
    let old = cache.peek(Hint::Session(session)).expect("put");
    client.follow(3, later).await;
    context.unsaved.flush(context).await.expect("saved");
    context.hinted.put(&*cache).await;
    assert_ne!(cache.peek(Hint::Session(session)), Some(old.clone()));
    cache.force(Hint::Session(session), old);
    let second = node(&store, &cache).await;
    let recorder = second.recorder();
    let resumed = second.hub.sessions().resume(recorder.clone(), 9, ada, &token, Vec::new()).await;
    let _session = resumed.expect("its token");
    let answer = recorder.until("resumed", |frame| frame["re"] == 9).await;
    let rooms = answer["ok"]["rooms"].as_object().expect("rooms");
    assert!(rooms.contains_key(&room.to_string()) && rooms.contains_key(&later.to_string()), "{answer}");
}

/// One thing that happens: to a message some way back, or a new one.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Said,
    Edited(usize),
    Deleted(usize),
    Reacted(usize),
    Unreacted(usize),
    Purged(usize, usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    let back = 0..12_usize;
    prop_oneof![
        4 => Just(Happens::Said),
        1 => back.clone().prop_map(Happens::Edited),
        1 => back.clone().prop_map(Happens::Deleted),
        1 => back.clone().prop_map(Happens::Reacted),
        1 => back.clone().prop_map(Happens::Unreacted),
        1 => (back.clone(), back).prop_map(|(one, other)| Happens::Purged(one, other)),
    ]
}

mod folding {
    use hubbub_protocol::{
        event::{Created, Event, EventBody},
        ids::{Epoch, MessageKey, NodeId, ShardSeq, UserId},
        shard::ShardId,
        text::Mentions,
        time::Timestamp,
    };
    use hubbub_storage::{AppendBatch, AppendOutcome, NewEvent, ShardAppend, Window};

    use super::*;

    const ROOM: RoomId = RoomId::from_raw(5);

    fn body(happened: Happens, said: &[Seq]) -> EventBody {
        let at = |back: usize| said.iter().rev().nth(back).copied().unwrap_or(Seq(1));
        let emoji = || Emoji::parse("👍").expect("an emoji");
        match happened {
            Happens::Said => {
                EventBody::MessageCreated(Box::new(Created { text: "hi".into(), ..Created::default() }))
            }
            Happens::Edited(back) => {
                EventBody::MessageEdited { target: at(back), text: "edited".into(), mentions: Mentions::default() }
            }
            Happens::Deleted(back) => EventBody::MessageDeleted { target: at(back), reason: None },
            Happens::Reacted(back) => EventBody::ReactionAdded { target: at(back), emoji: emoji(), count: None },
            Happens::Unreacted(back) => EventBody::ReactionRemoved { target: at(back), emoji: emoji() },
            Happens::Purged(one, other) => {
                EventBody::MessagesPurged { user: None, from: at(one.max(other)), to: at(one.min(other)) }
            }
        }
    }

    async fn pages_agree(all: Vec<Happens>, from: usize, limit: usize) {
        let store = MemStore::new();
        store.activate(&[(ShardId(0), Epoch(1))], NodeId(1)).await.expect("a write");
        let (mut said, mut events) = (Vec::new(), Vec::new());
        for (seq, happened) in (1..).map(Seq).zip(all) {
            let body = body(happened, &said);
            if matches!(happened, Happens::Said) {
                said.push(seq);
            }
            let ts = Timestamp(i64::try_from(seq.0).expect("few"));
            let key = Some(MessageKey(uuid::Uuid::now_v7())).filter(|_| matches!(happened, Happens::Said));
            let event = Event { room: ROOM, seq, ts, by: UserId::from_raw(1), key, body };
            let push = Frame::event(&event).payload_bytes();
            events.push((seq, push.clone()));
            let batch = AppendBatch {
                shards: vec![ShardAppend {
                    shard: ShardId(0),
                    epoch: Epoch(1),
                    old_head: ShardSeq(seq.0 - 1),
                    events: vec![NewEvent::of(&event, ShardSeq(seq.0), push)],
                    effects: vec![],
                }],
            };
            let outcome = store.append(&batch).await.expect("a write");
            assert!(matches!(outcome[..], [AppendOutcome::Committed]), "{outcome:?}");
        }
        let from = from.min(events.len().saturating_sub(1));
        if let Some(page) = page::newest(&events[from..], limit) {
            assert_eq!(page, store.messages(ROOM, Window::Newest, limit).await.expect("a read"));
        } else {
            assert!(said.iter().filter(|seq| seq.0 > from as u64).count() <= limit, "enough to tell");
        }
    }

    proptest! {
        #[test]
        fn a_page_folded_out_of_any_newest_events_is_the_stores(
            all in prop::collection::vec(happens(), 1..80), from in 0..80_usize, limit in 1..12_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(pages_agree(all, from, limit));
        }
    }
}
