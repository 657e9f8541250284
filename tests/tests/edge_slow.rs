//! Clients who do not read: they lose nothing without being told, nobody waits for them, and they cost
//! the node a bounded amount of memory.

use std::time::{Duration, Instant};

use hubbub_protocol::ids::{MessageKey, RoomId};
use hubbub_tests::{
    Node, Person,
    raw::{Raw, Said, asking, upgrade},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// What the systems on both sides keep for a connection at most, and then some.
const SYSTEM_BYTES: usize = 6 * 1024 * 1024;
/// Characters of the texts that are sent to fill queues.
const LONG: usize = 7_000;

async fn room_of(owner: &Person) -> RoomId {
    let community = owner.rest.create_community("c", true).await.expect("anyone may");
    owner.rest.rooms(community.id).await.expect("one's own")[0].id
}

async fn who_does_not_read(node: &Node, person: &Person) -> Raw {
    let mut raw = Raw::narrow(node).await;
    raw.send(upgrade(node, "hubbub.v1.json").as_bytes());
    assert!(raw.head().starts_with("HTTP/1.1 101"));
    raw.hello();
    raw.identify(person);
    raw
}

fn follow(raw: &mut Raw, room: RoomId) {
    raw.ask(&json!({"id": 2, "op": "subscribe", "room": room, "after": 0}));
    assert!(raw.answer(2)["ok"]["head"].is_u64());
}

/// Sends `count` long messages, a few at a time; returns the seq of the last.
fn fill(raw: &mut Raw, room: RoomId, count: usize) -> u64 {
    let text = "x".repeat(LONG);
    let mut last = 0;
    for first in (0..count).step_by(16) {
        let ids = first..count.min(first + 16);
        for id in ids.clone() {
            let key = Uuid::now_v7();
            raw.ask(&json!({"id": id + 100, "op": "send", "room": room, "key": key, "text": text}));
        }
        for id in ids {
            last = raw.answer(id as u64 + 100)["ok"]["seq"].as_u64().expect("sent");
        }
    }
    last
}

/// Reads events of a room until `head` is covered; returns how many events came, and how many gaps.
fn cover(raw: &mut Raw, room: RoomId, head: u64) -> (u64, u64) {
    let (mut covered, mut events, mut gaps) = (0, 0, 0);
    while covered < head {
        let push = match raw.hear() {
            Said::Json(push) if push["room"] == room.to_string() => push,
            Said::Json(_) => continue,
            other => panic!("{other:?} after {covered} of {head}"),
        };
        let (from, to) = match push["ev"].as_str() {
            Some("room") => (&push["seq"], &push["seq"]),
            Some("gap") => (&push["from"], &push["to"]),
            _ => continue,
        };
        assert_eq!(from.as_u64(), Some(covered + 1), "{}", push["ev"]);
        covered = to.as_u64().expect("a seq");
        if from == to { events += 1 } else { gaps += 1 }
    }
    assert_eq!(covered, head);
    (events, gaps)
}

#[tokio::test]
async fn who_does_not_read_is_told_what_was_left_out_and_holds_nobody_up() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let room = room_of(&person).await;
    let mut slow = who_does_not_read(&node, &person).await;
    follow(&mut slow, room);
    let mut sender = Raw::identified(&node, &person);
    let count = SYSTEM_BYTES / LONG + 200;
    let begun = Instant::now();
    let head = fill(&mut sender, room, count);
    assert_eq!(head, count as u64);
    assert!(begun.elapsed() < Duration::from_secs(25), "sending took {:?}", begun.elapsed());
    let (events, gaps) = cover(&mut slow, room, head);
    assert!(gaps > 0, "{events} events came and nothing was left out: the queue has no bound");
    let later = fill(&mut sender, room, 3);
    assert_eq!(slow_seqs(&mut slow, 3), (head + 1..=later).collect::<Vec<_>>(), "it goes on as before");
}

fn slow_seqs(raw: &mut Raw, count: usize) -> Vec<u64> {
    (0..count).map(|_| raw.push("room")["seq"].as_u64().expect("a seq")).collect()
}

#[tokio::test]
async fn who_lets_answers_lie_is_not_read_from_until_they_are_taken() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let room = room_of(&person).await;
    for _ in 0..60 {
        let text = "y".repeat(8_000);
        person.rest.send_message(room, MessageKey(Uuid::now_v7()), &text).await.expect("its owner may");
    }
    let mut greedy = who_does_not_read(&node, &person).await;
    let before = node.memory_bytes();
    // Each wave asks for fifteen megabytes.
    let waves = 20_u64;
    for wave in 0..waves {
        for id in 0..32 {
            let request = json!({"id": 1_000 + wave * 32 + id, "op": "history", "room": room, "limit": 60});
            greedy.send(&asking(&request));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let grown = node.memory_bytes().saturating_sub(before);
    assert!(grown < 100 * 1024 * 1024, "grew by {grown} bytes");
    let mut answered = 0;
    while answered < waves * 32 {
        match greedy.hear() {
            Said::Json(value) if value["re"].is_u64() => answered += 1,
            Said::Json(_) => {}
            other => panic!("{other:?} after {answered} answers"),
        }
    }
    greedy.ask(&json!({"id": 7, "op": "heartbeat"}));
    assert!(greedy.answer(7)["ok"]["time"].is_string());
}

#[tokio::test]
async fn who_never_reads_is_closed_after_half_a_minute() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let room = room_of(&person).await;
    let mut slow = who_does_not_read(&node, &person).await;
    follow(&mut slow, room);
    let mut sender = Raw::identified(&node, &person);
    fill(&mut sender, room, SYSTEM_BYTES / LONG + 200);
    tokio::time::sleep(Duration::from_secs(28)).await;
    sender.ask(&json!({"id": 5, "op": "heartbeat"}));
    assert!(sender.answer(5)["ok"]["time"].is_string());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = loop {
        match slow.hear() {
            Said::Json(Value::Object(push)) if push["ev"] == "gap" => panic!("it was kept"),
            Said::Json(_) => {}
            other => break other,
        }
    };
    // The close frame is tried, not promised.
    assert!(matches!(ended, Said::Close(4008) | Said::End), "{ended:?}");
}
