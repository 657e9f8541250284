//! The log of a node: levels by module that change while it runs, lines for people or for programs, and never what
//! people wrote or what signs them in.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use hubbub_tests::{
    Node, canary, program,
    raw::{Raw, frame, get},
};
use serde_json::{Value, json};

/// What every secret of these tests has in it.
const CANARY: &str = "canary-of-";

/// Waits until the log has `what`.
async fn until_logged(node: &Node, what: &str) {
    until_logged_again(node, what, 1).await;
}

/// Waits until the log has `what` so many times.
async fn until_logged_again(node: &Node, what: &str, times: usize) {
    let begun = Instant::now();
    while node.log().matches(what).count() < times {
        assert!(begun.elapsed() < Duration::from_secs(20), "no {what} in {}", node.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every request there is, with a secret wherever a client may put a text.
fn requests(room: &str, token: &str) -> Vec<Value> {
    let (text, key) = (format!("{CANARY}a-text"), "00000000-0000-4000-8000-000000000001");
    vec![
        json!({"op": "heartbeat"}),
        json!({"op": "reauth", "token": token}),
        json!({"op": "reauth", "token": format!("{CANARY}a-token")}),
        json!({"op": "subscribe", "room": room}),
        json!({"op": "send", "room": room, "key": key, "text": text}),
        json!({"op": "send", "room": room, "key": key, "text": text, "retry": true}),
        json!({"op": "send", "room": text, "key": text, "text": {"canary": text}}),
        json!({"op": "send", "room": room, "key": key, "text": text.repeat(600)}),
        json!({"op": "edit", "room": room, "seq": 3, "text": format!("{text}, mended")}),
        json!({"op": "edit", "room": room, "seq": 999, "text": text}),
        json!({"op": "react", "room": room, "seq": 3, "emoji": text}),
        json!({"op": "unreact", "room": room, "seq": 3, "emoji": "👍"}),
        json!({"op": "pin", "room": room, "seq": 3}),
        json!({"op": "unpin", "room": room, "seq": 3}),
        json!({"op": "history", "room": room, "around": 3}),
        json!({"op": "history", "room": room, "before": text}),
        json!({"op": "thread", "room": room, "seq": 3, "title": text}),
        json!({"op": "typing", "room": room}),
        json!({"op": "read", "room": room, "seq": 3}),
        json!({"op": "presence", "status": "dnd", "text": text}),
        json!({"op": "watch", "users": [text]}),
        json!({"op": "delete", "room": room, "seq": 3, "reason": text}),
        json!({"op": "unsubscribe", "room": room}),
        json!({"op": text, "room": room}),
    ]
}

/// Asks for everything by REST that may carry a secret: in a path, a query, a header, a body.
async fn asks_by_rest(node: &Node, room: &str, token: &str) {
    let client = reqwest::Client::new();
    let (url, text) = (node.url(), format!("{CANARY}a-text"));
    let bodies = [
        ("POST", "/v1/auth/login".to_owned(), json!({"name": "ada", "password": format!("{CANARY}a-password")})),
        ("POST", "/v1/auth/register".to_owned(), json!({"name": "bob", "password": format!("{CANARY}a-password")})),
        ("POST", "/v1/auth/refresh".to_owned(), json!({"refresh_token": format!("{CANARY}a-token")})),
        ("POST", "/v1/setup".to_owned(), json!({"token": format!("{CANARY}a-token"), "password": text})),
        ("POST", format!("/v1/rooms/{room}/messages"), json!({"text": text, "key": text})),
        ("GET", format!("/v1/invites/{CANARY}an-invite"), Value::Null),
        ("POST", format!("/v1/invites/{CANARY}an-invite"), json!({})),
        ("GET", format!("/v1/{CANARY}a-path?token={CANARY}a-query"), Value::Null),
        ("PUT", "/v1/admin/log-level".to_owned(), json!({"filter": text})),
    ];
    for (method, path, body) in bodies {
        for bearer in [token, "canary-of-a-bearer"] {
            let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
            let asked = client.request(method, format!("{url}{path}")).bearer_auth(bearer).json(&body);
            let answer = asked.send().await.expect("answered");
            assert!(answer.status().as_u16() < 500, "{path}: {}", answer.status());
        }
    }
    let broken = client.post(format!("{url}/v1/auth/login")).header("content-type", "application/json");
    let answer = broken.body(format!("{{\"password\": \"{CANARY}broken")).send().await.expect("answered");
    assert_eq!(answer.status(), 400);
    let _: (String, String) =
        get(&format!("127.0.0.1:{}", node.port()), "/v1/users/me", "Cookie: hubbub_access=canary-of-a-cookie");
}

#[tokio::test]
async fn no_request_of_any_kind_brings_what_people_wrote_or_what_signs_them_in_into_the_log() {
    for format in ["human", "json"] {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("hubbub.toml");
        std::fs::write(&file, format!("log.format = \"{format}\"\n")).expect("a writable folder");
        let mut node = Node::logging(canary::ALL_LEVELS, &["--config", &file.display().to_string()]);
        let ada = node.person("ada").await;
        let community = ada.rest.create_community("testers", true).await.expect("anyone may");
        let room = ada.rest.create_room(community.id, "general", false).await.expect("its owner may");
        let (room, token) = (room.id.to_string(), ada.signed.access_token.clone());
        let mut raw = Raw::greeted(&node);
        let session = raw.identify(&ada);
        for (id, mut request) in (10..).zip(requests(&room, &token)) {
            request["id"] = id.into();
            raw.ask(&request);
            raw.answer(id);
        }
        asks_by_rest(&node, &room, &token).await;
        let mut back = Raw::greeted(&node);
        back.ask(&json!({"id": 2, "op": "resume", "token": token, "session": session, "cursors": {}}));
        assert!(back.answer(2)["ok"].is_object());
        let mut strangers = [Raw::greeted(&node), Raw::greeted(&node)];
        strangers[0]
            .ask(&json!({"id": 1, "op": "identify", "token": "canary-of-a-token", "device": "canary-of-a-device"}));
        strangers[1].send(&frame(0x81, b"canary-of-a-frame"));
        assert!(strangers.iter_mut().all(|raw| raw.code().is_some()), "both are sent away");
        // Told when it is stopped, so all of it has been read by then.
        assert_eq!(node.stop(), Some(0));
        until_logged(&node, "stopped").await;
        let log = node.log();
        for told in ["send", "resume", "NotFound", "client"] {
            assert!(log.contains(told), "nothing was logged of {told}: {log}");
        }
        for secret in [CANARY, &token, &ada.signed.refresh_token, &session, hubbub_tests::PASSWORD] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret is in the log");
        }
        if format == "json" {
            let lines =
                log.lines().filter(|line| !line.starts_with("listening on") && !line.starts_with("make the owner"));
            for line in lines {
                let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                assert!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string());
            }
        }
    }
}

fn log_level(node: &Node, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = node.folder().display().to_string();
    let done = Command::new(program()).args(["log-level", "--data-dir", &folder]).args(arguments).output();
    let Output { status, stdout, stderr } = done.expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn levels_are_changed_while_the_node_runs_and_a_slip_of_the_pen_changes_nothing() {
    let mut node = Node::logging("info", &[]);
    assert_eq!(log_level(&node, &[]), (Some(0), "info".to_owned(), String::new()));
    let ada = node.person("ada").await;
    drop(Raw::identified(&node, &ada));
    let (code, shown, told) = log_level(&node, &["info,hubbub=trace"]);
    assert_eq!((code, shown.as_str()), (Some(0), "info,hubbub=trace"));
    assert!(told.contains("--reset") && told.contains("started with info"), "{told}");
    until_logged(&node, "the levels of the log have changed").await;
    drop(Raw::identified(&node, &ada));
    until_logged(&node, " TRACE ").await;
    let (code, shown, told) = log_level(&node, &["inof"]);
    assert_eq!((code, shown.as_str()), (Some(2), ""));
    assert!(told.contains("`inof` is no level") && told.contains("info,hubbub_actors=debug"), "{told}");
    let shown: Value = serde_json::from_str(&log_level(&node, &["--json"]).1).expect("JSON");
    assert_eq!(shown, json!({"filter": "info,hubbub=trace", "configured": "info"}));
    assert_eq!(log_level(&node, &["--reset"]), (Some(0), "info".to_owned(), String::new()));
    until_logged_again(&node, "the levels of the log have changed", 2).await;
    let quiet = node.log().matches(" TRACE ").count();
    drop(Raw::identified(&node, &ada));
    assert_eq!(node.stop(), Some(0));
    until_logged(&node, "stopped").await;
    assert_eq!(node.log().matches(" TRACE ").count(), quiet, "they are as they were");
    let (code, _, told) = log_level(&node, &[]);
    assert_eq!(code, Some(3), "{told}");
}
