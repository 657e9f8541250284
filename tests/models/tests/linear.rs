//! The append as its clients see it: one log, whatever happens behind it; and what they see of a broken design.

use hubbub_models::{
    append::Mutant,
    linear::{LINEAR, Linear, READ_BOTH},
    search::{search, shortest_way},
};

/// Most steps to a fault: two more than the longest of the ways below.
const STEPS_MAX: usize = 11;

fn steps_to_a_fault(mutant: Mutant) -> usize {
    shortest_way(&Linear { mutant }, LINEAR, STEPS_MAX).len()
}

#[test]
fn clients_see_one_log() {
    assert_eq!(search(&Linear { mutant: Mutant::None }).names, [READ_BOTH]);
}

#[test]
fn an_answer_before_the_commit_is_missed_by_the_next_reader() {
    assert_eq!(steps_to_a_fault(Mutant::AckBeforeCommit), 5);
}

#[test]
fn a_message_that_is_stored_twice_is_seen_by_whoever_reads() {
    assert_eq!(steps_to_a_fault(Mutant::NoDedupe), 7);
}

#[test]
fn an_append_that_lands_late_takes_the_place_of_what_was_answered() {
    assert_eq!(steps_to_a_fault(Mutant::LateStatement), 9);
}
