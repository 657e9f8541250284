//! The lease, in every order of elections, beats and rounds.

use hubbub_models::{
    lease::{CONFIRMED, EXTENDED, FOUND_DEAD, Lease, Mutant, NOT_DEAD},
    search::{search, shortest_way},
};

/// Most steps to a fault: two more than the longest of the ways below.
const STEPS_MAX: usize = 12;

fn steps_to(property: &'static str, mutant: Mutant) -> usize {
    shortest_way(&Lease { mutant }, property, STEPS_MAX).len()
}

#[test]
fn a_deposed_leader_lengthens_no_lease() {
    let found = search(&Lease { mutant: Mutant::None });
    assert_eq!(found.names, [EXTENDED, FOUND_DEAD]);
}

#[test]
fn a_leader_that_does_not_ask_confirms_after_it_was_deposed() {
    assert_eq!(steps_to(CONFIRMED, Mutant::NoRound), 3);
    assert_eq!(steps_to(NOT_DEAD, Mutant::NoRound), 6);
}

#[test]
fn a_round_begun_before_a_beat_arrived_proves_nothing_about_it() {
    assert_eq!(steps_to(CONFIRMED, Mutant::JoinsRunningRound), 8);
}

#[test]
fn a_lease_that_counts_from_the_answer_outlives_the_leader_s_patience() {
    assert_eq!(steps_to(NOT_DEAD, Mutant::CountsFromAnswer), 8);
}

#[test]
fn a_new_leader_that_does_not_wait_calls_the_living_dead() {
    assert_eq!(steps_to(NOT_DEAD, Mutant::HastyLeader), 9);
}
