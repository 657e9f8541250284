//! A send keeps its key until it is answered, so trying again never makes a second message.

use std::time::Duration;

use hubbub_client::{Client, Config, Draft, RequestError};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    frame::Format,
    ids::{RoomId, Seq},
};
use tokio::time::Instant;

use crate::node::{Faults, Node, Out};

const ROOM: RoomId = RoomId::from_raw(1);

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_answered_after_all_and_made_once() {
    let node = Node::start(Faults::default()).await;
    let (client, _updates) = node.client(Format::Json).await;
    node.state().send_answers = vec![None, None];
    let sent = client.send(ROOM, "hi", None).await.expect("sent in the end");
    assert!(sent.repeat);
    assert_eq!((sent.seq, node.state().head(ROOM)), (Seq(1), 1));
    let asked = node.state().asked.clone();
    let sends: Vec<_> = asked.iter().filter(|asked| asked["op"] == "send").collect();
    assert_eq!(sends.len(), 3);
    assert!(sends.iter().all(|send| send["key"] == sends[0]["key"]));
    assert_eq!(sends[0].get("retry"), None);
    assert!(sends[1..].iter().all(|send| send["retry"] == true));
}

#[tokio::test]
async fn what_the_node_refuses_for_now_is_sent_again_when_it_says() {
    let node = Node::start(Faults::default()).await;
    let (client, _updates) = node.client(Format::MessagePack).await;
    let slow = Refusal::new(ErrorCode::SlowMode, "slow").after_ms(300);
    node.state().send_answers = vec![
        Some(Refusal::new(ErrorCode::Moving, "elsewhere")),
        Some(Refusal::new(ErrorCode::Unavailable, "down")),
        Some(slow),
    ];
    let begun = Instant::now();
    let sent = client.send(ROOM, "hi", None).await.expect("sent in the end");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!((sent.seq, node.state().count("send")), (Seq(1), 4));
}

#[tokio::test]
async fn what_the_node_refuses_for_good_is_not_sent_again() {
    let node = Node::start(Faults::default()).await;
    let (client, _updates) = node.client(Format::Json).await;
    let refusal = Refusal::new(ErrorCode::NotMember, "no");
    node.state().send_answers = vec![Some(refusal.clone())];
    assert_eq!(client.send(ROOM, "hi", None).await, Err(RequestError::Refused(refusal)));
    assert_eq!(node.state().count("send"), 1);
}

#[tokio::test]
async fn a_deadline_ends_the_tries_and_the_draft_can_be_sent_later() {
    let node = Node::start(Faults::default()).await;
    let (client, _updates) = node.client(Format::Json).await;
    node.state().send_answers = vec![Some(Refusal::new(ErrorCode::Busy, "later")); 100];
    let draft = Draft::new(ROOM, "hi");
    let begun = Instant::now();
    let error = client.send_draft(&draft, Duration::from_millis(400)).await.expect_err("busy");
    assert!(matches!(error, RequestError::Refused(refusal) if refusal.code == ErrorCode::Busy));
    assert!(begun.elapsed() < Duration::from_secs(2));
    node.state().send_answers.clear();
    let sent = client.send_draft(&draft, Duration::from_secs(5)).await.expect("sent");
    assert_eq!((sent.seq, node.state().head(ROOM)), (Seq(1), 1));
}

#[tokio::test]
async fn many_sends_over_a_line_that_is_cut_again_and_again_are_each_made_once() {
    let node = Node::start(Faults::default()).await;
    let (client, _updates) = node.client(Format::Json).await;
    let cutting = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(40)).await;
            node.state().everywhere(&Out::Cut);
        }
    };
    let sending = async {
        let mut sends = tokio::task::JoinSet::new();
        for at in 0..200 {
            let client = client.clone();
            sends.spawn(async move { client.send(ROOM, &at.to_string(), None).await });
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        sends.join_all().await
    };
    let ((), answers) = tokio::join!(cutting, sending);
    let mut seqs: Vec<u64> = answers.into_iter().map(|sent| sent.expect("sent in the end").seq.0).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    assert_eq!(node.state().head(ROOM), 200);
    assert!(node.state().connections > 1);
}

#[tokio::test]
async fn a_request_larger_than_a_frame_is_refused_here_and_costs_no_connection() {
    let node = Node::start(Faults::default()).await;
    let (client, _updates) = node.client(Format::Json).await;
    let error = client.send(ROOM, &"x".repeat(70_000), None).await.expect_err("too large");
    assert!(matches!(error, RequestError::Refused(refusal) if refusal.code == ErrorCode::TooLarge));
    assert_eq!(client.send(ROOM, "hi", None).await.map(|sent| sent.seq), Ok(Seq(1)));
    assert_eq!(node.state().connections, 1);
}

#[tokio::test]
async fn a_request_without_an_answer_is_late() {
    let node = Node::start(Faults::default()).await;
    let answer_within = Duration::from_millis(300);
    let config = Config { answer_within, ..node.config(Format::Json) };
    let (client, _updates) = Client::connect(config).await.expect("the node is there");
    node.state().faults.mute = true;
    assert_eq!(client.typing(ROOM).await, Err(RequestError::Late));
}
