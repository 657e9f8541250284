//! The patience of exchanges, on values.

use super::*;
use crate::control::{
    Command,
    samples::{self, apply},
};

/// Two nodes with four of the eight shards each, all with a place.
fn two_nodes() -> Control {
    let mut control = Control::default();
    for (index, command) in [(10, samples::found()), (11, samples::create_token(5, 3)), (12, samples::join(5, 2))] {
        apply(&mut control, index, command);
    }
    apply(&mut control, 13, samples::up(10));
    apply(&mut control, 14, samples::up(12));
    let moves = plan::plan(&control).balance;
    let ended = moves.iter().map(|begun| (begun.shard, begun.epoch)).collect();
    apply(&mut control, 15, Command::BeginMoves { moves });
    apply(&mut control, 16, Command::FinishMoves { shards: ended });
    control
}

/// All the work is in two shards of the first node.
fn uneven(control: &Control) -> BTreeMap<ShardId, Cost> {
    let owner = control.shards[0].owner;
    let its = (0..).map(ShardId).zip(&control.shards).filter(|(_, place)| place.owner == owner);
    its.take(2).map(|(shard, _)| (shard, 300_000)).collect()
}

#[test]
fn an_imbalance_must_last_before_anything_moves_and_again_after_each_time() {
    let (control, start) = (two_nodes(), Instant::now());
    let (costs, timing) = (uneven(&control), RuntimeTiming::default());
    let mut balancer = Balancer::default();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(balancer.choose(&control, &costs, &timing, at(0)).is_empty());
    assert!(balancer.choose(&control, &BTreeMap::new(), &timing, at(59)).is_empty(), "it has passed");
    assert!(balancer.choose(&control, &costs, &timing, at(61)).is_empty(), "and counts from here");
    assert!(balancer.choose(&control, &costs, &timing, at(120)).is_empty());
    let moves = balancer.choose(&control, &costs, &timing, at(121));
    assert_eq!(moves.len(), 2, "{moves:?}");
    assert!(moves.iter().any(|chosen| costs.contains_key(&chosen.shard)));
    assert!(balancer.choose(&control, &costs, &timing, at(122)).is_empty());
    // Had nothing changed, the other of the two would go, and never the one that went.
    let again = balancer.choose(&control, &costs, &timing, at(183));
    assert!(again.iter().all(|chosen| !moves.iter().any(|before| before.shard == chosen.shard)), "{again:?}");
}

#[test]
fn only_what_an_owner_said_lately_of_its_own_shards_counts() {
    let (control, now) = (two_nodes(), Instant::now());
    let (shard, owner) = (ShardId(0), control.shards[0].owner);
    let other = control.members.keys().copied().find(|node| *node != owner).expect("there are two");
    let told = Told::default();
    told.0.lock().insert(other, (now, vec![(shard, 7)]));
    assert_eq!(told.costs(&control, now), BTreeMap::new());
    told.0.lock().insert(owner, (now, vec![(shard, 9)]));
    assert_eq!(told.costs(&control, now), BTreeMap::from([(shard, 9)]));
    assert_eq!(told.costs(&control, now + FRESH), BTreeMap::new());
}
