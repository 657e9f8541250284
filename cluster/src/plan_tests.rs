//! The planner's promises, held against random clusters.

use proptest::prelude::*;

use super::*;
use crate::control::samples::{self, apply};

fn any_cluster() -> impl Strategy<Value = (Vec<Taker>, Vec<NodeId>)> {
    let takers = prop::collection::btree_map(1_u64..20, 1_u32..5, 1..12).prop_map(|nodes| {
        nodes.into_iter().map(|(node, capacity)| Taker { node: NodeId(node), capacity }).collect()
    });
    (takers, prop::collection::vec((1_u64..24).prop_map(NodeId), 0..300))
}

fn counts(placed: &[NodeId]) -> BTreeMap<NodeId, usize> {
    placed.iter().fold(BTreeMap::new(), |mut counts, node| {
        *counts.entry(*node).or_default() += 1;
        counts
    })
}

fn after(placed: &[NodeId], moves: &[(ShardId, NodeId)]) -> Vec<NodeId> {
    let mut placed = placed.to_vec();
    for (shard, to) in moves {
        placed[usize::try_from(shard.0).expect("small")] = *to;
    }
    placed
}

proptest! {
    #[test]
    fn every_node_ends_within_one_shard_of_its_share((takers, placed) in any_cluster()) {
        let placed = after(&placed, &moves(&takers, &placed));
        let (held, capacity) = (counts(&placed), takers.iter().map(|taker| f64::from(taker.capacity)).sum::<f64>());
        prop_assert_eq!(takers.iter().map(|taker| held.get(&taker.node).copied().unwrap_or(0)).sum::<usize>(), placed.len());
        for taker in &takers {
            let count = f64::from(u32::try_from(held.get(&taker.node).copied().unwrap_or(0)).expect("small"));
            let share = f64::from(u32::try_from(placed.len()).expect("small")) * f64::from(taker.capacity) / capacity;
            prop_assert!((count - share).abs() < 1.0 + 1e-9, "{taker:?} has {count}, its share is {share}");
        }
    }

    #[test]
    fn only_orphans_and_what_is_beyond_a_share_move_and_each_shard_once((takers, placed) in any_cluster()) {
        let moves = moves(&takers, &placed);
        let (before, end) = (counts(&placed), counts(&after(&placed, &moves)));
        let takes = |node: &NodeId| takers.iter().any(|taker| taker.node == *node);
        let needed: usize = before.iter().map(|(node, count)| {
            if takes(node) { count.saturating_sub(end.get(node).copied().unwrap_or(0)) } else { *count }
        }).sum();
        prop_assert_eq!(moves.len(), needed);
        let mut shards: Vec<_> = moves.iter().map(|(shard, _)| *shard).collect();
        shards.sort_unstable();
        shards.dedup();
        prop_assert_eq!(shards.len(), moves.len());
    }

    #[test]
    fn a_balanced_cluster_is_left_alone_and_the_order_of_nodes_does_not_matter((mut takers, placed) in any_cluster()) {
        let first = moves(&takers, &placed);
        prop_assert!(moves(&takers, &after(&placed, &first)).is_empty());
        takers.reverse();
        prop_assert_eq!(moves(&takers, &placed), first);
    }

    #[test]
    fn a_node_that_joins_a_balanced_cluster_takes_its_share_and_nothing_else_moves(size in 1_u64..10) {
        let takers = |size: u64| (1..=size).map(|node| Taker { node: NodeId(node), capacity: 1 }).collect::<Vec<_>>();
        let placed = after(&[NodeId(99); 256], &moves(&takers(size), &[NodeId(99); 256]));
        let moved = moves(&takers(size + 1), &placed);
        prop_assert!(moved.iter().all(|(_, to)| *to == NodeId(size + 1)));
        prop_assert_eq!(moved.len(), usize::try_from(256 / (size + 1)).expect("small"));
    }
}

#[test]
fn orphans_come_before_drains_and_drains_before_balance() {
    let mut control = Control::default();
    apply(&mut control, 2, samples::found());
    apply(&mut control, 3, samples::create_token(1, 9));
    for (index, number) in [(10, 2), (11, 3)] {
        apply(&mut control, index, samples::join(1, number));
    }
    assert_eq!(plan(&control), Plan::default(), "nodes that are joining are given nothing");
    for node in [10, 11] {
        apply(&mut control, 20, samples::up(node));
    }
    let balance = plan(&control).balance;
    assert!((5..=6).contains(&balance.len()), "{balance:?}");
    apply(&mut control, 21, crate::control::Command::BeginMoves { moves: balance });
    assert_eq!(plan(&control), Plan::default(), "shards on their way count as being there");

    let set = |state| crate::control::Command::SetState { node: NodeId(1), incarnation: 1, state };
    apply(&mut control, 22, set(MemberState::Draining));
    let (drains, moving) = (plan(&control).drains.len(), counts_moving(&control));
    assert_eq!((drains + moving, plan(&control).orphans.len()), (8, 0));
    apply(&mut control, 23, set(MemberState::Down));
    assert_eq!(plan(&control).orphans.len(), 8 - moving);
}

fn counts_moving(control: &Control) -> usize {
    control.shards.iter().filter(|shard| shard.place != Place::Stable).count()
}
