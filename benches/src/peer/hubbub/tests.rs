//! The adapter and the whole load generator against a tiny node that keeps the contract, or breaks it on purpose.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use self::fake::{FakeNode, Fault};
use super::*;
use crate::gather::{Gathering, gather};
use crate::load::{self, RunReport};
use crate::schedule::{Case, Timing};
use crate::server::Server;

const CASE: Case = Case { name: "test", rooms: 2, members_per_room: 3, senders: 4, messages_per_s: 200 };

/// A peer whose node is the fake; its measured process is one that sleeps.
async fn peer_of(node: &FakeNode) -> Arc<dyn Peer> {
    let mut sleeper = Command::new("sh");
    sleeper.args(["-c", "echo 'listening on http://x' >&2; exec sleep 60"]);
    let server = Server::start("sleeper", sleeper).await.expect("it listens");
    let data = TempDir::new().expect("a folder");
    let deployment = Deployment::of_one(server, node.address(), data);
    Arc::new(HubbubPeer::over("hubbub".to_owned(), deployment, None).expect("a peer"))
}

async fn run_against(fault: Fault) -> RunReport {
    let node = FakeNode::start(fault).await;
    let peer = peer_of(&node).await;
    let timing = Timing {
        warm_up: Duration::from_millis(100),
        window: Duration::from_millis(200),
        drain: Duration::from_millis(500),
    };
    let report = load::run(&peer, CASE, timing, 1).await.expect("the run ends");
    assert_eq!(node.members(), 6, "each member registered and joined the community");
    report
}

#[tokio::test]
async fn a_node_that_keeps_the_contract_has_a_clean_run() {
    let report = run_against(Fault::None).await;
    assert!(report.verdict.is_clean(), "{report:?}");
    assert_eq!((report.verdict.sent, report.verdict.received), (60, 180));
    assert_eq!((report.delivery.count, report.ack.count), (120, 40));
    assert_eq!(report.unsent, 0);
}

#[tokio::test]
async fn what_a_node_does_not_deliver_is_lost() {
    let verdict = run_against(Fault::LosesOne).await.verdict;
    assert_eq!((verdict.lost, verdict.faults.doubled), (1, 0));
}

#[tokio::test]
async fn what_a_node_delivers_twice_is_doubled() {
    let verdict = run_against(Fault::DoublesOne).await.verdict;
    assert_eq!((verdict.lost, verdict.faults.doubled), (0, 1));
}

#[tokio::test]
async fn what_a_node_refuses_is_refused_and_not_lost() {
    let verdict = run_against(Fault::RefusesOne).await.verdict;
    assert_eq!((verdict.refused, verdict.lost, verdict.unanswered), (1, 0, 0));
    assert!(!verdict.is_clean());
}

#[tokio::test]
async fn a_client_that_is_thrown_out_is_counted() {
    let verdict = run_against(Fault::ClosesOne).await.verdict;
    assert_eq!(verdict.closed, 1);
    assert!(verdict.lost > 0, "it missed what came after");
}

#[tokio::test]
async fn rooms_of_a_second_run_are_fresh_and_accounts_are_not_made_again() {
    let node = FakeNode::start(Fault::None).await;
    let peer = peer_of(&node).await;
    let first = peer.prepare(2, 3).await.expect("prepared");
    let second = peer.prepare(2, 5).await.expect("prepared");
    assert!(first.iter().all(|room| !second.contains(room)));
    assert_eq!(node.members(), 5);
}

#[tokio::test]
async fn silent_connections_are_gathered_and_held() {
    let node = FakeNode::start(Fault::None).await;
    let gathering =
        Gathering { connections: 25, per_room: 10, at_once: 5, hold: Duration::from_millis(50), users: None };
    let report = gather(&peer_of(&node).await, gathering, 1).await.expect("gathered");
    assert_eq!((report.closed, report.join.count), (0, 25));
    assert!(report.rss_start_kib > 0);
}

#[tokio::test]
async fn a_send_is_the_documented_request() {
    let peer = peer_of(&FakeNode::start(Fault::None).await).await;
    let said = peer.say(7, "0AXS751X00W7C", Uuid::nil(), &crate::scan::text_of(7, 120));
    let request: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&request["op"], &request["id"]), (&json!("send"), &json!(7)));
    assert_eq!(request["text"].as_str().map(str::len), Some(120));
    let heartbeat = peer.heartbeat().expect("a node wants one");
    let heartbeat: Value = serde_json::from_str(heartbeat).expect("JSON");
    assert_eq!((&heartbeat["op"], &heartbeat["id"]), (&json!("heartbeat"), &json!(u32::MAX)));
}
