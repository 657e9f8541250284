//! The outbox by itself: order, bounds, gaps.

use proptest::prelude::*;

use super::*;

const ROOM: RoomId = RoomId::from_raw(1);

fn drain(outbox: &mut Outbox) -> Vec<String> {
    let mut frames = Vec::new();
    while outbox.has_more() {
        let first = outbox.waiting.front().expect("something waits").0.clone();
        let header = if first[1] < 126 { 2 } else { 4 };
        frames.push(String::from_utf8_lossy(&first[header..]).into_owned());
        outbox.written(first.len());
    }
    frames
}

fn event(outbox: &mut Outbox, seq: u64) {
    outbox.event(ROOM, Seq(seq), &Frame::new(format!("e{seq}").as_bytes()), Kind::Event);
}

#[test]
fn frames_leave_in_the_order_in_which_they_came() {
    let mut outbox = Outbox::new(Format::Json);
    event(&mut outbox, 1);
    outbox.push(Frame::new(b"answer").wire(Format::Json).clone());
    event(&mut outbox, 2);
    assert_eq!(drain(&mut outbox), ["e1", "answer", "e2"]);
    assert!(outbox.is_idle());
}

#[test]
fn what_does_not_fit_becomes_one_gap_ahead_of_the_rooms_next_event() {
    let mut outbox = Outbox::new(Format::Json);
    let max = OUTBOX_FRAMES_MAX as u64;
    for seq in 1..=max + 10 {
        event(&mut outbox, seq);
    }
    assert!(outbox.is_full());
    let first = outbox.waiting.front().expect("something waits").0.len();
    outbox.written(first);
    event(&mut outbox, max + 11);
    let frames = drain(&mut outbox);
    let gap = format!(r#"{{"ev":"gap","room":"{ROOM}","from":{},"to":{}}}"#, max + 1, max + 10);
    let at = frames.iter().position(|frame| *frame == gap).expect("a gap");
    assert_eq!(frames[at + 1], format!("e{}", max + 11));
    assert_eq!(frames.iter().filter(|frame| frame.contains("gap")).count(), 1);
    assert_eq!(frames.len() as u64, max - 1 + 2, "one was written; the gap and an event came");
}

#[test]
fn a_gap_is_told_even_when_no_later_event_comes() {
    let mut outbox = Outbox::new(Format::Json);
    for seq in 1..=OUTBOX_FRAMES_MAX as u64 + 1 {
        event(&mut outbox, seq);
    }
    let frames = drain(&mut outbox);
    assert!(frames.last().expect("frames").contains("gap") || frames.iter().any(|frame| frame.contains("gap")));
    assert!(outbox.is_idle());
}

#[test]
fn partial_writes_lose_nothing() {
    let mut outbox = Outbox::new(Format::Json);
    event(&mut outbox, 1);
    event(&mut outbox, 2);
    let all: Vec<u8> = outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect();
    let mut written = Vec::new();
    while outbox.has_more() {
        let next: Vec<u8> = outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect();
        written.push(next[0]);
        outbox.written(1);
    }
    assert_eq!(written, all);
}

#[test]
fn what_was_written_in_part_is_not_counted_any_more() {
    let mut outbox = Outbox::new(Format::Json);
    let large = Frame::new(&vec![b' '; 60_000]);
    for seq in 1..=4 {
        outbox.event(ROOM, Seq(seq), &large, Kind::Event);
    }
    for seq in 5..=40 {
        outbox.written(59_000);
        outbox.event(ROOM, Seq(seq), &large, Kind::Event);
        outbox.written(large.wire(Format::Json).len() - 59_000);
        assert!(!outbox.is_full(), "four frames of 60,000 bytes wait, after {seq}");
    }
}

#[test]
fn only_a_frame_that_was_begun_outlives_a_goodbye() {
    let mut outbox = Outbox::new(Format::Json);
    event(&mut outbox, 1);
    event(&mut outbox, 2);
    outbox.forget();
    assert!(outbox.is_idle());
    event(&mut outbox, 3);
    event(&mut outbox, 4);
    outbox.written(1);
    outbox.forget();
    assert_eq!(outbox.slices().iter().map(|slice| slice.len()).sum::<usize>(), 3, "the rest of the third");
}

#[test]
fn answers_nobody_reads_clog_it_until_they_leave() {
    let mut outbox = Outbox::new(Format::Json);
    let answer = Frame::new(&vec![b' '; OUTBOX_BYTES_MAX]).wire(Format::Json).clone();
    outbox.push(answer.clone());
    assert!(outbox.is_clogged());
    outbox.written(answer.len() / 2);
    assert!(!outbox.is_clogged());
    assert!(!outbox.is_full(), "answers leave no event out");
}

#[test]
fn a_replay_does_not_count_against_live_events() {
    let mut outbox = Outbox::new(Format::Json);
    for seq in 1..=1_000 {
        outbox.event(ROOM, Seq(seq), &Frame::new(b"old"), Kind::Replay);
    }
    event(&mut outbox, 1_001);
    assert_eq!(drain(&mut outbox).len(), 1_001);
}

/// What may happen to an outbox.
#[derive(Debug, Clone)]
enum Step {
    Event { room: u64, bytes: usize, replay: bool },
    Answer(usize),
    Ephemeral,
    Written(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let event = (0..3_u64, 1..9_000_usize, prop::bool::weighted(0.1))
        .prop_map(|(room, bytes, replay)| Step::Event { room, bytes, replay });
    prop_oneof![
        6 => event,
        1 => (1..4_000_usize).prop_map(Step::Answer),
        1 => Just(Step::Ephemeral),
        3 => (1..60_000_usize).prop_map(Step::Written),
    ]
}

/// Whole frames of a stream of bytes: room, first and last seq of each event and gap.
fn covered(stream: &[u8]) -> Vec<(u64, u64, u64)> {
    let (mut rest, mut out) = (stream, Vec::new());
    while !rest.is_empty() {
        let (header, length) = match rest[1] {
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            short => (2, usize::from(short)),
        };
        let payload = String::from_utf8_lossy(&rest[header..header + length]).into_owned();
        rest = &rest[header + length..];
        if let Ok(gap) = serde_json::from_str::<serde_json::Value>(&payload) {
            let room: RoomId = gap["room"].as_str().expect("a room").parse().expect("an id");
            out.push((room.raw(), gap["from"].as_u64().expect("from"), gap["to"].as_u64().expect("to")));
        } else if let Some((room, seq)) = payload.trim().strip_prefix('e').and_then(|event| event.split_once('/')) {
            let (room, seq) = (room.parse().expect("a room"), seq.parse().expect("a seq"));
            out.push((room, seq, seq));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn each_event_is_written_or_covered_by_one_gap_in_order(steps in prop::collection::vec(any_step(), 0..900)) {
        let mut outbox = Outbox::new(Format::Json);
        let (mut stream, mut newest) = (Vec::new(), [0_u64; 3]);
        let mut write = |outbox: &mut Outbox, most: usize| {
            let ready: Vec<u8> = outbox.slices().iter().flat_map(|slice| slice.to_vec()).collect();
            let bytes = most.min(ready.len());
            stream.extend_from_slice(&ready[..bytes]);
            outbox.written(bytes);
        };
        for step in steps {
            match step {
                Step::Event { room, bytes, replay } => {
                    let at = usize::try_from(room).expect("small");
                    newest[at] += 1;
                    let seq = newest[at];
                    let kind = if replay { Kind::Replay } else { Kind::Event };
                    let text = format!("{:<bytes$}", format!("e{room}/{seq}"));
                    outbox.event(RoomId::from_raw(room), Seq(seq), &Frame::new(text.as_bytes()), kind);
                }
                Step::Answer(bytes) => outbox.push(Frame::new(&vec![b'a'; bytes]).wire(Format::Json).clone()),
                Step::Ephemeral => {
                    outbox.ephemeral(&Frame::new(b"typing"));
                }
                Step::Written(bytes) => write(&mut outbox, bytes),
            }
            prop_assert!(outbox.events.frames <= OUTBOX_FRAMES_MAX);
            prop_assert!(outbox.events.bytes < OUTBOX_BYTES_MAX + 9_100);
            prop_assert!(outbox.has_more() || outbox.is_idle(), "a gap waits that nothing would send");
        }
        while outbox.has_more() {
            write(&mut outbox, usize::MAX);
        }
        prop_assert!(outbox.is_idle());
        let counted = [outbox.answers, outbox.events, outbox.replays].map(|load| load.frames + load.bytes);
        prop_assert_eq!(counted, [0, 0, 0]);
        let mut seen = [0_u64; 3];
        for (room, from, to) in covered(&stream) {
            let at = usize::try_from(room).expect("small");
            prop_assert_eq!(from, seen[at] + 1, "room {}", room);
            seen[at] = to;
        }
        prop_assert_eq!(seen, newest);
    }
}

#[test]
fn a_connection_that_stays_idle_holds_no_memory_for_what_may_wait() {
    let mut outbox = Outbox::new(Format::Json);
    (1..=OUTBOX_FRAMES_MAX as u64).for_each(|seq| event(&mut outbox, seq));
    assert!(outbox.waiting.capacity() >= OUTBOX_FRAMES_MAX);
    drain(&mut outbox);
    assert!((1..=KEPT_MAX).contains(&outbox.waiting.capacity()), "it may be behind again soon");
    outbox.rest();
    assert!(outbox.waiting.capacity() > 0, "something has just waited");
    outbox.rest();
    assert_eq!(outbox.waiting.capacity(), 0);
}
