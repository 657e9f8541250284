//! What a track promises, on chosen and on random orders of arrival.

use hubbub_protocol::{event::EventBody, ids::UserId, time::Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::*;

const RANDOM_CASES: u64 = 100;
const NOTHING: [i64; 0] = [];

fn came(seq: u64) -> Came {
    let body = EventBody::MemberJoined { user: UserId::from_raw(1) };
    let (room, by) = (RoomId::from_raw(1), UserId::from_raw(1));
    let event = Event { room, seq: Seq(seq), ts: Timestamp(0), by, key: None, body };
    Came::read(event.encode()).expect("our own form")
}

fn page(seqs: impl IntoIterator<Item = u64>) -> Vec<Came> {
    seqs.into_iter().map(came).collect()
}

/// Seqs handed on; what is lost shows as a negative.
fn told(steps: Vec<Step>) -> Vec<i64> {
    let number = |seq: Seq| i64::try_from(seq.0).expect("small");
    let each = |step| match step {
        Step::Event(came) => vec![number(came.seq)],
        Step::Lost { from, to } => (number(from)..=number(to)).map(|seq| -seq).collect(),
    };
    steps.into_iter().flat_map(each).collect()
}

#[test]
fn doubles_are_dropped_and_holes_are_waited_for() {
    let mut track = Track::after(Seq(0), false);
    assert_eq!(told(track.take(came(1))), [1]);
    assert_eq!(told(track.take(came(3))), NOTHING);
    assert!(track.is_behind());
    assert_eq!(told(track.take(came(1))), NOTHING);
    assert_eq!(told(track.take(came(2))), [2, 3]);
    assert!(!track.is_behind());
}

#[test]
fn what_the_node_says_is_missing_is_waited_for_though_no_hole_shows() {
    let mut track = Track::after(Seq(4), false);
    track.owe(Seq(6));
    assert!(track.is_behind());
    assert_eq!(told(track.take(came(7))), NOTHING);
    assert_eq!(told(track.page(page([5, 6]))), [5, 6, 7]);
}

#[test]
fn what_the_log_no_longer_holds_is_told_and_passed_over() {
    let mut track = Track::after(Seq(0), false);
    track.owe(Seq(9));
    assert_eq!(told(track.page(page([3, 4]))), [-1, -2, 3, 4]);
    assert_eq!(told(track.take(came(8))), NOTHING);
    assert_eq!(told(track.give_up()), [-5, -6, -7, 8, -9]);
    assert_eq!(told(track.take(came(10))), [10]);
}

#[test]
fn a_sparse_track_takes_holes_for_what_was_left_out() {
    let mut track = Track::after(Seq(0), true);
    assert_eq!(told(track.take(came(3))), [3]);
    track.owe(Seq(5));
    assert_eq!(told(track.take(came(9))), NOTHING);
    assert_eq!(told(track.page(page([4, 5]))), [4, 5, 9]);
}

#[test]
fn a_restored_log_begins_anew_at_its_head() {
    let mut track = Track::after(Seq(50), false);
    track.rewind(Seq(20));
    assert_eq!(told(track.take(came(21))), [21]);
}

#[test]
fn an_event_of_a_later_version_keeps_its_place() {
    let json = br#"{"ev":"room","room":"0000000000001","seq":2,"ts":"2026-11-22T12:00:00.000Z","type":"poll.closed","by":"0000000000001","data":{}}"#;
    let later = Came::read(Bytes::from_static(json)).expect("a place");
    assert!(later.event.is_none());
    let mut track = Track::after(Seq(0), false);
    track.take(later);
    assert_eq!(told(track.take(came(1))), [1, 2]);
}

#[test]
fn what_waits_is_bounded_and_owed() {
    let mut track = Track::after(Seq(0), false);
    for seq in 2..1_000 {
        assert!(track.take(came(seq)).is_empty());
    }
    assert_eq!(track.ahead.len(), AHEAD_MAX);
    let handed: Vec<i64> =
        (0..10).flat_map(|_| told(track.page(page((track.seen().0 + 1..1_000).take(100))))).collect();
    assert_eq!(handed, (1..1_000).collect::<Vec<_>>());
    assert!(!track.is_behind());
}

/// Live events are dropped, doubled and shuffled at will; pages are asked for whenever the track is behind.
#[test]
fn whatever_is_dropped_doubled_or_shuffled_each_is_handed_on_once_in_order() {
    for seed in 0..RANDOM_CASES {
        let mut random = StdRng::seed_from_u64(seed);
        let head = random.random_range(1..600_u64);
        let mut live: Vec<u64> = (1..=head).filter(|_| random.random_bool(0.8)).collect();
        live.extend((1..=head).filter(|_| random.random_bool(0.2)).collect::<Vec<_>>());
        live.push(head);
        if random.random_bool(0.5) {
            live.shuffle(&mut random);
        } else {
            live.sort_unstable();
        }
        let mut track = Track::after(Seq(0), false);
        let mut handed = Vec::new();
        for seq in live {
            handed.extend(told(track.take(came(seq))));
            if track.is_behind() && random.random_bool(0.3) {
                let after = track.seen().0;
                handed.extend(told(track.page(page((after + 1..=head).take(random.random_range(1..40))))));
            }
        }
        while track.is_behind() {
            let after = track.seen().0;
            handed.extend(told(track.page(page((after + 1..=head).take(100)))));
        }
        let all: Vec<i64> = (1..=i64::try_from(head).expect("small")).collect();
        assert_eq!(handed, all, "seed {seed}");
    }
}
