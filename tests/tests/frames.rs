//! What a client may do wrong, byte by byte: each gets the documented error or close code, and the
//! node's other people notice nothing.

use std::{process::Command, time::Duration};

use hubbub_tests::{
    Node, program,
    raw::{Raw, Said, frame},
};
use serde_json::{Value, json};

#[tokio::test]
async fn frames_that_cannot_be_answered_close_their_own_connection() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let mut witness = Raw::identified(&node, &person);
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("no JSON", frame(0x81, b"hello"), 4001),
        ("half a frame of JSON", frame(0x81, b"{\"id\":1,"), 4001),
        ("no id", frame(0x81, b"{\"op\":\"heartbeat\"}"), 4001),
        ("an id beyond u32", frame(0x81, b"{\"id\":4294967296,\"op\":\"heartbeat\"}"), 4001),
        ("no op", frame(0x81, b"{\"id\":1}"), 4001),
        ("a list", frame(0x81, b"[1,2]"), 4001),
        ("invalid UTF-8", frame(0x81, b"{\"id\":1,\"op\":\"\xff\"}"), 4001),
        ("a lone surrogate", frame(0x81, br#"{"id":1,"op":"send","text":"\ud800"}"#), 4001),
        ("binary on JSON", frame(0x82, b"{\"id\":1,\"op\":\"heartbeat\"}"), 4001),
        ("a frame beyond 64 KiB", frame(0x81, &vec![b' '; 65_537]), 4002),
        ("an op before identify", frame(0x81, b"{\"id\":1,\"op\":\"heartbeat\"}"), 4003),
        ("an unknown op before identify", frame(0x81, b"{\"id\":1,\"op\":\"dance\"}"), 4003),
        ("a forged token", frame(0x81, b"{\"id\":1,\"op\":\"identify\",\"token\":\"a.b.c\"}"), 4004),
        ("an unmasked frame", vec![0x81, 0x02, b'{', b'}'], 1002),
        ("a reserved opcode", frame(0x83, b"x"), 1002),
    ];
    for (name, bytes, code) in cases {
        let mut raw = Raw::greeted(&node);
        raw.send(bytes);
        assert_eq!(raw.code(), Some(*code), "{name}");
    }
    let session = json!({"id": 1, "op": "resume", "token": person.signed.access_token, "session": "made-up"});
    let mut raw = Raw::greeted(&node);
    raw.ask(&session);
    assert_eq!(raw.code(), Some(4007), "a session nobody began");
    witness.ask(&json!({"id": 9, "op": "heartbeat"}));
    assert!(witness.answer(9)["ok"]["time"].is_string(), "somebody else noticed");
}

#[tokio::test]
async fn what_can_be_answered_is_answered_with_the_documented_code() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let community = person.rest.create_community("c", true).await.expect("anyone may");
    let room = person.rest.rooms(community.id).await.expect("one's own")[0].id;
    let mut raw = Raw::identified(&node, &person);
    let key = "018cc251-f400-7000-8000-000000000001";
    let send = |text: &str| json!({"op": "send", "room": room, "key": key, "text": text});
    let cases = [
        (json!({"op": "identify", "token": person.signed.access_token}), "bad_request", Some("op")),
        (json!({"op": "dance"}), "bad_request", Some("op")),
        (json!({"op": "send", "room": 7}), "bad_request", Some("room")),
        (json!({"op": "send", "room": room, "text": "x"}), "bad_request", Some("key")),
        (json!({"op": "send", "room": room, "key": "x", "text": "x"}), "bad_request", Some("key")),
        (json!({"op": "send", "room": room, "key": key, "text": {"a": 1}}), "bad_request", Some("text")),
        (send(""), "empty", None),
        (send(" \u{3000}\n"), "empty", None),
        (send(&"a".repeat(8_001)), "too_long", None),
        (send("a\0b"), "bad_request", Some("text")),
        (json!({"op": "subscribe", "room": "0000000000000"}), "not_found", None),
        (json!({"op": "subscribe", "room": "nowhere"}), "not_found", None),
        (json!({"op": "edit", "room": room, "seq": 0, "text": "x"}), "not_found", None),
        (json!({"op": "edit", "room": room, "seq": 9_223_372_036_854_775_808_u64, "text": "x"}), "not_found", None),
        (json!({"op": "react", "room": room, "seq": 1, "emoji": "no emoji"}), "bad_request", Some("emoji")),
        (json!({"op": "history", "room": room, "before": 1, "after": 1}), "bad_request", Some("before")),
        (json!({"op": "history", "room": room, "limit": 101}), "bad_request", Some("limit")),
        (json!({"op": "reauth", "token": "a.b.c"}), "unauthorized", None),
    ];
    for (id, (mut request, code, field)) in (10..).zip(cases) {
        request["id"] = id.into();
        raw.ask(&request);
        let answer = raw.answer(id);
        assert_eq!(answer["error"]["code"], code, "{request}");
        assert!(answer["error"]["retryable"].is_boolean());
        if let Some(field) = field {
            assert_eq!(answer["error"]["field"], field, "{request}");
        }
    }
    for (id, text) in (100..).zip(["a".repeat(8_000), "\u{202e}right to left".into(), "\u{200b}zero".into()]) {
        let key = uuid::Uuid::now_v7();
        raw.ask(&json!({"id": id, "op": "send", "room": room, "key": key, "text": text}));
        let seq = raw.answer(id)["ok"]["seq"].as_u64().expect("sent");
        raw.ask(&json!({"id": id + 50, "op": "history", "room": room, "around": seq, "limit": 1}));
        assert_eq!(raw.answer(id + 50)["ok"]["messages"][0]["text"], text, "kept byte for byte");
    }
    raw.ask(&json!({"id": 300, "op": "subscribe", "room": room, "after": 1_u64 << 63}));
    assert_eq!(raw.answer(300)["ok"]["gap"], true, "a cursor beyond the head");
}

#[tokio::test]
async fn a_silent_client_is_closed_and_a_late_one_too() {
    let node = Node::fresh(&["--heartbeat-ms", "300"]);
    let person = node.person("ada").await;
    let mut silent = Raw::identified(&node, &person);
    assert_eq!(silent.code(), Some(4009));
    let mut late = Raw::greeted(&node);
    assert_eq!(late.code(), Some(4003));
}

#[tokio::test]
async fn an_expired_token_is_told_apart_from_a_bad_one() {
    let node = Node::fresh(&["--access-ttl", "1"]);
    let person = node.person("ada").await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut raw = Raw::greeted(&node);
    raw.ask(&json!({"id": 1, "op": "identify", "token": person.signed.access_token}));
    assert_eq!(raw.code(), Some(4005));
}

#[tokio::test]
async fn signing_out_elsewhere_and_resuming_twice_close_the_older_connection() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let mut first = Raw::greeted(&node);
    first.ask(&json!({"id": 1, "op": "identify", "token": person.signed.access_token}));
    let session = first.answer(1)["ok"]["session"].as_str().expect("a session").to_owned();
    let mut second = Raw::greeted(&node);
    let resume = json!({"id": 1, "op": "resume", "token": person.signed.access_token, "session": session});
    second.ask(&resume);
    assert_eq!(second.answer(1)["ok"]["session"], session);
    assert_eq!(first.code(), Some(4011));
    person.rest.post::<Value>("/v1/auth/logout", &json!({})).await.expect_err("answers nothing to read");
    assert_eq!(second.code(), Some(4010));
    let mut third = Raw::greeted(&node);
    third.ask(&resume);
    assert_eq!(third.code(), Some(4004), "a signed-out session's token is refused");
}

#[tokio::test]
async fn a_flood_of_requests_is_answered_one_by_one_and_memory_stays() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let community = person.rest.create_community("c", true).await.expect("anyone may");
    let room = person.rest.rooms(community.id).await.expect("one's own")[0].id;
    let before = node.memory_bytes();
    let mut raw = Raw::identified(&node, &person);
    let mut burst = Vec::new();
    for id in 2..=2_001 {
        let request = json!({"id": id, "op": "history", "room": room, "limit": 1});
        burst.extend(frame(0x81, request.to_string().as_bytes()));
    }
    raw.send(&burst);
    let (mut served, mut limited) = (0, 0);
    while served + limited < 2_000 {
        match raw.hear() {
            Said::Json(value) if value["ok"].is_object() => served += 1,
            Said::Json(value) if value["error"]["code"] == "rate_limited" => {
                assert_eq!(value["error"]["retryable"], true);
                limited += 1;
            }
            Said::Json(_) => {}
            other => panic!("the connection ended: {other:?}"),
        }
    }
    assert!(limited > 0, "two thousand at once are more than 32 in flight");
    let grown = node.memory_bytes().saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "grew by {grown} bytes");
}

#[test]
fn a_second_node_over_the_same_data_is_refused_in_one_sentence() {
    let node = Node::fresh(&[]);
    let folder = node.folder().display().to_string();
    let second = Command::new(program())
        .args(["serve", "--data-dir", &folder, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(6), "{said}");
    assert!(said.contains("in use by process") && said.contains(&node.pid().to_string()), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
