//! No epoch is given twice, whatever the control plane does and however often the process starts.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::control::{
    Control, MemberState, VersionRange,
    samples::{self, apply},
};

const ME: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(12);

#[derive(Debug, Clone)]
enum Step {
    /// The actors want an epoch above this one.
    Want(u32, u64),
    /// The leader gives a shard to a node.
    Assign(u32, bool),
    /// What was asked for, or a repeat of it, is carried out, perhaps with a fence that only the database knew.
    Renew(u32, u64),
    /// The map comes this many changes closer to the facts.
    Hear(usize),
    /// The process starts again, on a map that may be old.
    Start(usize),
    /// The start is registered.
    Register,
}

fn any_step() -> impl Strategy<Value = Step> {
    let shard = || 0_u32..3;
    prop_oneof![
        4 => (shard(), 0_u64..12).prop_map(|(shard, stored)| Step::Want(shard, stored)),
        2 => (shard(), any::<bool>()).prop_map(|(shard, ours)| Step::Assign(shard, ours)),
        2 => (shard(), 0_u64..12).prop_map(|(shard, floor)| Step::Renew(shard, floor)),
        4 => (1_usize..5).prop_map(Step::Hear),
        1 => (0_usize..9).prop_map(Step::Start),
        2 => Just(Step::Register),
    ]
}

fn two_nodes() -> Control {
    let mut control = Control::default();
    for (index, command) in [(10, samples::found()), (11, samples::create_token(5, 3)), (12, samples::join(5, 2))] {
        apply(&mut control, index, command);
    }
    let up = Command::SetState { node: OTHER, incarnation: 1, state: MemberState::Up };
    apply(&mut control, 13, up);
    control
}

fn register(incarnation: u64) -> Command {
    let versions = VersionRange { min: 1, max: 2 };
    Command::Register { node: ME, incarnation, addresses: vec!["a:1".into()], versions }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_epoch_is_given_once_over_all_starts_and_above_the_fence(steps in prop::collection::vec(any_step(), 1..150)) {
        let mut control = two_nodes();
        let (mut history, mut at) = (vec![Map::of(&control)], 0);
        let (mut given, mut incarnation) = (Given::default(), 1);
        let mut all = BTreeSet::new();
        for (index, step) in (20..).zip(steps) {
            let place = |shard| *control.shard(ShardId(shard)).expect("there are 8");
            let command = match step {
                Step::Want(shard, stored) => {
                    let offer = given.offer(&history[at], ME, incarnation, ShardId(shard), Epoch(stored));
                    if let Offer::Fresh(epoch) = offer {
                        prop_assert!(epoch > Epoch(stored));
                        prop_assert!(all.insert((shard, epoch)), "epoch {epoch} of shard {shard} was given twice");
                    }
                    continue;
                }
                Step::Hear(count) => {
                    at = (at + count).min(history.len() - 1);
                    continue;
                }
                Step::Start(behind) => {
                    (given, incarnation, at) = (Given::default(), incarnation + 1, at.saturating_sub(behind));
                    continue;
                }
                Step::Register => register(incarnation),
                Step::Assign(shard, ours) => {
                    let to = if ours { ME } else { OTHER };
                    Command::Assign { moves: vec![samples::to(shard, place(shard).epoch.0, to.0)] }
                }
                Step::Renew(shard, floor) => {
                    Command::Renew { node: ME, shards: vec![samples::renewal(shard, place(shard).epoch.0, floor)] }
                }
            };
            apply(&mut control, index, command);
            history.push(Map::of(&control));
        }
    }
}

#[test]
fn what_the_map_offers_comes_first_and_what_it_does_not_is_asked_for_above_every_fence() {
    let (control, mut given) = (two_nodes(), Given::default());
    let map = Map::of(&control);
    let mut offer = |incarnation, shard, stored| given.offer(&map, ME, incarnation, ShardId(shard), Epoch(stored));
    assert_eq!(offer(2, 0, 0), Offer::NotYet, "the map names another start");
    assert_eq!(offer(1, 99, 0), Offer::NotYet, "there is no such shard yet");
    assert_eq!(offer(1, 0, 0), Offer::Fresh(Epoch(1)));
    assert_eq!(offer(1, 0, 0), Offer::Renew(samples::renewal(0, 1, 1)));
    assert_eq!(offer(1, 1, 40), Offer::Renew(samples::renewal(1, 1, 40)));
    assert_eq!(samples::renewal(1, 1, 40).renewed(), Epoch(41));
}

#[test]
fn a_shard_of_another_or_on_its_way_is_not_given() {
    let (mut control, mut given) = (two_nodes(), Given::default());
    apply(&mut control, 14, Command::Assign { moves: vec![samples::to(0, 1, 12)] });
    apply(&mut control, 15, Command::BeginMoves { moves: vec![samples::to(1, 1, 12)] });
    let map = Map::of(&control);
    for shard in [0, 1] {
        assert_eq!(given.offer(&map, ME, 1, ShardId(shard), Epoch(0)), Offer::NotOurs);
    }
}
