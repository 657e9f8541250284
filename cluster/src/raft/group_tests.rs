//! Stories of three nodes: see [`group`](super::group).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hubbub_protocol::ids::NodeId;

use super::{
    ChangeError, ProposeError, RaftEar as _, ReadError, StartError,
    group::{Group, TIMING, peer, until},
    types::Vote,
    wire::Message,
};
use crate::{
    autopilot::Change,
    control::{Answer, Command, Refusal, Request, Role, Token, TokenId, member::FOUNDER, samples},
};

fn set(version: u64, value: &str) -> Command {
    Command::Configure { version, changes: [("motd".into(), Some(value.into()))].into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_without_its_leader_and_a_restarted_node_has_everything() {
    let mut group = Group::of_three().await;
    assert_eq!(group.write(set(0, "one")).await, Answer::Done);
    let (first, before) = (group.leader().await, group.nodes[&FOUNDER].standing().voters);
    assert_eq!(before.len(), 3);

    group.stop(first).await;
    assert_eq!(group.write(set(1, "two")).await, Answer::Done);
    let second = group.leader().await;
    assert_ne!(first, second);

    group.start(first, group.slots[&first]).await;
    assert_eq!(group.agree().await.settings.values["motd"], "two");

    let all: Vec<NodeId> = group.nodes.keys().copied().collect();
    for node in &all {
        group.stop(*node).await;
    }
    for node in all {
        group.start(node, group.slots[&node]).await;
    }
    assert_eq!(group.write(set(2, "three")).await, Answer::Done);
    let facts = group.agree().await;
    assert_eq!((facts.settings.version, facts.members.len()), (3, 3));
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_in_a_minority_confirms_nothing_and_its_request_is_carried_out_once_when_sent_again() {
    let mut group = Group::of_three().await;
    let old = group.leader().await;
    group.network.cut(&[old]);
    let request = group.request(set(0, "from the minority"));
    let alone = Arc::clone(&group.nodes[&old]);
    assert_eq!(alone.confirm().await, Err(ReadError::NoQuorum));
    let refused = alone.propose(request.clone()).await.expect_err("there is no majority");
    assert!(matches!(refused, ProposeError::Unknown | ProposeError::NotLeader { .. }), "{refused:?}");
    assert_eq!(alone.facts().read(|control| control.settings.version), 0);

    // The majority goes on, the node is back, and the request that had no answer is sent again.
    let majority = until("the majority has a leader", async || {
        let others = group.nodes.iter().filter(|(node, _)| **node != old);
        let mut leaders = others.filter(|(id, node)| node.standing().leader == Some(**id));
        leaders.next().map(|(_, node)| Arc::clone(node))
    })
    .await;
    until("the majority writes", async || majority.propose(request.clone()).await.ok()).await;
    group.network.cut(&[]);
    assert_eq!(group.send(&request).await, Answer::Done);
    assert_eq!(group.agree().await.settings.version, 1);
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_lead_tells_who_does() {
    let group = Group::of_three().await;
    let leader = group.leader().await;
    let follower = group.nodes.iter().find(|(node, _)| **node != leader).expect("two follow").1;
    let request = Request { id: None, command: samples::finalize(1) };
    let answer = until("the follower knows its leader", async || {
        follower
            .propose(request.clone())
            .await
            .err()
            .filter(|error| *error != ProposeError::NotLeader { leader: None })
    });
    assert_eq!(answer.await, ProposeError::NotLeader { leader: Some((leader, peer(leader))) });
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_behind_a_purged_log_gets_the_snapshot_and_starts_from_it() {
    let mut group = Group::of_one().await;
    group.write(samples::create_token(1, 9)).await;
    for version in 0..60 {
        assert_eq!(group.write(set(version, "again")).await, Answer::Done);
    }
    let snapshot_of = |group: &Group, node| group.path(node).join("raft.snapshot");
    let made = snapshot_of(&group, FOUNDER);
    until("a snapshot is made", async || made.exists().then_some(())).await;
    let founder = Arc::clone(&group.nodes[&FOUNDER]);
    until("the log before it is gone", async || (founder.standing().purged_index > 0).then_some(())).await;
    let node = group.join(2).await;
    let facts = group.agree().await;
    assert_eq!(facts.settings.version, 60);
    assert!(snapshot_of(&group, node).exists(), "the entries came one by one");

    group.stop(node).await;
    group.start(node, 1).await;
    assert_eq!(group.agree().await, facts);
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_snapshot_was_deleted_does_not_start() {
    let mut group = Group::of_one().await;
    // Three snapshots: the purge that follows the first is over when the third is made.
    for version in 0..120 {
        group.write(set(version, "again")).await;
    }
    group.stop(FOUNDER).await;
    std::fs::remove_file(group.path(FOUNDER).join("raft.snapshot")).expect("there");
    let refused = group.try_start(FOUNDER, 0).await.expect_err("its facts are gone");
    assert!(matches!(refused, StartError::SnapshotMissing { .. }), "{refused}");
    assert!(refused.to_string().contains("join again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_change_one_step_at_a_time() {
    let mut group = Group::of_one().await;
    group.write(samples::create_token(1, 9)).await;
    let founder = Arc::clone(&group.nodes[&FOUNDER]);
    let add = |number| Change::AddLearner { node: NodeId(number), peer: peer(NodeId(number)) };
    let (one, two) = tokio::join!(founder.change(add(90)), founder.change(add(91)));
    assert_eq!((one, two), (Ok(()), Err(ChangeError::InProgress)));
    let voters = [FOUNDER, NodeId(77)].into();
    let stranger = founder.change(Change::SetVoters { voters }).await;
    assert!(matches!(stranger, Err(ChangeError::Refused(_))), "{stranger:?}");
    founder.change(Change::RemoveLearner { node: NodeId(90) }).await.expect("it does not vote");
    assert!(founder.standing().learners.is_empty());
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_share_entries_and_each_gets_its_own_answer() {
    let group = Group::of_one().await;
    let founder = Arc::clone(&group.nodes[&FOUNDER]);
    let before = founder.standing().last_index;
    let token = Token { secret_sha256: [1; 32], role: Role::Worker, uses_left: 1, expires_ms: u64::MAX };
    let mut waiting = tokio::task::JoinSet::new();
    for id in 0..200_u128 {
        let (node, token) = (Arc::clone(&founder), token.clone());
        let command = Command::CreateToken { id: TokenId(id / 2), token, now_ms: 0 };
        waiting.spawn(async move { node.propose(Request { id: None, command }).await });
    }
    let answers = waiting.join_all().await;
    let done = answers.iter().filter(|answer| **answer == Ok(Answer::Done)).count();
    let exists = answers.iter().filter(|answer| **answer == Ok(Answer::Refused(Refusal::TokenExists))).count();
    assert_eq!((done, exists), (100, 100));
    let entries = founder.facts().changes().borrow().saturating_sub(before);
    assert!(entries < 100, "200 requests took {entries} entries");
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_to_raft_under_another_nodes_number_or_in_nonsense() {
    let group = Group::of_one().await;
    let founder = &group.nodes[&FOUNDER];
    let vote = openraft::raft::VoteRequest::new(Vote::new(9, 5), None);
    let message = Message::Vote(vote).to_bytes().expect("small");
    assert!(founder.hear(NodeId(6), message.clone()).await.is_none());
    for cut in 0..message.len() {
        assert!(founder.hear(NodeId(5), message.slice(..cut)).await.is_none());
    }
    assert!(founder.hear(NodeId(5), message).await.is_some());
    group.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_is_replaced_every_time_within_two_of_the_widest_windows() {
    let mut group = Group::of_three().await;
    let widest = group.slots.values().map(|slot| TIMING.window(*slot).1).max().expect("three nodes");
    // Two windows, a tick for each, and as much again for a machine that is busy with other tests.
    let within = Duration::from_millis(2 * (2 * widest + 3 * TIMING.heartbeat_ms));
    for version in 0..4 {
        let leader = group.leader().await;
        group.stop(leader).await;
        let died = Instant::now();
        assert_eq!(group.write(set(version, "again")).await, Answer::Done);
        let took = died.elapsed();
        assert!(took < within, "it took {took:?}, longer than {within:?}");
        group.start(leader, group.slots[&leader]).await;
        group.agree().await;
    }
    group.end().await;
}
