//! Each fault a server could commit, committed once, and found.

use std::time::{Duration, Instant};

use super::*;
use crate::schedule::{Case, Timing};

/// One room of two clients, both senders: numbers 0, 2, 4… are of client 0, 1, 3, 5… of client 1.
fn schedule() -> Schedule {
    let case = Case { name: "test", rooms: 1, members_per_room: 2, senders: 2, messages_per_s: 10 };
    let timing = Timing { warm_up: Duration::ZERO, window: Duration::from_secs(1), drain: Duration::ZERO };
    Schedule::new(case, timing, Instant::now())
}

fn message(seq: u64, number: u32) -> Heard {
    Heard::Message { seq: Some(seq), number, own_room: true }
}

fn unnumbered(number: u32) -> Heard {
    Heard::Message { seq: None, number, own_room: true }
}

fn verdict(shown: [&[Heard]; 2], sent: &[u32], answers: bool) -> Verdict {
    let schedule = schedule();
    let ledgers = shown.map(|shown| {
        let mut ledger = Ledger::default();
        for heard in shown {
            ledger.enter(*heard, &schedule);
        }
        ledger
    });
    judge(&ledgers, |_| 0, &schedule, sent, answers)
}

#[test]
fn a_faultless_run_is_clean_whatever_the_order_of_the_senders() {
    let shown = [message(8, 1), message(9, 0), Heard::Event { seq: 10 }, message(11, 2)];
    let verdict = verdict([&shown, &shown], &[0, 1, 2], false);
    assert!(verdict.is_clean(), "{verdict:?}");
    assert_eq!((verdict.expected, verdict.received), (6, 6));
}

#[test]
fn a_lost_message_is_counted_for_the_client_that_missed_it() {
    let verdict = verdict([&[message(1, 0), message(2, 1)], &[message(1, 0)]], &[0, 1], false);
    assert_eq!((verdict.lost, verdict.diverged_rooms), (1, 0));
    assert!(!verdict.is_clean());
}

#[test]
fn a_message_shown_twice_is_doubled_and_not_received_twice() {
    let twice = [message(1, 0), message(1, 0)];
    let verdict = verdict([&twice, &[message(1, 0)]], &[0], false);
    assert_eq!((verdict.faults.doubled, verdict.received), (1, 2));
}

#[test]
fn an_earlier_seq_after_a_later_one_is_out_of_order() {
    let swapped = [message(2, 1), message(1, 0)];
    let found = verdict([&swapped, &swapped], &[0, 1], false);
    assert_eq!(found.faults.out_of_order, 2);
}

#[test]
fn a_senders_messages_swapped_under_rising_seqs_are_out_of_order() {
    let swapped = [message(1, 2), message(2, 0)];
    let found = verdict([&swapped, &swapped], &[0, 2], false);
    assert_eq!(found.faults.out_of_order, 2);
}

#[test]
fn members_who_saw_different_orders_make_their_room_diverged() {
    let found = verdict([&[message(1, 0), message(2, 1)], &[message(1, 1), message(2, 0)]], &[0, 1], false);
    assert_eq!((found.diverged_rooms, found.lost, found.faults.out_of_order), (1, 0, 0));
}

#[test]
fn orders_are_compared_where_the_server_numbers_nothing() {
    let (one, other) = ([unnumbered(0), unnumbered(1)], [unnumbered(1), unnumbered(0)]);
    let found = verdict([&one, &other], &[0, 1], false);
    assert_eq!((found.diverged_rooms, found.faults.out_of_order, found.faults.holes), (1, 0, 0));
    let overtaken = [unnumbered(2), unnumbered(0)];
    assert_eq!(verdict([&overtaken, &overtaken], &[0, 2], false).faults.out_of_order, 2);
    assert!(verdict([&one, &one], &[0, 1], false).is_clean());
}

#[test]
fn a_skipped_seq_is_a_hole() {
    let found = verdict([&[message(1, 0), message(3, 1)], &[message(1, 0), message(2, 1)]], &[0, 1], false);
    assert_eq!(found.faults.holes, 1);
}

#[test]
fn strays_and_gaps_are_counted() {
    let stray = Heard::Message { seq: Some(1), number: 0, own_room: false };
    let unknown = message(1, 99);
    let found = verdict([&[stray, unknown, Heard::Gap], &[]], &[], false);
    assert_eq!((found.faults.strays, found.faults.gaps), (2, 1));
}

#[test]
fn a_refused_send_is_expected_of_nobody_and_an_unanswered_one_still_is() {
    let refused = Heard::Reply { id: 0, ok: false };
    let found = verdict([&[refused], &[]], &[0, 1], true);
    assert_eq!((found.refused, found.unanswered), (1, 1));
    assert_eq!((found.expected, found.lost), (2, 2));
    let answered = [Heard::Reply { id: 0, ok: true }, message(1, 0)];
    assert!(verdict([&answered, &[message(1, 0)]], &[0], true).is_clean());
}

#[test]
fn replies_to_other_requests_are_no_answers() {
    let heartbeat = Heard::Reply { id: u32::MAX, ok: true };
    let mut ledger = Ledger::default();
    assert_eq!(ledger.enter(heartbeat, &schedule()), Entry::Nothing);
    assert_eq!(ledger.answered, 0);
}
