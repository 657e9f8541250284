//! The upgrade, as it goes over the wire: who is let in, who is told why not, and that nothing sent
//! early is lost.

use hubbub_tests::{
    Node,
    raw::{Raw, Said, asking, upgrade},
};
use serde_json::{Value, json};

fn refused(node: &Node, change: (&str, &str)) -> (String, Value) {
    let head = upgrade(node, "hubbub.v1.json").replacen(change.0, change.1, 1);
    assert!(!head.contains(change.0) || change.1.contains(change.0), "the change was made: {change:?}");
    let mut raw = Raw::silent(node);
    raw.send(head.as_bytes());
    let head = raw.head();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let length = length.and_then(|length| length.parse().ok()).expect("a refusal has a length");
    (head, serde_json::from_slice(&raw.body(length)).expect("a refusal is JSON"))
}

#[tokio::test]
async fn an_upgrade_that_is_not_ours_is_refused_in_the_documented_shape() {
    let node = Node::fresh(&[]);
    let cases = [
        (("Upgrade: websocket\r\n", ""), "400", "bad_request"),
        (("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), "400", "bad_request"),
        (("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400", "bad_request"),
        (("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400", "bad_request"),
        (("Sec-WebSocket-Protocol: hubbub.v1.json\r\n", ""), "400", "bad_request"),
        (("hubbub.v1.json", "hubbub.v2.json, chat"), "400", "bad_request"),
        (("Upgrade: websocket", "Origin: https://evil.example\r\nUpgrade: websocket"), "403", "forbidden"),
    ];
    for (change, status, code) in cases {
        let (head, body) = refused(&node, change);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{change:?}: {head}");
        assert_eq!(body["error"]["code"], code, "{change:?}");
        assert_eq!(body["error"]["retryable"], false, "{change:?}");
    }
}

#[tokio::test]
async fn our_own_page_is_let_in() {
    let node = Node::fresh(&[]);
    let origin = format!("Origin: {}\r\nUpgrade: websocket", node.url());
    let mut raw = Raw::silent(&node);
    raw.send(upgrade(&node, "hubbub.v1.json").replacen("Upgrade: websocket", &origin, 1).as_bytes());
    let head = raw.head();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_ascii_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    raw.hello();
}

#[tokio::test]
async fn what_comes_in_one_piece_with_the_upgrade_is_read() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let mut all = upgrade(&node, "hubbub.v1.json").into_bytes();
    all.extend(asking(&json!({"id": 1, "op": "identify", "token": person.signed.access_token, "device": "raw"})));
    all.extend(asking(&json!({"id": 2, "op": "heartbeat"})));
    let mut raw = Raw::silent(&node);
    raw.send(&all);
    assert!(raw.head().starts_with("HTTP/1.1 101"));
    raw.hello();
    // Answers come as they are ready, in any order.
    let mut answered = [false; 2];
    while answered != [true; 2] {
        let Said::Json(said) = raw.hear() else { panic!("the connection ended") };
        answered[0] |= said["re"] == 1 && said["ok"]["session"].is_string();
        answered[1] |= said["re"] == 2 && said["ok"]["time"].is_string();
    }
}

#[tokio::test]
async fn the_first_subprotocol_we_know_decides_the_format() {
    let node = Node::fresh(&[]);
    let mut raw = Raw::connect(&node, "chat, hubbub.v1.msgpack, hubbub.v1.json");
    let Said::Binary(hello) = raw.hear() else { panic!("no binary hello") };
    assert_eq!(hello[0] & 0xF0, 0x80, "a map");
    assert!(hello.windows(5).any(|five| five == b"hello"));
}
