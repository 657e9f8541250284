//! What goes wrong: links, nodes, lanes and the store; shards that move; and somebody who is thrown out.

use std::{sync::Arc, time::Duration};

use hubbub_storage::mem::AppendFault;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Phase, Trial, VICTIM,
    oracle::{Kicked, read},
};
use crate::dice::Dice;

/// What an append may meet.
const APPEND_FAULTS: [AppendFault; 5] = [
    AppendFault::FailBefore,
    AppendFault::FailAfter,
    AppendFault::AmbiguousBefore,
    AppendFault::AmbiguousAfter,
    AppendFault::TakenOver,
];
/// How long the owner of the community waits for a removal, or the one who was removed for being let in.
const MEMBERSHIP: Duration = Duration::from_secs(20);

/// Strikes again and again, one or two faults at a time, and mends what it broke.
pub(super) async fn strike(trial: Arc<Trial>, mut dice: Dice) {
    while trial.phase() == Phase::Broken {
        trial.something_is_broken(true);
        let (first, second) = (dice.fork(), dice.fork());
        if dice.one_in(3) {
            tokio::join!(one_fault(&trial, first), one_fault(&trial, second));
        } else {
            one_fault(&trial, first).await;
        }
        trial.something_is_broken(false);
        sleep(dice.ms(200, 4_000)).await;
    }
}

async fn one_fault(trial: &Trial, mut dice: Dice) {
    let nodes = &trial.nodes;
    match dice.below(6) {
        0 | 1 => isolate(trial, dice).await,
        2 => {
            let one = 1 + dice.below(trial.count);
            let other = 1 + (one + dice.below(trial.count - 1)) % trial.count;
            trial.plan(|| format!("the link of {one} and {other} is cut"));
            nodes.cut(one, other, true);
            sleep(dice.ms(50, 7_000)).await;
            nodes.cut(one, other, false);
            trial.plan(|| format!("the link of {one} and {other} stands again"));
        }
        3 => {
            let node = 1 + dice.below(trial.count);
            trial.plan(|| format!("the lanes to {node} are full"));
            nodes.fill(node, true);
            sleep(dice.ms(50, 2_000)).await;
            nodes.fill(node, false);
            trial.plan(|| format!("the lanes to {node} have room"));
        }
        4 => {
            trial.plan(|| "appends are held".into());
            nodes.store.faults().hold_appends();
            sleep(dice.ms(50, 2_500)).await;
            nodes.store.faults().release_appends();
            trial.plan(|| "appends go on".into());
        }
        _ => {
            for _ in 0..=dice.below(4) {
                let fault = dice.pick(&APPEND_FAULTS);
                trial.plan(|| format!("an append meets {fault:?}"));
                nodes.store.faults().next_append(fault);
                sleep(dice.ms(20, 600)).await;
            }
        }
    }
}

/// A node is cut off from the others; after a while they go on without it, and it finds out itself unless it is back before.
async fn isolate(trial: &Trial, mut dice: Dice) {
    let node = 1 + dice.below(trial.count);
    if !trial.isolates(node) {
        return;
    }
    trial.plan(|| format!("{node} is cut off"));
    trial.nodes.isolate(node);
    sleep(dice.ms(300, 2_000)).await;
    if !dice.one_in(4) {
        trial.plan(|| format!("the shards of {node} are given away"));
        // How many there are depends on what has happened, and nothing after this may.
        let mut heirs = dice.fork();
        trial.nodes.fail_over(node, || trial.any_node(&mut heirs));
    }
    // Within 4 s of silence a node knows that its links are broken.
    sleep(dice.ms(100, 2_000)).await;
    if dice.one_in(2) {
        trial.nodes.notices(node);
        sleep(dice.ms(100, 5_000)).await;
    }
    // A new link takes the place of the old one: whoever did not know that it was broken finds out now.
    trial.nodes.notices(node);
    trial.nodes.rejoin(node);
    trial.rejoins(node);
    trial.plan(|| format!("{node} is back"));
}

/// Moves rooms, mostly as planned.
pub(super) async fn move_rooms(trial: Arc<Trial>, mut dice: Dice) {
    while trial.phase() == Phase::Broken {
        sleep(dice.ms(100, 2_500)).await;
        let (room, to) = (dice.pick(&trial.rooms), trial.any_node(&mut dice));
        if trial.is_isolated(trial.nodes.owner(room).0) {
            continue;
        }
        if dice.one_in(5) {
            trial.note(|| format!("{room} is taken to {to}"));
            trial.nodes.give(room, to);
        } else {
            trial.note(|| format!("{room} moves to {to}"));
            trial.nodes.hand_over(room, to).await;
        }
    }
}

/// Throws somebody out again and again, and lets them in again.
pub(super) async fn kick(trial: Arc<Trial>, mut dice: Dice) {
    let (ada, victim, community) = (trial.people[0], trial.people[VICTIM], trial.community);
    while trial.phase() == Phase::Broken {
        sleep(dice.ms(1_000, 4_000)).await;
        let patient = dice.one_in(2);
        while patient && !trial.is_quiet() && trial.phase() == Phase::Broken {
            sleep(Duration::from_millis(100)).await;
        }
        let (clean, changes) = (trial.is_quiet(), trial.changes());
        trial.bar(true);
        let world = trial.node(trial.any_node(&mut dice));
        let communities = world.hub.communities();
        let removed = communities.remove_member(ada, community, victim.user, None);
        let removed = timeout(MEMBERSHIP, removed).await.is_ok_and(|removed| removed.is_ok());
        if removed {
            let clean = clean && trial.changes() == changes;
            trial.note(|| format!("person {VICTIM} is thrown out (clean: {clean})"));
            let head = |room| read(&trial.nodes.store, room, 0, usize::MAX).last().map_or(0, |(seq, _)| *seq);
            let heads = trial.rooms.iter().map(|room| (*room, head(*room))).collect();
            let kicked = Kicked { who: VICTIM, heads, at: Instant::now(), clean };
            trial.oracle.lock().kicked = Some(kicked);
            sleep(dice.ms(500, 9_000)).await;
            trial.oracle.lock().kicked = None;
        }
        loop {
            let world = trial.node(trial.any_node(&mut dice));
            let joined = timeout(MEMBERSHIP, world.hub.communities().join(victim, community)).await;
            if joined.is_ok_and(|joined| joined.is_ok()) {
                break;
            }
            sleep(Duration::from_millis(250)).await;
        }
        trial.note(|| format!("person {VICTIM} is a member again"));
        trial.bar(false);
    }
}
