//! Who stands by follows the log, and takes a lost voter's place.

use crate::members::{World, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_stand_by_and_one_of_them_takes_a_dead_voters_place() {
    let mut world = World::of(5).await;
    let leader = world.leader().await;
    let before = until("two stand by", async || {
        let status = world.node(leader).status();
        (status.learners.len() == 2).then_some(status)
    })
    .await;
    for node in world.ids() {
        until("everyone knows who", async || (world.node(node).status().learners == before.learners).then_some(()))
            .await;
    }
    let dead = *before.voters.iter().find(|voter| **voter != leader).unwrap();
    world.kill(dead).await;
    let after = until("three live ones vote", async || {
        let status = world.node(leader).status();
        (status.voters.len() == 3 && !status.voters.contains(&dead) && !status.voters_changing).then_some(status)
    })
    .await;
    assert!(after.voters.difference(&before.voters).all(|new| before.learners.contains(new)), "{after:?}");
    world.start(dead).await;
    until("the one that came back stands by", async || {
        let status = world.node(leader).status();
        (status.learners.len() == 2 && status.learners.contains(&dead)).then_some(())
    })
    .await;
    assert_eq!(world.node(leader).status().voters, after.voters);
    world.end().await;
}
