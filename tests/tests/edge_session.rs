//! A connection's session: its token is renewed or runs out, and it is told when the node goes away.

use std::time::{Duration, Instant};

use hubbub_tests::{Node, PASSWORD, raw::Raw};
use serde_json::{Value, json};

fn reauth(raw: &mut Raw, id: u64, token: &str) -> Value {
    raw.ask(&json!({"id": id, "op": "reauth", "token": token}));
    raw.answer(id)
}

#[tokio::test]
async fn only_a_token_of_the_same_session_renews_it() {
    let node = Node::fresh(&[]);
    let (ada, bob) = (node.person("ada").await, node.person("bob").await);
    let mut raw = Raw::identified(&node, &ada);
    let elsewhere = node.rest().login("ada", PASSWORD).await.expect("her password");
    for (id, token) in [(10, &bob.signed.access_token), (11, &elsewhere.access_token)] {
        assert_eq!(reauth(&mut raw, id, token)["error"]["code"], "unauthorized");
    }
    let fresh = node.rest().refresh(&ada.signed.refresh_token).await.expect("her token");
    assert!(reauth(&mut raw, 12, &fresh.access_token)["ok"].is_object());
}

#[tokio::test]
async fn a_token_that_ran_out_ends_the_connection_a_minute_later_unless_a_new_one_comes() {
    let node = Node::fresh(&["--access-ttl", "2"]);
    let (ada, bob) = (node.person("ada").await, node.person("bob").await);
    let begun = Instant::now();
    let mut forgetful = Raw::identified(&node, &ada);
    let mut careful = Raw::identified(&node, &bob);
    let heartbeat = |raw: &mut Raw, id: u64| {
        raw.ask(&json!({"id": id, "op": "heartbeat"}));
        raw.answer(id)["ok"]["time"].is_string()
    };
    tokio::time::sleep(Duration::from_secs(25)).await;
    let fresh = node.rest().refresh(&bob.signed.refresh_token).await.expect("his token");
    assert!(reauth(&mut careful, 2, &fresh.access_token)["ok"].is_object(), "late, and in time");
    assert!(heartbeat(&mut forgetful, 2));
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert!(heartbeat(&mut forgetful, 3) && heartbeat(&mut careful, 3));
    assert_eq!(forgetful.code(), Some(4005));
    let after = begun.elapsed().as_secs();
    assert!((58..=66).contains(&after), "closed after {after} s");
    assert!(heartbeat(&mut careful, 4));
}

#[tokio::test]
async fn a_node_that_goes_away_says_so_to_everyone_and_ends_at_once() {
    let mut node = Node::fresh(&[]);
    let ada = node.person("ada").await;
    let mut identified = Raw::identified(&node, &ada);
    let mut greeted = Raw::greeted(&node);
    let begun = Instant::now();
    assert_eq!(node.stop(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "took {took:?}");
    for raw in [&mut identified, &mut greeted] {
        let after_ms = raw.push("reconnect")["after_ms"].as_u64().expect("a time");
        assert!((500..=2_000).contains(&after_ms), "{after_ms}");
        assert_eq!(raw.code(), Some(4012));
    }
}
