//! Stories of a cluster of several nodes in one process.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod members;

use std::time::{Duration, Instant};

use hubbub_cluster::control::MemberState;
use members::{World, until};

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
    }
    let mut slots: Vec<_> = world.ids().into_iter().map(|node| world.node(node).id_slot()).collect();
    slots.dedup();
    assert_eq!(slots, [Some(1), Some(2), Some(3)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_dead_owner_are_elsewhere_at_higher_epochs_soon() {
    let mut world = World::of(3).await;
    let (leader, dead) = (world.leader().await, world.follower().await);
    let before = world.shards_of(leader, dead);
    let early = world.timing.silent_early;
    world.kill(dead).await;
    let died = Instant::now();
    let after = until("others have them", async || {
        let map = world.node(leader).map();
        let moved = before.keys().all(|shard| map.shard(*shard).unwrap().owner != dead);
        moved.then_some(map)
    })
    .await;
    let took = died.elapsed();
    for (shard, epoch) in &before {
        assert!(after.shard(*shard).unwrap().epoch > *epoch);
    }
    assert_eq!(after.members[&dead].state, MemberState::Down);
    assert!(took < early + Duration::from_millis(1_200), "it took {took:?}");
    world.end().await;
}
