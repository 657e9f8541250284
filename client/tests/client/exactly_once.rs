//! An application sees each event of a room it follows exactly once and in order, whatever the node and the line do.

use std::time::Duration;

use bytes::Bytes;
use hubbub_client::{Client, Update, Updates};
use hubbub_protocol::{
    frame::Format,
    ids::{MessageKey, RoomId, Seq},
    op::Mode,
};
use uuid::Uuid;

use crate::node::{Faults, Node, assert_whole, next, read_to};

const ROOMS: u64 = 5;
const POSTS: usize = 600;

fn rooms() -> impl Iterator<Item = RoomId> {
    (1..=ROOMS).map(RoomId::from_raw)
}

fn post(node: &Node, room: RoomId, text: &str) {
    node.state().post(room, MessageKey(Uuid::now_v7()), text);
}

async fn follow(client: &Client) {
    for room in rooms() {
        client.subscribe(room, Some(Seq(0)), Mode::Live).await.expect("a room");
    }
}

/// Posts to all rooms while the client reads, then compares its ledger with the logs.
async fn survives(faults: Faults, format: Format) {
    let node = Node::start(faults).await;
    rooms().for_each(|room| post(&node, room, "before"));
    let (client, mut updates): (Client, Updates) = node.client(format).await;
    let posting = async {
        follow(&client).await;
        for at in 0..POSTS {
            let room = RoomId::from_raw(at as u64 % ROOMS + 1);
            post(&node, room, &format!("message {at} – ✓"));
            if at % 5 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // What is dropped at the very end shows only with the next event, so the end is quiet.
        node.state().calm();
        rooms().for_each(|room| post(&node, room, "last"));
    };
    let each = 2 + POSTS as u64 / ROOMS;
    let heads = rooms().map(|room| (room, Seq(each))).collect();
    let ((), ledger) = tokio::join!(posting, read_to(&mut updates, &heads));
    assert_whole(&ledger, &node);
}

#[tokio::test]
async fn a_faithful_node_is_read_whole_in_both_formats() {
    survives(Faults::default(), Format::Json).await;
    survives(Faults::default(), Format::MessagePack).await;
}

#[tokio::test]
async fn dropped_events_are_fetched() {
    survives(Faults { drop: 0.2, ..Faults::default() }, Format::Json).await;
}

#[tokio::test]
async fn doubled_and_late_events_are_put_in_order() {
    survives(Faults { double: 0.2, late: 0.2, ..Faults::default() }, Format::MessagePack).await;
}

#[tokio::test]
async fn gaps_that_the_node_tells_of_are_filled() {
    survives(Faults { gap: 0.2, ..Faults::default() }, Format::Json).await;
}

#[tokio::test]
async fn a_line_cut_in_the_middle_of_the_stream_loses_nothing() {
    survives(Faults { cut: 0.02, ..Faults::default() }, Format::Json).await;
    survives(Faults { cut: 0.02, replay_max: 2, ..Faults::default() }, Format::MessagePack).await;
}

#[tokio::test]
async fn everything_at_once_over_many_seeds_loses_nothing() {
    for seed in 0..12 {
        let faults = Faults {
            seed,
            drop: 0.05,
            double: 0.05,
            late: 0.05,
            gap: 0.05,
            cut: 0.01,
            no_page: 0.1,
            replay_max: 3,
            ..Faults::default()
        };
        survives(faults, if seed % 2 == 0 { Format::Json } else { Format::MessagePack }).await;
    }
}

#[tokio::test]
async fn a_long_log_is_fetched_page_by_page_when_it_is_too_long_to_replay() {
    let node = Node::start(Faults { replay_max: 10, ..Faults::default() }).await;
    let room = RoomId::from_raw(1);
    (0..1_234).for_each(|at| post(&node, room, &at.to_string()));
    let (client, mut updates) = node.client(Format::Json).await;
    let answer = client.subscribe(room, Some(Seq(0)), Mode::Live).await.expect("a room");
    assert!(answer.gap);
    let heads = node.state().heads();
    assert_whole(&read_to(&mut updates, &heads).await, &node);
}

#[tokio::test]
async fn an_application_that_reads_late_loses_nothing_and_stays_connected() {
    let node = Node::start(Faults { heartbeat_ms: 200, ..Faults::default() }).await;
    let room = RoomId::from_raw(1);
    let (client, mut updates) = node.client(Format::Json).await;
    client.subscribe(room, Some(Seq(0)), Mode::Live).await.expect("a room");
    for at in 0..5_000 {
        post(&node, room, &at.to_string());
        if at % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(node.state().count("heartbeat") >= 2, "heartbeats go on while the application is busy");
    assert_eq!(node.state().connections, 1);
    post(&node, room, "last");
    let heads = node.state().heads();
    assert_whole(&read_to(&mut updates, &heads).await, &node);
}

/// 32 MB are posted; what fits the updates and the system's socket buffers, some 20 MB at most, leaves the node.
#[tokio::test]
async fn while_the_application_does_not_read_the_line_is_not_read_either() {
    let node = Node::start(Faults::default()).await;
    let room = RoomId::from_raw(1);
    let (client, mut updates) = node.client(Format::Json).await;
    client.subscribe(room, Some(Seq(0)), Mode::Live).await.expect("a room");
    let text = "x".repeat(8_000);
    for _ in 0..4_000 {
        post(&node, room, &text);
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sent = node.state().sent;
    assert!((1_024..3_500).contains(&sent), "{sent} of 4,000 left the node");
    let heads = node.state().heads();
    assert_whole(&read_to(&mut updates, &heads).await, &node);
}

#[tokio::test]
async fn an_event_of_a_later_version_takes_its_place_and_holds_nothing_up() {
    let node = Node::start(Faults::default()).await;
    let room = RoomId::from_raw(1);
    let (client, mut updates) = node.client(Format::MessagePack).await;
    client.subscribe(room, None, Mode::Live).await.expect("a room");
    let later = br#"{"ev":"room","room":"0000000000001","seq":1,"ts":"2026-11-22T12:00:00.000Z","type":"poll.opened","by":"0000000000009","data":{"x":[1]}}"#;
    node.state().append(room, Bytes::from_static(later));
    post(&node, room, "after it");
    let seq = next(&mut updates, "the event we do not know", |update| match update {
        Update::LaterEvent { seq, .. } => Some(seq),
        _ => None,
    });
    assert_eq!(seq.await, Seq(1));
    let seq = next(&mut updates, "the one after it", |update| match update {
        Update::Event(event, _) => Some(event.seq),
        _ => None,
    });
    assert_eq!(seq.await, Seq(2));
    assert_eq!(node.state().connections, 1);
}

#[tokio::test]
async fn a_room_that_was_left_is_told_of_no_more() {
    let node = Node::start(Faults::default()).await;
    let (one, other) = (RoomId::from_raw(1), RoomId::from_raw(2));
    let (client, mut updates) = node.client(Format::Json).await;
    for room in [one, other] {
        client.subscribe(room, None, Mode::Live).await.expect("a room");
    }
    client.unsubscribe(one).await.expect("followed");
    node.state().everywhere(&crate::node::Out::Cut);
    node.until("the second connection", |state| state.connections == 2 && state.lines.len() == 1).await;
    post(&node, one, "unseen");
    post(&node, other, "seen");
    let room = next(&mut updates, "an event", |update| match update {
        Update::Event(event, _) => Some(event.room),
        _ => None,
    });
    assert_eq!(room.await, other);
}
