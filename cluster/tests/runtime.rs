//! Stories of a cluster of several nodes in one process.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod members;
#[path = "members/standbys.rs"]
mod standbys;

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use hubbub_cluster::{
    control::{Answer, Command, MemberState, Refusal, Role, member::FOUNDER},
    raft::Timing,
    runtime::{Report, RuntimeTiming, WishError},
};
use hubbub_protocol::{
    ids::{Epoch, NodeId},
    ports::Placement as _,
    shard::ShardId,
};
use members::{PATIENCE, World, until};

/// What a busy machine may add to a failover that is otherwise a matter of the settings.
const SLACK: Duration = Duration::from_millis(1_200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_join_get_their_share_and_three_of_them_vote() {
    let world = World::of(3).await;
    for node in world.ids() {
        let status = world.node(node).status();
        assert_eq!(status.members.len(), 3);
        assert!(
            status.members.iter().all(|member| member.is_up() && (10..=11).contains(&member.shards)),
            "{status:?}"
        );
        assert_eq!(status.voters.len(), 3);
        assert_eq!((status.superseded, status.incarnation), (false, 2));
        until("it is confirmed", async || (!world.node(node).coasting()).then_some(())).await;
        let links = world.nodes[&node].actors.links.lock().len();
        assert_eq!(links, 2, "the actors hear of links that came before them");
    }
    let slots: Vec<_> = world.ids().into_iter().map(|node| world.node(node).id_slot()).collect();
    assert_eq!(slots, [Some(1), Some(2), Some(3)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_dead_owner_are_elsewhere_at_higher_epochs_soon() {
    let mut world = World::of(3).await;
    let (leader, dead) = (world.leader().await, world.follower().await);
    let before = world.shards_of(leader, dead);
    world.kill(dead).await;
    let died = Instant::now();
    world.until_taken(leader, dead, &before).await;
    let took = died.elapsed();
    assert_eq!(world.node(leader).map().members[&dead].state, MemberState::Down);
    assert!(took < world.timing.silent_early + SLACK, "it took {took:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_dead_leader_are_elsewhere_after_an_election() {
    let mut world = World::of(3).await;
    let dead = world.leader().await;
    let by = world.follower().await;
    let before = world.shards_of(by, dead);
    world.kill(dead).await;
    let died = Instant::now();
    world.until_taken(by, dead, &before).await;
    let took = died.elapsed();
    // Two of the widest windows that three members have, and a look at the members.
    let election = Duration::from_millis(2 * members::RAFT.window(2).1);
    assert!(took < election + SLACK, "it took {took:?}");
    assert_ne!(world.leader().await, dead);

    world.start(dead).await;
    world.settled(3).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_too_much_of_the_work_exchanges_a_dear_shard_and_keeps_its_number_of_shards() {
    let world = World::of(3).await;
    let busy = world.follower().await;
    let before = world.shards_of(busy, busy);
    let dear: Vec<ShardId> = before.keys().copied().take(2).collect();
    world.node(busy).report_costs(dear.iter().map(|shard| (*shard, 400_000)).collect());
    let after = until("a dear shard is elsewhere", async || {
        let map = world.node(busy).map();
        let now = world.shards_of(busy, busy);
        (world.moving(&map) == 0 && dear.iter().any(|shard| !now.contains_key(shard))).then_some(now)
    })
    .await;
    assert_eq!(after.len(), before.len());
    assert_eq!(before.keys().filter(|shard| !after.contains_key(shard)).count(), 1, "one left, and one came");
    // What is left is as even as it can be: nothing moves any more.
    tokio::time::sleep(4 * RuntimeTiming::for_tests().uneven_for).await;
    assert_eq!(world.shards_of(busy, busy).into_keys().collect::<Vec<_>>(), after.into_keys().collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_moves_when_its_owner_has_let_go_and_not_before() {
    let world = World::of(3).await;
    let (from, to) = (world.follower().await, world.leader().await);
    let (shard, epoch) = world.shards_of(to, from).into_iter().next().unwrap();
    let actors = world.nodes[&from].actors.clone();
    actors.let_go_ms.store(400, Ordering::Relaxed);
    actors.told.lock().clear();
    let began = Instant::now();
    world.node(to).move_shard(shard, to, PATIENCE).await.unwrap();
    let took = began.elapsed();
    assert!((Duration::from_millis(400)..world.timing.move_within).contains(&took), "it took {took:?}");
    assert_eq!(*actors.let_go.lock(), [shard], "asked once");
    // Actors are told a moment after the map says so.
    let heard = || actors.told.lock().iter().any(|(told, place)| *told == shard && place.owner == to);
    until("the old owner has heard", async || heard().then_some(())).await;
    let told: Vec<_> =
        actors.told.lock().iter().filter(|(told, _)| *told == shard).map(|(_, place)| *place).collect();
    let told: Vec<_> = told.iter().map(|place| (place.owner, place.epoch, place.moving)).collect();
    assert_eq!(told, [(from, epoch, true), (to, epoch.next(), false)]);
    assert_eq!(world.node(from).fresh_epoch(shard, Epoch(0)).await, None);
    assert!(world.node(to).fresh_epoch(shard, epoch).await > Some(epoch));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_taken_from_an_owner_that_does_not_let_go() {
    let world = World::of(3).await;
    let (from, to) = (world.follower().await, world.leader().await);
    let shard = *world.shards_of(to, from).keys().next().unwrap();
    world.nodes[&from].actors.let_go_ms.store(60_000, Ordering::Relaxed);
    let began = Instant::now();
    world.node(from).move_shard(shard, to, PATIENCE).await.unwrap();
    let took = began.elapsed();
    let within = world.timing.move_within;
    assert!((within..within + SLACK).contains(&took), "it took {took:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_again_keeps_its_shards_and_gets_fresh_epochs() {
    let mut world = World::of(3).await;
    let (leader, node) = (world.leader().await, world.follower().await);
    let mut before = world.shards_of(leader, node);
    for _ in 0..3 {
        for (shard, epoch) in &before {
            assert!(world.node(node).fresh_epoch(*shard, Epoch(0)).await >= Some(*epoch));
        }
        let given = world.shards_of(leader, node);
        world.kill(node).await;
        world.start(node).await;
        let first = *given.keys().next().unwrap();
        // Asked at once, before the start is registered.
        let fresh = world.node(node).fresh_epoch(first, Epoch(0)).await;
        assert!(fresh > Some(given[&first]), "{fresh:?} after {given:?}");
        assert!(world.node(node).ready(PATIENCE).await);
        let after = world.shards_of(node, node);
        assert_eq!(after.keys().collect::<Vec<_>>(), given.keys().collect::<Vec<_>>());
        assert!(after.iter().all(|(shard, epoch)| *epoch > given[shard]));
        before = after;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_epoch_is_given_twice_however_many_ask_and_each_is_above_the_fence() {
    let world = World::of(3).await;
    let node = world.follower().await;
    let cluster = world.node(node);
    let shards: Vec<ShardId> = world.shards_of(node, node).into_keys().collect();
    let told = world.nodes[&node].actors.told.lock().len();
    let mut asked = tokio::task::JoinSet::new();
    for round in 0..5_u64 {
        for shard in &shards {
            let (cluster, shard, stored) = (cluster.clone(), *shard, Epoch(round * 100));
            asked.spawn(async move { (shard, stored, cluster.fresh_epoch(shard, stored).await) });
        }
    }
    let mut given = BTreeSet::new();
    for (shard, stored, epoch) in asked.join_all().await {
        let epoch = epoch.expect("the shard is ours");
        assert!(epoch > stored, "{epoch} is not above {stored}");
        assert!(given.insert((shard, epoch)), "epoch {epoch} of shard {shard} was given twice");
    }
    assert_eq!(given.len(), shards.len() * 5);
    let other = world.leader().await;
    assert_eq!(world.node(other).fresh_epoch(shards[0], Epoch(0)).await, None, "it is not the leader's");
    let told_after = world.nodes[&node].actors.told.lock().len();
    assert_eq!(told, told_after, "the actors are not told of what they asked for");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_coasts_loses_its_shards_and_comes_back() {
    let world = World::of(3).await;
    let (leader, lost) = (world.leader().await, world.follower().await);
    let before = world.shards_of(leader, lost);
    for node in world.ids() {
        world.network.cut(lost, node);
    }
    world.until_taken(leader, lost, &before).await;
    assert_eq!(world.shards_of(lost, lost).len(), before.len(), "nobody could tell it");
    until("it coasts", async || world.node(lost).coasting().then_some(())).await;
    assert!(!world.node(leader).coasting());
    let refused = world.node(lost).propose(Command::Finalize { version: 1 }).await;
    assert!(refused.is_err(), "{refused:?}");

    world.network.heal();
    world.settled(3).await;
    until("it is confirmed", async || (!world.node(lost).coasting()).then_some(())).await;
    let after = world.shards_of(lost, lost);
    assert!(after.iter().all(|(shard, epoch)| before.get(shard).is_none_or(|old| epoch > old)));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_cut_off_confirms_nobody_and_gives_no_epochs_above_the_maps() {
    let world = World::of(3).await;
    let old = world.leader().await;
    let shard = *world.shards_of(old, old).keys().next().unwrap();
    for node in world.ids() {
        world.network.cut(old, node);
    }
    until("it coasts", async || world.node(old).coasting().then_some(())).await;
    assert_eq!(world.node(old).fresh_epoch(shard, Epoch(1_000)).await, None, "nobody can say");
    let others: Vec<NodeId> = world.ids().into_iter().filter(|node| *node != old).collect();
    until("the others have given it up", async || {
        let map = world.node(others[0]).map();
        (map.members[&old].state == MemberState::Down && map.shards_of(old) == 0).then_some(())
    })
    .await;
    assert!(others.iter().all(|node| !world.node(*node).coasting()));
    world.network.heal();
    world.settled(3).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_know_the_map_serve_shards_and_hear_of_changes_without_the_leader() {
    let mut world = World::of(3).await;
    for number in [4, 5] {
        world.join(number, Role::Worker).await;
    }
    world.settled(3).await;
    let workers: Vec<NodeId> = world.ids().split_off(3);
    for worker in &workers {
        let status = world.node(*worker).status();
        assert_eq!((status.last_index, status.voters.len()), (0, 3), "it takes no part in Raft and knows who does");
        let (shard, epoch) = world.shards_of(*worker, *worker).into_iter().next().unwrap();
        assert_eq!(world.node(*worker).fresh_epoch(shard, Epoch(0)).await, Some(epoch));
        assert!(world.node(*worker).fresh_epoch(shard, Epoch(70)).await > Some(Epoch(70)));
    }
    let leader = world.leader().await;
    world.network.cut(leader, workers[0]);
    let leave = |leaving| Command::Leave { node: workers[1], leaving };
    let told = world.node(workers[1]).propose(leave(true)).await;
    assert_eq!(told, Ok(Answer::Done), "a worker proposes through the leader");
    until("a worker without the leader hears of it", async || {
        (world.node(workers[0]).map().members[&workers[1]].state == MemberState::Draining).then_some(())
    })
    .await;
    assert_eq!(world.node(workers[1]).propose(leave(false)).await, Ok(Answer::Done));
    world.network.heal();
    world.settled(3).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_owns_nothing_until_it_is_asked_back() {
    let world = World::of(3).await;
    let (leader, node) = (world.leader().await, world.follower().await);
    world.node(leader).drain(node, PATIENCE).await.unwrap();
    assert!(world.shards_of(leader, node).is_empty());
    assert_eq!(world.node(leader).map().members[&node].state, MemberState::Draining);
    tokio::time::sleep(world.timing.stable * 3).await;
    assert!(world.shards_of(leader, node).is_empty(), "it stays drained");
    world.node(node).undrain(node).await.unwrap();
    world.settled(3).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_hands_over_its_shards_and_the_leadership_and_comes_back() {
    let mut world = World::of(3).await;
    let leaves = world.leader().await;
    let epochs = world.shards_of(leaves, leaves);
    world.nodes[&leaves].actors.let_go.lock().clear();
    world.node(leaves).leave(PATIENCE).await.unwrap();
    let next = until("another leads", async || {
        world.nodes.iter().find(|(node, held)| **node != leaves && held.cluster.leads()).map(|(node, _)| *node)
    })
    .await;
    assert!(world.shards_of(next, leaves).is_empty());
    let let_go: BTreeSet<ShardId> = world.nodes[&leaves].actors.let_go.lock().iter().copied().collect();
    assert_eq!(let_go, epochs.into_keys().collect(), "each was let go, none was taken");
    world.kill(leaves).await;
    world.start(leaves).await;
    world.settled(3).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_refused_by_all_and_loses_its_vote() {
    let world = World::of(3).await;
    let (leader, node) = (world.leader().await, world.follower().await);
    world.node(leader).remove(node, PATIENCE).await.unwrap();
    until("its vote is gone and nobody is linked to it", async || {
        let others = world.nodes.iter().filter(|(id, _)| **id != node);
        let voteless = !world.node(leader).status().voters.contains(&node);
        let linked =
            others.flat_map(|(_, held)| held.cluster.status().peers).any(|peer| peer.node == node && peer.linked);
        (voteless && !linked).then_some(())
    })
    .await;
    let gone = world.node(leader).drain(node, PATIENCE).await;
    assert_eq!(gone, Err(WishError::Refused(Refusal::NoSuchNode(node))));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_founder_can_be_removed_from_a_cluster_of_two() {
    let mut world = World::of_one().await;
    let second = world.join(2, Role::Voter).await;
    world.settled(1).await;
    world.node(second).remove(FOUNDER, PATIENCE).await.unwrap();
    until("the second leads alone", async || {
        let status = world.node(second).status();
        (status.leader == Some(second) && status.members.len() == 1).then_some(())
    })
    .await;
    assert_eq!(world.shards_of(second, second).len(), 32);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_storage_gives_its_shards_away_and_gets_them_back() {
    let world = World::of(3).await;
    let (leader, node) = (world.leader().await, world.follower().await);
    let report = |storage_ok| Report { storage_ok, load: hubbub_cluster::runtime::Load::default() };
    world.node(node).report(report(false));
    until("it owns nothing", async || world.shards_of(leader, node).is_empty().then_some(())).await;
    world.node(node).report(report(true));
    world.settled(3).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_times_of_a_real_cluster_a_dead_owner_is_replaced_within_two_seconds_and_a_dead_leader_within_four()
 {
    let timing = RuntimeTiming {
        stable: Duration::from_millis(400),
        rest: Duration::from_millis(200),
        moves_per_second: 1_000,
        ..RuntimeTiming::default()
    };
    let mut world = World::of_one_with(timing, Timing::default()).await;
    for number in [2, 3] {
        world.join(number, Role::Voter).await;
    }
    world.settled(3).await;
    for (leads, within_ms) in [(false, 2_300), (true, 4_300)] {
        let (leader, follower) = (world.leader().await, world.follower().await);
        let (by, dead) = if leads { (follower, leader) } else { (leader, follower) };
        let before = world.shards_of(by, dead);
        world.kill(dead).await;
        let died = Instant::now();
        world.until_taken(by, dead, &before).await;
        let took = died.elapsed();
        assert!(took < Duration::from_millis(within_ms), "it took {took:?}");
        world.start(dead).await;
        world.settled(3).await;
    }
    world.end().await;
}
