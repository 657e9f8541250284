//! The product's rules of a room, in every order of sends, crashes and searches; and what falls around them.

use hubbub_models::{
    room::{ALL_ACKED, FOUND, Mutant, ONCE, READABLE, Room},
    search::{search, shortest_way},
};

/// Most steps to a fault: two more than the longest of the ways below.
const STEPS_MAX: usize = 9;

fn steps_to(property: &'static str, mutant: Mutant) -> usize {
    shortest_way(&Room { mutant }, property, STEPS_MAX).len()
}

#[test]
fn the_rules_keep_every_promise() {
    assert_eq!(search(&Room { mutant: Mutant::None }).names, [FOUND, ALL_ACKED]);
}

#[test]
fn a_successor_that_does_not_know_the_newest_keys_stores_one_twice() {
    assert_eq!(steps_to(ONCE, Mutant::NoKeysLoaded), 4);
}

#[test]
fn a_key_that_was_forgotten_and_is_not_looked_for_is_stored_twice() {
    assert_eq!(steps_to(ONCE, Mutant::NoSearch), 6);
}

#[test]
fn a_search_or_an_append_that_takes_longer_than_a_room_remembers_stores_a_key_twice() {
    assert_eq!(steps_to(ONCE, Mutant::NoTimeout), 7);
}

#[test]
fn what_is_acknowledged_when_it_is_accepted_may_never_be_stored() {
    assert_eq!(steps_to(READABLE, Mutant::AckAtAccept), 1);
}

#[test]
fn a_repeat_that_is_acknowledged_before_the_commit_may_never_be_stored() {
    assert_eq!(steps_to(READABLE, Mutant::AckRepeatAtOnce), 2);
}
