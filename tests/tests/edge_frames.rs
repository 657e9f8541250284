//! Frames as other programs send them: cut, in fragments, between pings, in both formats.

use hubbub_protocol::{frame::Format, op::Op};
use hubbub_tests::{
    Node,
    raw::{Raw, Said, asking, frame},
};
use serde_json::json;

#[tokio::test]
async fn a_request_is_read_however_it_is_cut() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let mut raw = Raw::identified(&node, &person);
    for byte in asking(&json!({"id": 2, "op": "heartbeat"})) {
        raw.send(&[byte]);
    }
    assert!(raw.answer(2)["ok"]["time"].is_string());
    let request = json!({"id": 3, "op": "heartbeat"}).to_string();
    let (one, rest) = request.as_bytes().split_at(7);
    let (two, three) = rest.split_at(1);
    raw.send(&frame(0x01, one));
    raw.send(&frame(0x89, b"are you there?"));
    raw.send(&[frame(0x00, two), frame(0x80, three)].concat());
    assert_eq!(raw.hear(), Said::Pong(b"are you there?".to_vec()));
    assert!(raw.answer(3)["ok"]["time"].is_string());
}

#[tokio::test]
async fn a_goodbye_is_answered_and_the_connection_ends() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let mut raw = Raw::identified(&node, &person);
    raw.send(&frame(0x88, &1_000_u16.to_be_bytes()));
    assert_eq!(raw.hear(), Said::Close(1_000));
    assert_eq!(raw.hear(), Said::End);
}

#[tokio::test]
async fn both_formats_carry_the_same_conversation() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let mut raw = Raw::connect(&node, "hubbub.v1.msgpack");
    let hear = |raw: &mut Raw| match raw.hear() {
        Said::Binary(payload) => Format::MessagePack.read(&payload).expect("MessagePack"),
        other => panic!("no binary message but {other:?}"),
    };
    assert_eq!(hear(&mut raw)["ev"], "hello");
    let identify = json!({"id": 1, "op": "identify", "token": person.signed.access_token, "device": "raw"});
    raw.send(&frame(0x82, &Format::MessagePack.write(&identify)));
    assert_eq!(hear(&mut raw)["ok"]["user"]["id"], person.signed.user.id.to_string());
    raw.send(&frame(0x82, &Format::MessagePack.write(&Op::Heartbeat.to_json(2))));
    assert!(hear(&mut raw)["ok"]["time"].is_string());
    raw.send(&asking(&Op::Heartbeat.to_json(3)));
    assert_eq!(raw.code(), Some(4001), "text on MessagePack");
}

#[tokio::test]
async fn fragments_that_grow_beyond_the_limit_are_refused() {
    let node = Node::fresh(&[]);
    let mut raw = Raw::greeted(&node);
    raw.send(&frame(0x01, &[b' '; 40_000]));
    raw.send(&frame(0x80, &[b' '; 40_000]));
    assert_eq!(raw.code(), Some(4002));
    let mut raw = Raw::greeted(&node);
    // Sixteen exbibytes are announced; nothing is reserved for them.
    raw.send(&[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
    assert_eq!(raw.code(), Some(4002));
}
