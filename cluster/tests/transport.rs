//! What every transport promises: one suite, run over QUIC on loopback and in memory.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use hubbub_cluster::transport::{Transport, limits::class_bytes_max};
use hubbub_protocol::{
    ids::NodeId,
    peer::{Aftermath, AskError, Class, Envelope, Lane, PeerBus, PeerChange, Rejection, SendError},
};
use support::{Memory, Note, PATIENCE, Pair, Quic, World, number};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const RAFT: Lane = Lane { class: Class::Raft, number: 0 };
const CONTROL: Lane = Lane { class: Class::Control, number: 0 };
const BULK: Lane = Lane { class: Class::Bulk, number: 0 };

macro_rules! suite {
    ($($name:ident)*) => {
        mod over_quic { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name::<super::Quic>().await; })* }
        mod in_memory { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name::<super::Memory>().await; })* }
    };
}

suite! {
    casts_arrive_once_in_the_order_of_their_lane
    an_ask_is_answered_on_its_own_and_answers_may_overtake
    a_peer_that_does_not_answer_is_told_from_one_that_refuses
    a_full_class_is_busy_and_the_others_go_on
    a_whisper_arrives_and_a_long_one_is_refused
    a_message_beyond_the_bound_is_refused_and_the_largest_arrives
    what_is_not_linked_is_unreachable
    a_link_that_breaks_ends_its_asks_and_comes_back
    a_revoked_peer_is_cut_off_and_stays_so
    a_peer_that_starts_anew_is_linked_anew
    a_closed_transport_leaves_no_link
}

async fn casts_arrive_once_in_the_order_of_their_lane<W: World>() {
    const COUNT: u32 = 2_000;
    let pair = Pair::<W>::linked().await;
    let lanes = [RAFT, Class::Append.lane(3), Class::Append.lane(4), BULK];
    for n in 0..COUNT {
        for lane in lanes {
            while let Err(SendError::Busy { retry_after, .. }) = pair.a.cast(B, lane, number(n)) {
                tokio::time::sleep(retry_after).await;
            }
        }
    }
    let all = usize::try_from(COUNT).unwrap() * lanes.len();
    pair.heard_b.until("all casts are there", |heard| heard.casts().count() >= all).await;
    for lane in lanes {
        let got: Vec<u32> = pair.heard_b.casts_on(A, lane);
        assert_eq!(got, (0..COUNT).collect::<Vec<_>>(), "{lane:?}");
    }
}

async fn an_ask_is_answered_on_its_own_and_answers_may_overtake<W: World>() {
    let pair = Pair::<W>::linked().await;
    let slow = pair.a.ask(B, CONTROL, Envelope { kind: support::SLOW, ..number(1) }, PATIENCE);
    let quick = pair.a.ask(B, CONTROL, number(2), PATIENCE);
    assert_eq!(quick.await.unwrap().body, number(2).body, "the answer echoes the ask");
    assert_eq!(slow.await.unwrap().body, number(1).body);
    assert_eq!(
        pair.b.ask(A, BULK, number(3), PATIENCE).await.unwrap().body,
        number(3).body,
        "both ways, and in bulk"
    );
    assert_eq!(pair.heard_b.asks(), [1, 2], "begun in the order of the lane");
}

async fn a_peer_that_does_not_answer_is_told_from_one_that_refuses<W: World>() {
    let pair = Pair::<W>::linked().await;
    let waited = Duration::from_millis(100);
    let silent = pair.a.ask(B, CONTROL, Envelope { kind: support::NEVER, ..number(1) }, waited).await.unwrap_err();
    assert_eq!(silent, AskError::TimedOut { node: B, waited });
    assert_eq!(silent.aftermath(), Aftermath::Unknown);
    let refused =
        pair.a.ask(B, CONTROL, Envelope { kind: support::REFUSE, ..number(1) }, PATIENCE).await.unwrap_err();
    assert_eq!(refused, AskError::Rejected(Rejection::Busy { retry_after_ms: 7 }));
    assert_eq!(refused.aftermath(), Aftermath::Nothing);
}

async fn a_full_class_is_busy_and_the_others_go_on<W: World>() {
    let pair = Pair::<W>::linked().await;
    pair.heard_b.hold_class(Class::Deliver);
    let body = Bytes::from(vec![7; 256 * 1024]);
    let large = Envelope { kind: 1, map_version: 0, body };
    let lane = Class::Deliver.lane(0);
    // The wire holds some too: QUIC's windows take up to 4 MiB for a stream at each end.
    let most = (class_bytes_max(Class::Deliver) + (16 << 20)) / large.body.len();
    let mut sent = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut busy_in_a_row = 0;
    while busy_in_a_row < 20 && tokio::time::Instant::now() < deadline {
        match pair.a.cast(B, lane, large.clone()) {
            Ok(()) => (sent, busy_in_a_row) = (sent + 1, 0),
            Err(SendError::Busy { node, .. }) => {
                assert_eq!(node, B);
                busy_in_a_row += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(busy_in_a_row, 20, "a stuck receiver fills its class");
    assert!(sent <= most, "{sent} messages were taken, at most {most} have a place");
    let waiting = pair.a.peers()[0].waiting_bytes;
    assert!(waiting <= class_bytes_max(Class::Deliver), "{waiting} bytes wait");

    let answer = pair.a.ask(B, RAFT, number(5), PATIENCE).await;
    assert_eq!(answer.unwrap().body, number(5).body, "another class is not held up");
    pair.heard_b.release();
    pair.heard_b.until("what was taken is there", |heard| heard.casts().count() == sent).await;
    assert_eq!(pair.a.cast(B, lane, number(1)), Ok(()), "and there is room again");
}

async fn a_whisper_arrives_and_a_long_one_is_refused<W: World>() {
    let pair = Pair::<W>::linked().await;
    let whispered = || {
        // It may be lost; presence says it again, and so does this test.
        pair.a.whisper(B, number(9)).unwrap();
    };
    pair.heard_b.until_after("a whisper is there", whispered, |heard| heard.whispers() > 0).await;
    let long = Envelope { kind: 1, map_version: 0, body: Bytes::from(vec![0; 1_200]) };
    assert!(matches!(pair.a.whisper(B, long), Err(SendError::TooLarge { .. })));
}

async fn a_message_beyond_the_bound_is_refused_and_the_largest_arrives<W: World>() {
    let pair = Pair::<W>::linked().await;
    let of = |bytes| Envelope { kind: 1, map_version: 3, body: Bytes::from(vec![1; bytes]) };
    let bytes_max = hubbub_protocol::peer::PEER_MESSAGE_BYTES_MAX;
    let answer = pair.a.ask(B, BULK, of(bytes_max), PATIENCE).await.unwrap();
    assert_eq!((answer.body.len(), answer.map_version), (bytes_max, 3));
    let refused = pair.a.cast(B, BULK, of(bytes_max + 1));
    assert_eq!(refused, Err(SendError::TooLarge { bytes: bytes_max + 1, bytes_max }));
    let lane = Lane { class: Class::Raft, number: 2 };
    assert_eq!(pair.a.cast(B, lane, of(1)), Err(SendError::NoLane { lane }));
}

async fn what_is_not_linked_is_unreachable<W: World>() {
    let pair = Pair::<W>::linked().await;
    let nobody = NodeId(9);
    assert_eq!(pair.a.cast(nobody, RAFT, number(1)), Err(SendError::Unreachable { node: nobody }));
    assert_eq!(pair.a.whisper(nobody, number(1)), Err(SendError::Unreachable { node: nobody }));
    let asked = pair.a.ask(nobody, RAFT, number(1), PATIENCE).await.unwrap_err();
    assert_eq!(asked.aftermath(), Aftermath::Nothing);
}

async fn a_link_that_breaks_ends_its_asks_and_comes_back<W: World>() {
    let pair = Pair::<W>::linked().await;
    let unanswered = pair.a.ask(B, CONTROL, Envelope { kind: support::NEVER, ..number(1) }, PATIENCE);
    pair.heard_b.until("the ask has begun", |heard| heard.asks() == [1]).await;
    pair.b.forget(A);
    assert_eq!(unanswered.await, Err(AskError::Lost { node: B }));
    pair.heard_a
        .until("it comes back", |heard| heard.changes(B) == [PeerChange::Up, PeerChange::Down, PeerChange::Up])
        .await;
    assert!(pair.a.linked(B, PATIENCE).await);
    assert_eq!(pair.a.ask(B, CONTROL, number(2), PATIENCE).await.unwrap().body, number(2).body);
    assert_in_bounds(&pair.heard_a.notes(), B);
    assert_in_bounds(&pair.heard_b.notes(), A);
}

/// `Up` before the link's first envelope, `Down` after its last.
fn assert_in_bounds(notes: &[Note], peer: NodeId) {
    let mut up = false;
    for note in notes {
        match note {
            Note::Changed(node, PeerChange::Up) if *node == peer => {
                assert!(!std::mem::replace(&mut up, true), "one link at a time");
            }
            Note::Changed(node, PeerChange::Down) if *node == peer => {
                assert!(std::mem::replace(&mut up, false), "a link that was up");
            }
            // Bulk is a connection of its own and may be a moment ahead.
            Note::Cast(_, lane, _) | Note::Ask(_, lane, _) if lane.class != Class::Bulk => assert!(up, "{note:?}"),
            _ => {}
        }
    }
}

async fn a_revoked_peer_is_cut_off_and_stays_so<W: World>() {
    let pair = Pair::<W>::linked().await;
    pair.a.revoke(B);
    pair.heard_b.until("it is cut off", |heard| heard.changes(A).last() == Some(&PeerChange::Down)).await;
    assert!(!pair.b.linked(A, Duration::from_millis(700)).await, "a revoked node dials in vain");
    assert_eq!(pair.a.cast(B, RAFT, number(1)), Err(SendError::Unreachable { node: B }));
}

async fn a_peer_that_starts_anew_is_linked_anew<W: World>() {
    let mut pair = Pair::<W>::linked().await;
    pair.restart_b().await;
    assert!(pair.a.linked(B, PATIENCE).await);
    pair.heard_b.until("the new run hears of a", |heard| !heard.changes(A).is_empty()).await;
    pair.heard_a.until("a sees both runs", |heard| heard.changes(B).len() >= 3).await;
    assert!(pair.a.linked(B, PATIENCE).await);
    assert_eq!(pair.a.ask(B, RAFT, number(4), PATIENCE).await.unwrap().body, number(4).body);
    assert_in_bounds(&pair.heard_a.notes(), B);
}

async fn a_closed_transport_leaves_no_link<W: World>() {
    let pair = Pair::<W>::linked().await;
    pair.a.close().await;
    assert!(pair.a.peers().iter().all(|peer| !peer.linked && peer.waiting_bytes == 0));
    assert_eq!(pair.a.cast(B, RAFT, number(1)), Err(SendError::Unreachable { node: B }));
    pair.heard_b.until("b sees it go", |heard| heard.changes(A) == [PeerChange::Up, PeerChange::Down]).await;
}
