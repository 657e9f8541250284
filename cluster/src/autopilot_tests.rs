//! Which voters there should be, for given and for random members.

use proptest::prelude::*;

use super::*;

fn candidate(node: u64, zone: u64) -> Candidate {
    Candidate {
        node: NodeId(node),
        peer: Peer { addresses: vec![format!("node-{node}:7400")] },
        zone: format!("zone-{zone}"),
        election_slot: u8::try_from(node % 7).expect("small"),
        stable: true,
        lag: Some(0),
    }
}

fn nodes(numbers: &[u64]) -> BTreeSet<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

fn group(size: u64, zones: u64) -> Vec<Candidate> {
    (1..=size).map(|node| candidate(node, node % zones)).collect()
}

#[test]
fn the_number_of_voters_follows_the_number_of_members_and_zones() {
    let counts = [1, 2, 3, 4, 5, 6, 7, 9].map(|size| wanted_count(&group(size, 1), 5));
    assert_eq!(counts, [1, 1, 3, 3, 3, 3, 5, 5]);
    assert_eq!(wanted_count(&group(5, 3), 5), 5);
    assert_eq!(wanted_count(&group(9, 3), 7), 7);
    assert_eq!(wanted_count(&group(9, 3), 4), 3);
}

#[test]
fn a_cluster_of_one_becomes_three_voters_in_three_changes() {
    let (members, mut voters, mut learners) = (group(3, 1), nodes(&[1]), nodes(&[]));
    for _ in 0..2 {
        let change = next_change(&members, &voters, &learners, 5, true);
        let Some(Change::AddLearner { node, .. }) = change else { panic!("{change:?}") };
        learners.insert(node);
    }
    let change = next_change(&members, &voters, &learners, 5, true);
    assert_eq!(change, Some(Change::SetVoters { voters: nodes(&[1, 2, 3]) }));
    (voters, learners) = (nodes(&[1, 2, 3]), nodes(&[]));
    assert_eq!(next_change(&members, &voters, &learners, 5, true), None);
}

#[test]
fn nothing_changes_soon_after_a_change_or_before_the_new_one_has_caught_up() {
    let mut members = group(3, 1);
    assert_eq!(next_change(&members, &nodes(&[1]), &nodes(&[]), 5, false), None);
    members[2].lag = Some(LAG_MAX + 1);
    assert_eq!(next_change(&members, &nodes(&[1]), &nodes(&[2, 3]), 5, true), None);
}

#[test]
fn a_dead_voter_is_replaced_by_a_standby_and_a_group_does_not_shrink_for_the_dead() {
    let mut members = group(4, 1);
    members[1].stable = false;
    let change = next_change(&members, &nodes(&[1, 2, 3]), &nodes(&[4]), 5, true);
    assert_eq!(change, Some(Change::SetVoters { voters: nodes(&[1, 3, 4]) }));
    assert_eq!(next_change(&members[..3], &nodes(&[1, 2, 3]), &nodes(&[]), 5, true), None);
}

#[test]
fn voters_stand_in_different_zones() {
    let members: Vec<_> = [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2)].map(|(node, zone)| candidate(node, zone)).into();
    assert_eq!(wanted(&members, &nodes(&[1, 2, 3]), 3), nodes(&[1, 4, 5]));
}

#[test]
fn two_others_stand_by_once_the_voters_are_chosen_and_take_a_lost_ones_place() {
    let (mut members, voters, mut learners) = (group(6, 1), nodes(&[1, 2, 3]), nodes(&[]));
    for wanted in [4, 5] {
        let change = next_change(&members, &voters, &learners, 5, true);
        assert!(matches!(change, Some(Change::AddLearner { node: NodeId(n), .. }) if n == wanted), "{change:?}");
        assert!(learners.insert(NodeId(wanted)));
    }
    assert_eq!(next_change(&members, &voters, &learners, 5, true), None, "node 6 only hears of the map");
    assert_eq!(next_change(&members, &voters, &nodes(&[4]), 5, false), None, "one change, then a rest");
    // Node 6 may have as good a place; who stands by goes on.
    assert_eq!(next_change(&members, &voters, &nodes(&[5, 6]), 5, true), None);

    members[4].stable = false;
    let change = next_change(&members, &voters, &learners, 5, true);
    assert_eq!(change, Some(Change::RemoveLearner { node: NodeId(5) }), "one that is gone does not stand by");
    members[1].stable = false;
    let change = next_change(&members, &voters, &learners, 5, true);
    assert_eq!(
        change,
        Some(Change::SetVoters { voters: nodes(&[1, 3, 4]) }),
        "a voter is replaced first, and at once"
    );
}

#[test]
fn who_stands_by_does_so_in_another_zone_than_the_voters_and_the_other() {
    let members: Vec<_> =
        [(1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (6, 1), (7, 2)].map(|(node, zone)| candidate(node, zone)).into();
    assert_eq!(standbys(&members, &nodes(&[1, 2, 3]), &nodes(&[])), nodes(&[5, 7]));
    assert_eq!(
        standbys(&members, &nodes(&[1, 2, 3]), &nodes(&[4, 6])),
        nodes(&[6, 7]),
        "a better zone counts more"
    );
    assert_eq!(standbys(&members, &nodes(&[1, 5, 7]), &nodes(&[])), nodes(&[2, 6]));
}

proptest! {
    #[test]
    fn the_voters_are_odd_stable_and_reached_in_few_changes(
        states in prop::collection::vec((0_u64..4, prop::option::of(0_u64..20), 0_u64..500), 1..12),
        max in 1_usize..9,
    ) {
        let mut members: Vec<Candidate> = (1..).zip(states).map(|(node, (zone, healthy, lag))| Candidate {
            stable: healthy.is_some_and(|seconds| seconds >= 10),
            lag: (lag < 400).then_some(lag),
            ..candidate(node, zone)
        }).collect();
        let (mut voters, mut learners) = (nodes(&[1]), nodes(&[]));
        for step in 0.. {
            prop_assert!(step < 24, "no end");
            let change = next_change(&members, &voters, &learners, max, true);
            match change {
                None => {
                    let stable = |node: &NodeId| members.iter().any(|member| member.node == *node && member.stable);
                    if wanted(&members, &voters, max) == voters {
                        let others = members.iter().filter(|m| m.stable && !voters.contains(&m.node)).count();
                        prop_assert!(learners.iter().all(stable) && learners.is_disjoint(&voters));
                        prop_assert_eq!(learners.len(), others.min(STANDBYS_MAX));
                    }
                    break;
                }
                Some(Change::AddLearner { node, .. }) => {
                    prop_assert!(learners.insert(node));
                    for member in &mut members {
                        if member.node == node { member.lag = Some(0); }
                    }
                }
                Some(Change::RemoveLearner { node }) => prop_assert!(learners.remove(&node)),
                Some(Change::SetVoters { voters: next }) => {
                    prop_assert!(next.len() % 2 == 1 && next.len() <= VOTERS_MAX.min(max));
                    prop_assert!(next.iter().all(|node| learners.contains(node) || voters.contains(node)));
                    for node in voters.union(&learners.clone()).filter(|node| !next.contains(node)) {
                        learners.insert(*node);
                    }
                    learners.retain(|node| !next.contains(node));
                    voters = next;
                }
            }
        }
    }
}
