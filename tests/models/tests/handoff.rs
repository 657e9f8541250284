//! Moves of a shard under a session that sends, in every order of events; and what falls when parts are left out.

use hubbub_models::{
    handoff::{ALL_MOVED, Design, Handoff, IN_ORDER, KEPT, LATE},
    search::{search, shortest_way},
};

/// Most steps to a fault: two more than the longest of the ways below.
const STEPS_MAX: usize = 17;

fn steps_to(property: &'static str, design: Design) -> usize {
    shortest_way(&Handoff::new(design), property, STEPS_MAX).len()
}

#[test]
fn a_move_loses_nothing_stores_nothing_twice_and_keeps_the_order() {
    let found = search(&Handoff::new(Design::WHOLE));
    assert_eq!(found.names, [ALL_MOVED, LATE]);
}

#[test]
fn without_the_waiting_the_fence_still_holds() {
    let found = search(&Handoff::new(Design { waits: false, ..Design::WHOLE }));
    assert_eq!(found.names, [ALL_MOVED, LATE]);
}

#[test]
fn without_the_waiting_and_the_fence_a_message_is_lost() {
    let design = Design { waits: false, fence: false, ends_silent_moves: false, ..Design::WHOLE };
    assert_eq!(steps_to(KEPT, design), 12);
}

#[test]
fn without_the_fence_a_silent_owner_loses_a_message() {
    assert_eq!(steps_to(KEPT, Design { fence: false, ..Design::WHOLE }), 10);
}

#[test]
fn an_edge_that_does_not_wait_for_its_batch_mixes_up_the_order() {
    assert_eq!(steps_to(IN_ORDER, Design { one_batch: false, ..Design::WHOLE }), 7);
}

#[test]
fn without_the_fence_the_word_of_an_owner_that_was_asked_to_stay_loses_a_message() {
    let design = Design { fence: false, ends_silent_moves: false, ..Design::WHOLE };
    assert_eq!(steps_to(KEPT, design), 15);
}
