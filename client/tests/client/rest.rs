//! Holes are filled over HTTP at the same address, with tokens that are renewed when the node asks for it.

use std::sync::Arc;

use hubbub_client::{Account, Client, Config, TokenSource, rest::Rest};
use hubbub_protocol::{
    frame::Format,
    ids::{MessageKey, RoomId, Seq},
    op::Mode,
    rest::SignedIn,
};
use serde_json::json;
use uuid::Uuid;

use crate::node::{Faults, Node, assert_whole, read_to};

const ROOM: RoomId = RoomId::from_raw(1);

fn signed_in() -> SignedIn {
    let user = json!({"id": "0000000000009", "name": "ada", "display": "Ada", "avatar": null, "created_at": "2026-11-22T12:00:00.000Z"});
    let tokens = json!({"user": user, "access_token": "stale", "refresh_token": "first", "expires_in": 900});
    serde_json::from_value(tokens).expect("the shape of the contract")
}

async fn node_with_a_long_log() -> Node {
    let node = Node::start(Faults { replay_max: 1, no_page: 0.2, ..Faults::default() }).await;
    for at in 0..350 {
        node.state().post(ROOM, MessageKey(Uuid::now_v7()), &at.to_string());
    }
    node
}

#[tokio::test]
async fn what_is_missing_is_fetched_from_the_node_itself() {
    let node = node_with_a_long_log().await;
    let config = Config { backfill: None, ..node.config(Format::MessagePack) };
    let (client, mut updates) = Client::connect(config).await.expect("the node is there");
    client.subscribe(ROOM, Some(Seq(0)), Mode::Live).await.expect("a room");
    let heads = node.state().heads();
    assert_whole(&read_to(&mut updates, &heads).await, &node);
}

#[tokio::test]
async fn an_account_renews_the_token_that_a_fetch_was_refused_with() {
    let node = node_with_a_long_log().await;
    let account = Arc::new(Account::new(Rest::new(node.url()), signed_in()));
    let config = Config { backfill: None, token: account.clone(), ..node.config(Format::Json) };
    let (client, mut updates) = Client::connect(config).await.expect("the node is there");
    node.state().bad_tokens.insert("stale".into(), 4005);
    client.subscribe(ROOM, Some(Seq(0)), Mode::Live).await.expect("a room");
    let heads = node.state().heads();
    assert_whole(&read_to(&mut updates, &heads).await, &node);
    assert_eq!(account.token().await, Ok("fresh".into()));
    assert_eq!(account.signed_in().await.refresh_token, "next");
}
