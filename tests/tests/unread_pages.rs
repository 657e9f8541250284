//! A client that asks for as much history as it may and reads none of it costs the node one page.

use std::time::Duration;

use hubbub_protocol::ids::RoomId;
use hubbub_tests::{
    Node, Person,
    raw::{Raw, Said, asking},
};
use serde_json::{Value, json};
use uuid::Uuid;

async fn room_of(owner: &Person) -> RoomId {
    let community = owner.rest.create_community("c", true).await.expect("anyone may");
    owner.rest.rooms(community.id).await.expect("one's own")[0].id
}

/// Sends a text by the socket; the whole answer.
fn send(raw: &mut Raw, room: RoomId, key: Uuid, text: &str) -> Value {
    raw.ask(&json!({"id": 9, "op": "send", "room": room, "key": key, "text": text, "retry": true}));
    raw.answer(9)
}

fn next_answer(raw: &mut Raw) -> Value {
    loop {
        match raw.hear() {
            Said::Json(value) if value["re"].is_u64() => return value,
            Said::Json(_) => {}
            other => panic!("no answer but {other:?}"),
        }
    }
}

#[tokio::test]
async fn who_asks_for_many_pages_and_reads_none_costs_one_page_at_a_time() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let room = room_of(&person).await;
    let mut raw = Raw::identified(&node, &person);
    // Each of these characters has four bytes, and a page of them 3 MB.
    let text = "\u{1F600}".repeat(7_900);
    for _ in 0..100 {
        assert!(send(&mut raw, room, Uuid::now_v7(), &text)["ok"]["seq"].is_u64());
    }
    let before = node.memory_bytes();
    // What its system takes in, a few pages, is not the node's memory.
    let mut lazy = Raw::identified(&node, &person);
    let pages: Vec<u8> =
        (100..132).flat_map(|id| asking(&json!({"id": id, "op": "history", "room": room, "limit": 100}))).collect();
    lazy.send(&pages);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = node.memory_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "32 pages of 3 MB are 100 MB; what waits is one of them, not {grown} bytes");
    for _ in 100..132 {
        let messages = &next_answer(&mut lazy)["ok"]["messages"];
        assert_eq!(messages.as_array().map(Vec::len), Some(100), "each page comes whole once it is read");
    }
}
