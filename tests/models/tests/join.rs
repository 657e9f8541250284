//! Joining, by the product's own state machine, in every order of entries.

use hubbub_models::{
    join::{ALL_USED, CAME_BACK, Join, Mutant, NEW_NUMBERS, SAME_NUMBER, WITHIN_USES},
    search::{search, shortest_way},
};

/// Most steps to a fault: two more than the longest of the ways below.
const STEPS_MAX: usize = 5;

fn steps_to(property: &'static str, mutant: Mutant) -> usize {
    shortest_way(&Join { mutant }, property, STEPS_MAX).len()
}

#[test]
fn a_token_admits_whom_it_says_each_under_a_number_of_its_own() {
    let found = search(&Join { mutant: Mutant::None });
    assert_eq!(found.names, [CAME_BACK, ALL_USED]);
}

#[test]
fn a_token_whose_uses_are_not_written_down_admits_too_many() {
    assert_eq!(steps_to(WITHIN_USES, Mutant::UsesForgotten), 3);
}

#[test]
fn numbers_that_are_not_log_indexes_are_given_twice() {
    assert_eq!(steps_to(NEW_NUMBERS, Mutant::IndexRepeated), 2);
}

#[test]
fn a_retry_under_another_key_is_another_node() {
    assert_eq!(steps_to(SAME_NUMBER, Mutant::KeyForgotten), 2);
}
