//! Budgets of moves, on values.

use super::*;
use crate::control::{
    Command,
    samples::{self, apply},
};

const OTHER: NodeId = NodeId(12);

fn two_nodes() -> Control {
    let mut control = Control::default();
    for (index, command) in [(10, samples::found()), (11, samples::create_token(5, 3)), (12, samples::join(5, 2))] {
        apply(&mut control, index, command);
    }
    apply(&mut control, 13, samples::up(12));
    control
}

fn wanted(shards: u32) -> Vec<ShardMove> {
    (0..shards).map(|shard| samples::to(shard, 1, 12)).collect()
}

#[test]
fn moves_begin_at_their_rate_within_the_owners_bound_and_drains_come_first() {
    let (control, start) = (two_nodes(), Instant::now());
    let timing = RuntimeTiming { moves_per_owner: 3, ..RuntimeTiming::default() };
    let plan = Plan { orphans: Vec::new(), drains: wanted(1), balance: wanted(8).split_off(1) };
    let mut moves = Moves::new(start);
    assert!(moves.choose(&plan, &control, &timing, start).is_empty(), "a leader begins slowly");
    let at = start + Duration::from_millis(40);
    assert_eq!(moves.choose(&plan, &control, &timing, at), wanted(2), "two in 40 ms at 50 a second");
    let at = start + Duration::from_secs(9);
    assert_eq!(moves.choose(&Plan { drains: wanted(8), ..Plan::default() }, &control, &timing, at), wanted(3));
}

#[test]
fn what_is_under_way_counts_and_what_was_moved_for_balance_rests() {
    let (mut control, start) = (two_nodes(), Instant::now());
    let timing = RuntimeTiming::default();
    apply(&mut control, 14, Command::BeginMoves { moves: wanted(7) });
    let plan = Plan { balance: wanted(8).split_off(7), ..Plan::default() };
    let (mut moves, at) = (Moves::new(start), start + Duration::from_secs(1));
    assert_eq!(moves.choose(&plan, &control, &timing, at), plan.balance);
    assert!(moves.choose(&plan, &control, &timing, at + Duration::from_secs(14)).is_empty());
    assert_eq!(moves.choose(&plan, &control, &timing, at + Duration::from_secs(16)), plan.balance);
    apply(&mut control, 15, Command::BeginMoves { moves: plan.balance.clone() });
    assert!(moves.choose(&plan, &control, &timing, at + Duration::from_secs(900)).is_empty(), "8 are under way");
}

#[test]
fn a_move_ends_when_its_time_is_over_or_one_of_its_nodes_is_gone() {
    let (mut control, start) = (two_nodes(), Instant::now());
    let (within, mut moves) = (Duration::from_secs(5), Moves::new(start));
    apply(&mut control, 14, Command::BeginMoves { moves: wanted(1) });
    assert!(moves.overdue(&control, within, start).is_empty());
    assert!(moves.overdue(&control, within, start + Duration::from_millis(4_999)).is_empty());
    assert_eq!(moves.overdue(&control, within, start + within), [(ShardId(0), Epoch(1))]);
    let down = Command::SetState { node: OTHER, incarnation: 1, state: MemberState::Down };
    apply(&mut control, 15, down);
    assert_eq!(Moves::new(start).overdue(&control, within, start), [(ShardId(0), Epoch(1))]);
}
