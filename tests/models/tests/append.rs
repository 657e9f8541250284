//! The fence and what hangs on it, in every order of events; and what falls when one part is left out.

use hubbub_models::{
    append::{Append, BOTH_ACKED, FENCE_REFUSED, FENCED, FRESH, Mutant, ONCE, READABLE, WHOLE_HEAD},
    search::{search, shortest_way},
};

/// Most steps to a fault: two more than the longest of the ways below.
const STEPS_MAX: usize = 12;

fn steps_to(property: &'static str, mutant: Mutant) -> usize {
    shortest_way(&Append { mutant }, property, STEPS_MAX).len()
}

#[test]
fn the_design_keeps_every_promise() {
    let found = search(&Append { mutant: Mutant::None });
    assert_eq!(found.names, [FENCE_REFUSED, BOTH_ACKED]);
}

#[test]
fn an_ack_before_the_commit_loses_a_message() {
    assert_eq!(steps_to(READABLE, Mutant::AckBeforeCommit), 4);
}

#[test]
fn without_a_look_at_the_key_a_retry_is_stored_twice() {
    assert_eq!(steps_to(ONCE, Mutant::NoDedupe), 7);
}

#[test]
fn without_the_epoch_a_former_owner_still_appends() {
    assert_eq!(steps_to(FENCED, Mutant::NoEpochCheck), 7);
    assert_eq!(steps_to(READABLE, Mutant::NoEpochCheck), 10);
}

#[test]
fn an_epoch_used_again_loses_an_acknowledged_message() {
    assert_eq!(steps_to(FRESH, Mutant::SameEpoch), 4);
    assert_eq!(steps_to(READABLE, Mutant::SameEpoch), 10);
}

#[test]
fn a_statement_that_lands_after_it_was_resolved_loses_a_message() {
    assert_eq!(steps_to(READABLE, Mutant::LateStatement), 8);
}

#[test]
fn without_the_head_the_fence_and_the_primary_key_still_hold() {
    let found = search(&Append { mutant: Mutant::NoHeadCheck });
    assert_eq!(found.names, [FENCE_REFUSED, BOTH_ACKED]);
}

#[test]
fn a_stale_head_costs_a_reload_where_every_answer_is_heard() {
    let found = search(&Append { mutant: Mutant::StaleHead });
    assert_eq!(found.names, [FENCE_REFUSED, WHOLE_HEAD, BOTH_ACKED]);
}

#[test]
fn a_stale_head_loses_a_message_where_an_append_is_resolved_by_its_head() {
    assert_eq!(steps_to(READABLE, Mutant::StaleHeadResolved), 10);
}
