//! A node that says nothing is left, one that is there hears from the client, and tokens stay fresh meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use hubbub_client::{Client, Config, RequestError, TokenSource, Update};
use hubbub_protocol::{
    frame::Format,
    ids::{MessageKey, RoomId, Seq},
    op::Mode,
};
use uuid::Uuid;

use crate::node::{Faults, Node, assert_whole, next, read_to};

const ROOM: RoomId = RoomId::from_raw(1);

#[tokio::test]
async fn a_node_that_falls_silent_is_left_and_what_it_kept_back_is_had() {
    let node = Node::start(Faults { heartbeat_ms: 100, ..Faults::default() }).await;
    let (client, mut updates) = node.client(Format::Json).await;
    client.subscribe(ROOM, Some(Seq(0)), Mode::Live).await.expect("a room");
    node.state().faults.mute = true;
    node.state().post(ROOM, MessageKey(Uuid::now_v7()), "kept back");
    next(&mut updates, "the loss", |update| (update == Update::Disconnected).then_some(())).await;
    node.state().faults.mute = false;
    let heads = node.state().heads();
    let silent = read_to(&mut updates, &heads);
    // The connection made meanwhile may have been muted as well; it is given up after 10 s.
    assert_whole(&silent.await, &node);
}

#[tokio::test]
async fn an_idle_client_beats_and_stays_connected() {
    let node = Node::start(Faults { heartbeat_ms: 60, ..Faults::default() }).await;
    let (_client, _updates) = node.client(Format::MessagePack).await;
    node.until("five heartbeats", |state| state.count("heartbeat") >= 5).await;
    assert_eq!(node.state().connections, 1);
}

/// Another token each time.
#[derive(Debug, Default)]
struct Counting(AtomicU32);

#[async_trait]
impl TokenSource for Counting {
    async fn token(&self) -> Result<String, RequestError> {
        Ok(format!("token {}", self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

#[tokio::test]
async fn a_fresh_token_is_handed_in_before_the_old_one_ends() {
    let node = Node::start(Faults { heartbeat_ms: 60, ..Faults::default() }).await;
    let config = Config { token: Arc::new(Counting::default()), ..node.config(Format::Json) };
    let (_client, _updates) = Client::connect(config).await.expect("the node is there");
    node.until("two fresh tokens", |state| state.count("reauth") >= 2).await;
    assert_eq!(node.state().connections, 1);
}

#[tokio::test]
async fn without_a_token_the_client_waits_and_asks_again() {
    /// None at first.
    #[derive(Debug, Default)]
    struct Slow(AtomicU32);

    #[async_trait]
    impl TokenSource for Slow {
        async fn token(&self) -> Result<String, RequestError> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0..3 => Err(RequestError::NoToken("not yet".into())),
                _ => Ok("token".into()),
            }
        }
    }

    let node = Node::start(Faults::default()).await;
    let config = Config { token: Arc::new(Slow::default()), ..node.config(Format::Json) };
    let connected = tokio::time::timeout(Duration::from_secs(5), Client::connect(config)).await;
    assert!(connected.expect("in time").is_ok());
}
