//! What is promised of exchanges, held against random clusters and loads.

use proptest::prelude::*;

use super::*;
use crate::plan;

type Cluster = (Vec<Taker>, Vec<NodeId>, BTreeMap<ShardId, Cost>);

/// Nodes of some capacities, shards as the other planner places them, and what a few of them cost.
fn any_cluster() -> impl Strategy<Value = Cluster> {
    let takers = prop::collection::vec(1_u32..4, 2..8).prop_map(|capacities| {
        let nodes = (1..).zip(capacities);
        nodes.map(|(node, capacity)| Taker { node: NodeId(node), capacity }).collect::<Vec<_>>()
    });
    let costs = prop::collection::btree_map((0_u32..128).prop_map(ShardId), 0_u32..400_000, 0..64);
    (takers, costs).prop_map(|(takers, costs)| {
        let placed = after(&[NodeId(99); 128], plan::moves(&takers, &[NodeId(99); 128]));
        (takers, placed, costs)
    })
}

fn after(placed: &[NodeId], moves: impl IntoIterator<Item = (ShardId, NodeId)>) -> Vec<NodeId> {
    let mut placed = placed.to_vec();
    for (shard, to) in moves {
        placed[usize::try_from(shard.0).expect("small")] = to;
    }
    placed
}

fn counts(placed: &[NodeId]) -> BTreeMap<NodeId, usize> {
    placed.iter().fold(BTreeMap::new(), |mut counts, node| {
        *counts.entry(*node).or_default() += 1;
        counts
    })
}

/// Exchanges until nothing moves; the rounds that took, and how it ended.
fn settle((takers, placed, costs): &Cluster) -> (usize, Vec<NodeId>) {
    let mut placed = placed.clone();
    for round in 0..200 {
        let chosen = exchanges(takers, &placed, costs, |_| true);
        if chosen.is_empty() {
            return (round, placed);
        }
        placed = after(&placed, chosen.into_iter().flatten());
    }
    panic!("a constant load moves shards for ever");
}

proptest! {
    #[test]
    fn a_constant_load_comes_to_rest(cluster in any_cluster()) {
        let (rounds, placed) = settle(&cluster);
        prop_assert!(rounds <= 64, "{rounds}");
        prop_assert!(exchanges(&cluster.0, &placed, &cluster.2, |_| true).is_empty());
    }

    #[test]
    fn every_node_keeps_its_number_of_shards_so_the_other_planner_moves_none(cluster in any_cluster()) {
        let (_, placed) = settle(&cluster);
        prop_assert_eq!(counts(&placed), counts(&cluster.1));
        prop_assert!(plan::moves(&cluster.0, &placed).is_empty());
    }

    #[test]
    fn few_shards_move_at_a_time_each_once_and_none_that_rests((takers, placed, costs) in any_cluster(), rests in any::<u32>()) {
        let may = |shard: ShardId| rests & (1 << (shard.0 % 32)) == 0;
        let chosen = exchanges(&takers, &placed, &costs, may);
        prop_assert!(chosen.len() <= EXCHANGES_MAX);
        let mut shards: Vec<ShardId> = chosen.iter().flatten().map(|(shard, _)| *shard).collect();
        prop_assert!(shards.iter().all(|shard| may(*shard)));
        shards.sort_unstable();
        shards.dedup();
        prop_assert_eq!(shards.len(), chosen.len() * 2);
    }

    #[test]
    fn the_busiest_node_is_never_busier_afterwards((takers, placed, costs) in any_cluster()) {
        let busiest = |placed: &[NodeId]| extremes(&carriers(&takers, placed, &costs)).map(|(_, busiest, _)| busiest.strain());
        let moved = after(&placed, exchanges(&takers, &placed, &costs, |_| true).into_iter().flatten());
        prop_assert!(busiest(&moved) <= busiest(&placed));
    }

    /// Forty shards, each a small part of what a node has to do: fine enough to be shared out.
    #[test]
    fn a_load_of_small_parts_ends_even(parts in prop::collection::vec(20_000_u32..40_000, 40), nodes in 2_u64..4) {
        let takers: Vec<Taker> = (1..=nodes).map(|node| Taker { node: NodeId(node), capacity: 1 }).collect();
        let mut placed: Vec<NodeId> = vec![NodeId(1); 40];
        placed.extend((2..=nodes).flat_map(|node| vec![NodeId(node); 40]));
        let costs: BTreeMap<ShardId, Cost> = (0..).map(ShardId).zip(parts).collect();
        let cluster = (takers, placed, costs);
        prop_assert!(is_uneven(&cluster.0, &cluster.1, &cluster.2));
        let (_, placed) = settle(&cluster);
        let (mean, busiest, _) = extremes(&carriers(&cluster.0, &placed, &cluster.2)).expect("there are nodes");
        prop_assert!(!is_over(busiest.strain(), mean, 120), "{busiest:?} of {mean}");
    }
}

fn two() -> Vec<Taker> {
    [1, 2].map(|node| Taker { node: NodeId(node), capacity: 1 }).into()
}

#[test]
fn a_dear_shard_and_a_cheap_one_change_places() {
    let placed = [1, 1, 2, 2].map(NodeId);
    let costs = BTreeMap::from([(ShardId(0), 300_000), (ShardId(1), 200_000), (ShardId(2), 20_000)]);
    assert!(is_uneven(&two(), &placed, &costs));
    let chosen = exchanges(&two(), &placed, &costs, |_| true);
    assert_eq!(chosen, [[(ShardId(0), NodeId(2)), (ShardId(2), NodeId(1))]]);
}

#[test]
fn one_room_that_is_all_there_is_to_do_stays_where_it_is() {
    let costs = BTreeMap::from([(ShardId(0), 900_000)]);
    assert!(is_uneven(&two(), &[1, 2].map(NodeId), &costs));
    assert_eq!(exchanges(&two(), &[1, 2].map(NodeId), &costs, |_| true), Vec::<Exchange>::new());
}

#[test]
fn little_work_moves_nothing_however_uneven() {
    let costs = BTreeMap::from([(ShardId(0), 40_000), (ShardId(1), 40_000)]);
    assert!(!is_uneven(&two(), &[1, 1, 2, 2].map(NodeId), &costs));
    assert_eq!(exchanges(&two(), &[1, 1, 2, 2].map(NodeId), &costs, |_| true), Vec::<Exchange>::new());
}

#[test]
fn a_node_of_twice_the_capacity_carries_twice_as_much() {
    let takers = [Taker { node: NodeId(1), capacity: 2 }, Taker { node: NodeId(2), capacity: 1 }];
    let costs = BTreeMap::from([(ShardId(0), 200_000), (ShardId(1), 200_000), (ShardId(2), 200_000)]);
    assert!(!is_uneven(&takers, &[1, 1, 2].map(NodeId), &costs));
    assert!(is_uneven(&takers, &[1, 2, 2].map(NodeId), &costs));
}
