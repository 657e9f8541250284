//! A clean history, and each promise broken in it once.

use super::{super::read, check};

/// Ada sends two messages, is cut off between, reads, and follows; bob only follows.
const CLEAN: &str = r#"
{"client":"ada","op":"begin","room":"r","seq":0}
{"client":"ada","op":"send","room":"r","key":"a"}
{"client":"ada","op":"ack","room":"r","key":"a","seq":1,"ts":5}
{"client":"ada","op":"event","room":"r","key":"a","seq":1}
{"client":"ada","op":"send","room":"r","key":"b"}
{"client":"ada","op":"unknown","room":"r","key":"b"}
{"client":"ada","op":"resume","room":"r","seq":1}
{"client":"ada","op":"send","room":"r","key":"b"}
{"client":"ada","op":"ack","room":"r","key":"b","seq":2}
{"client":"ada","op":"event","room":"r","key":"b","seq":2}
{"client":"ada","op":"read","room":"r"}
{"client":"ada","op":"history","room":"r","from":1,"to":2,"events":[[1,"a"],[2,"b"]]}
{"client":"ada","op":"event","room":"r","seq":3}
{"client":"ada","op":"quiet","room":"r"}
{"client":"bob","op":"begin","room":"r","seq":0}
{"client":"bob","op":"gap","room":"r","from":1,"to":2}
{"client":"bob","op":"event","room":"r","seq":3}
{"client":"bob","op":"quiet","room":"r"}
{"client":"end","op":"log","room":"r","seq":1,"key":"a"}
{"client":"end","op":"log","room":"r","seq":2,"key":"b"}
{"client":"end","op":"log","room":"r","seq":3}
"#;

/// The invariants that are broken when, in [`CLEAN`], `line` is replaced by `by`.
fn broken(line: &str, by: &str) -> Vec<u8> {
    assert!(CLEAN.contains(line), "the history has this line: {line}");
    found(&CLEAN.replacen(line, by, 1))
}

fn found(text: &str) -> Vec<u8> {
    let mut numbers: Vec<u8> =
        check(&read(text).expect("a history")).into_iter().map(|finding| finding.invariant).collect();
    numbers.dedup();
    numbers
}

#[test]
fn a_clean_history_has_no_findings() {
    assert!(found(CLEAN).is_empty());
}

#[test]
fn an_acknowledged_message_that_is_gone_is_found() {
    let gone = r#"{"client":"end","op":"log","room":"r","seq":2,"key":"b"}"#;
    let other = r#"{"client":"end","op":"log","room":"r","seq":2,"key":"c"}"#;
    assert!(broken(gone, other).contains(&3));
    let last = r#"{"client":"end","op":"log","room":"r","seq":3}"#;
    assert_eq!(broken(last, ""), [3], "what was seen and never acknowledged stays as well");
}

#[test]
fn a_hole_and_a_fork_in_the_log_are_found() {
    let first = r#"{"client":"end","op":"log","room":"r","seq":1,"key":"a"}"#;
    assert!(broken(first, "").contains(&4));
    let forked = format!("{first}\n{}", first.replace("\"a\"", "\"z\""));
    assert!(broken(first, &forked).contains(&4));
    let seen = r#"{"client":"ada","op":"event","room":"r","key":"b","seq":2}"#;
    assert_eq!(broken(seen, &seen.replace("\"b\"", "\"z\"")), [4]);
}

#[test]
fn a_key_stored_twice_or_answered_twice_is_found() {
    let last = r#"{"client":"end","op":"log","room":"r","seq":3}"#;
    let again = r#"{"client":"end","op":"log","room":"r","seq":3,"key":"b"}"#;
    assert!(broken(last, again).contains(&5));
    let ack = r#"{"client":"ada","op":"ack","room":"r","key":"b","seq":2}"#;
    assert!(broken(ack, &format!("{ack}\n{}", ack.replace('2', "1"))).contains(&5));
}

#[test]
fn an_event_that_is_doubled_early_or_missing_is_found() {
    let second = r#"{"client":"ada","op":"event","room":"r","seq":3}"#;
    assert_eq!(broken(second, &format!("{second}\n{second}")), [8]);
    assert_eq!(broken(second, ""), [8], "a missing last event shows when all is quiet");
    assert_eq!(broken(r#"{"client":"bob","op":"gap","room":"r","from":1,"to":2}"#, ""), [8]);
}

#[test]
fn two_sends_that_are_stored_the_other_way_round_are_found() {
    let swapped = r#"
{"client":"ada","op":"send","room":"r","key":"a"}
{"client":"ada","op":"send","room":"r","key":"b"}
{"client":"end","op":"log","room":"r","seq":1,"key":"b"}
{"client":"end","op":"log","room":"r","seq":2,"key":"a"}
"#;
    assert_eq!(found(swapped), [9]);
    let again = format!("{swapped}{}", r#"{"client":"ada","op":"send","room":"r","key":"a"}"#);
    assert!(found(&again).is_empty(), "a repeat after the other may well be stored after it");
}

#[test]
fn a_read_that_misses_an_acknowledged_message_is_found() {
    let whole = r#""events":[[1,"a"],[2,"b"]]"#;
    assert_eq!(broken(whole, r#""events":[[1,"a"]]"#), [10]);
}

#[test]
fn a_resume_that_skips_or_repeats_is_found() {
    let after = r#"{"client":"ada","op":"event","room":"r","key":"b","seq":2}"#;
    assert_eq!(broken(after, ""), [26]);
    let repeated = format!("{}\n{after}", r#"{"client":"ada","op":"event","room":"r","key":"a","seq":1}"#);
    assert_eq!(broken(after, &repeated), [26]);
}

#[test]
fn a_line_that_is_none_is_named() {
    assert!(read("{}").expect_err("no record").starts_with("line 1"));
    let unknown_field = r#"{"client":"a","op":"quiet","room":"r","sqe":1}"#;
    assert!(read(unknown_field).is_err());
}
