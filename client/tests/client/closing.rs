//! Each close code has its remedy, and none of them costs an event.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hubbub_client::{Client, Config, RequestError, TokenSource, Update};
use hubbub_protocol::{
    frame::Format,
    ids::{MessageKey, RoomId, Seq},
    op::Mode,
};
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

use crate::node::{Faults, Node, Out, assert_whole, next, read_to};

const ROOM: RoomId = RoomId::from_raw(1);

fn post(node: &Node) {
    node.state().post(ROOM, MessageKey(Uuid::now_v7()), "hi");
}

#[tokio::test]
async fn after_every_code_that_is_no_last_word_the_client_comes_back_and_misses_nothing() {
    for code in [1000, 1001, 1011, 4001, 4002, 4003, 4005, 4008, 4009, 4012, 4321] {
        let node = Node::start(Faults::default()).await;
        let (client, mut updates) = node.client(Format::Json).await;
        client.subscribe(ROOM, Some(Seq(0)), Mode::Live).await.expect("a room");
        post(&node);
        node.state().everywhere(&Out::Close(code));
        post(&node);
        node.until("the second connection", |state| state.connections >= 2).await;
        post(&node);
        let heads = node.state().heads();
        assert_whole(&read_to(&mut updates, &heads).await, &node);
        assert_eq!(node.state().count("identify"), 1, "{code}");
        assert!(node.state().count("resume") >= 1, "{code}");
    }
}

#[tokio::test]
async fn a_session_that_the_node_forgot_is_begun_anew_with_its_rooms_and_cursors() {
    let node = Node::start(Faults::default()).await;
    let (client, mut updates) = node.client(Format::Json).await;
    client.subscribe(ROOM, Some(Seq(0)), Mode::Live).await.expect("a room");
    client.subscribe(RoomId::from_raw(2), None, Mode::Unread).await.expect("a room");
    (0..3).for_each(|_| post(&node));
    let first = next(&mut updates, "the third event", |update| match update {
        Update::Event(event, _) => (event.seq == Seq(3)).then_some(event.seq),
        _ => None,
    });
    assert_eq!(first.await, Seq(3));
    node.state().sessions.clear();
    node.state().everywhere(&Out::Cut);
    post(&node);
    node.until("both rooms again", |state| state.count("subscribe") == 4).await;
    post(&node);
    for wanted in [4, 5] {
        let seq = next(&mut updates, "what was missed", |update| match update {
            Update::Event(event, _) => Some(event.seq),
            _ => None,
        });
        assert_eq!(seq.await, Seq(wanted));
    }
    let asked = node.state().asked.clone();
    let again: Vec<_> = asked.iter().filter(|asked| asked["op"] == "subscribe").skip(2).collect();
    assert!(again.iter().any(|asked| asked["after"] == json!(3)));
    assert!(again.iter().any(|asked| asked["mode"] == "unread"));
    assert_eq!(node.state().count("identify"), 2);
}

#[tokio::test]
async fn the_last_words_end_the_client_and_everyone_who_asks() {
    for code in [4004, 4010, 4011] {
        let node = Node::start(Faults::default()).await;
        let (client, mut updates) = node.client(Format::Json).await;
        node.state().everywhere(&Out::Close(code));
        let ended = next(&mut updates, "the end", |update| match update {
            Update::Ended(code) => Some(code),
            _ => None,
        });
        assert_eq!(ended.await, code);
        assert_eq!(updates.next().await, None);
        assert_eq!(client.send(ROOM, "hi", None).await, Err(RequestError::Ended(code)));
        assert_eq!(node.state().connections, 1);
    }
}

#[tokio::test]
async fn a_refused_token_ends_the_first_connection() {
    let node = Node::start(Faults::default()).await;
    node.state().bad_tokens.insert("token".into(), 4004);
    let refused = Client::connect(node.config(Format::Json)).await.map(drop);
    assert_eq!(refused, Err(RequestError::Ended(4004)));
}

#[tokio::test]
async fn a_node_that_is_not_there_is_tried_for_as_long_as_an_answer_may_take() {
    let answer_within = Duration::from_millis(200);
    let config = Config { answer_within, ..Config::new("http://127.0.0.1:1", "token") };
    assert_eq!(Client::connect(config).await.map(drop), Err(RequestError::Late));
}

/// Gives `old` until it is told that it has expired.
#[derive(Debug)]
struct Changing(Mutex<&'static str>);

#[async_trait]
impl TokenSource for Changing {
    async fn token(&self) -> Result<String, RequestError> {
        Ok((*self.0.lock().await).to_owned())
    }

    async fn expired(&self, token: &str) {
        assert_eq!(token, "old");
        *self.0.lock().await = "new";
    }
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_the_session_goes_on() {
    let node = Node::start(Faults::default()).await;
    let token = Arc::new(Changing(Mutex::new("old")));
    let (client, mut updates) =
        Client::connect(Config { token, ..node.config(Format::Json) }).await.expect("the node is there");
    client.subscribe(ROOM, Some(Seq(0)), Mode::Live).await.expect("a room");
    node.state().bad_tokens.insert("old".into(), 4005);
    node.state().everywhere(&Out::Close(4005));
    post(&node);
    let heads = node.state().heads();
    assert_whole(&read_to(&mut updates, &heads).await, &node);
    let resumed = node.state().asked.iter().rfind(|asked| asked["op"] == "resume").cloned();
    assert_eq!(resumed.expect("a resume")["token"], "new");
}

#[tokio::test]
async fn a_client_told_when_to_come_back_does_not_come_sooner() {
    let node = Node::start(Faults::default()).await;
    let (_client, mut updates) = node.client(Format::Json).await;
    let told = Instant::now();
    node.state().everywhere(&Out::Frame(json!({"ev": "reconnect", "after_ms": 400})));
    node.state().everywhere(&Out::Close(4012));
    next(&mut updates, "the loss", |update| (update == Update::Disconnected).then_some(())).await;
    next(&mut updates, "the return", |update| (update == Update::Connected).then_some(())).await;
    assert!(told.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_client_whose_handles_are_gone_says_goodbye() {
    let node = Node::start(Faults::default()).await;
    let (client, mut updates) = node.client(Format::Json).await;
    drop(client);
    node.until("the line to end", |state| state.lines.is_empty()).await;
    next(&mut updates, "the beginning", |update| (update == Update::Connected).then_some(())).await;
    assert_eq!(updates.next().await, None);
}
