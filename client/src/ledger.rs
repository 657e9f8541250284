//! What one client was handed, kept so that loss, doubling and disorder can be proved or ruled out.
//!
//! A room's own log, read page by page, is noted in a ledger as well; [`Ledger::verdict`] holds a client's
//! ledger against that. [`Witness`] is a client that keeps one.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

use hubbub_protocol::ids::{RoomId, Seq};

mod witness;

pub use witness::Witness;

/// One room's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// The seq before the first one.
    pub from: Seq,
    /// The newest seq.
    pub last: Seq,
    /// A hash over every event handed on, in order.
    pub hash: u64,
}

/// What went wrong, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Events that were left out.
    pub lost: u64,
    /// Events handed on again.
    pub doubled: u64,
    /// Events handed on after a later one.
    pub out_of_order: u64,
}

/// What a client was handed, held against the rooms' logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Rooms that were looked at.
    pub rooms: u64,
    /// Events that were handed on, faults not counted.
    pub events: u64,
    /// What went wrong between the first and the last event.
    pub faults: Faults,
    /// Events missing at the end of a room.
    pub missing: u64,
    /// Rooms whose events were not those of the log.
    pub unlike: u64,
}

impl Verdict {
    /// Whether each event of each room came once, in order and as it is in the log.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults == Faults::default() && self.missing == 0 && self.unlike == 0
    }
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.rooms += other.rooms;
        self.events += other.events;
        self.faults.lost += other.faults.lost;
        self.faults.doubled += other.faults.doubled;
        self.faults.out_of_order += other.faults.out_of_order;
        self.missing += other.missing;
        self.unlike += other.unlike;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rooms, events, faults: Faults { lost, doubled, out_of_order }, missing, unlike } = self;
        write!(
            f,
            "{events} events of {rooms} rooms: {lost} lost, {doubled} doubled, {out_of_order} out of order, \
             {missing} missing at the end, {unlike} rooms unlike their log"
        )
    }
}

/// One client's ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    lines: BTreeMap<RoomId, Line>,
    faults: Faults,
}

impl Ledger {
    /// Begins a room after `from`.
    pub fn begin(&mut self, room: RoomId, from: Seq) {
        self.lines.entry(room).or_insert(Line { from, last: from, hash: 0 });
    }

    /// Notes an event, whose bytes were `push`.
    pub fn note(&mut self, room: RoomId, seq: Seq, push: &[u8]) {
        let line = self.lines.entry(room).or_default();
        if seq == line.last {
            self.faults.doubled += 1;
        } else if seq < line.last {
            self.faults.out_of_order += 1;
        } else {
            self.faults.lost += seq.0 - line.last.0 - 1;
            line.last = seq;
            line.hash = push.iter().fold(line.hash ^ seq.0, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
            });
        }
    }

    /// What went wrong.
    #[must_use]
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// Holds this ledger of a client against `log`, which has all its rooms from the seq it began them at.
    #[must_use]
    pub fn verdict(&self, log: &Self) -> Verdict {
        let mut verdict = Verdict { faults: self.faults, ..Verdict::default() };
        for (room, line) in &self.lines {
            let whole = log.line(*room);
            verdict.rooms += 1;
            verdict.events += line.last.0.saturating_sub(line.from.0);
            verdict.missing += whole.last.0.saturating_sub(line.last.0);
            verdict.unlike += u64::from(line.last >= whole.last && *line != whole);
        }
        verdict
    }

    /// The rooms, with their lines.
    pub fn lines(&self) -> impl Iterator<Item = (RoomId, Line)> {
        self.lines.iter().map(|(room, line)| (*room, *line))
    }

    /// One room's line.
    #[must_use]
    pub fn line(&self, room: RoomId) -> Line {
        self.lines.get(&room).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let (mut ledger, room) = (Ledger::default(), RoomId::from_raw(1));
        for seq in [1, 2, 2, 5, 3, 6] {
            ledger.note(room, Seq(seq), b"x");
        }
        assert_eq!(ledger.faults(), Faults { lost: 2, doubled: 1, out_of_order: 1 });
        assert_eq!(ledger.line(room).last, Seq(6));
    }

    #[test]
    fn two_who_saw_the_same_have_the_same_hash() {
        let (mut one, mut other, room) = (Ledger::default(), Ledger::default(), RoomId::from_raw(1));
        for seq in 1..10 {
            one.note(room, Seq(seq), b"same");
            other.note(room, Seq(seq), if seq == 7 { b"else" } else { b"same" });
        }
        assert_ne!(one.line(room).hash, other.line(room).hash);
    }

    /// Events by seq and bytes.
    type Events<'a> = &'a [(u64, &'a [u8])];

    fn of(events: Events<'_>) -> Ledger {
        let (mut ledger, room) = (Ledger::default(), RoomId::from_raw(1));
        ledger.begin(room, Seq(0));
        events.iter().for_each(|(seq, push)| ledger.note(room, Seq(*seq), push));
        ledger
    }

    #[test]
    fn a_ledger_that_is_not_the_log_is_found_out() {
        let log = of(&[(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")]);
        let clean = of(&[(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")]).verdict(&log);
        assert!(clean.is_clean(), "{clean}");
        assert_eq!((clean.rooms, clean.events), (1, 4));
        let faulty: [(&str, Events<'_>); 7] = [
            ("lost", &[(1, b"a"), (2, b"b"), (4, b"d")]),
            ("lost at the beginning", &[(2, b"b"), (3, b"c"), (4, b"d")]),
            ("missing at the end", &[(1, b"a"), (2, b"b"), (3, b"c")]),
            ("nothing came", &[]),
            ("doubled", &[(1, b"a"), (2, b"b"), (2, b"b"), (3, b"c"), (4, b"d")]),
            ("out of order", &[(1, b"a"), (3, b"c"), (2, b"b"), (4, b"d")]),
            ("another event", &[(1, b"a"), (2, b"x"), (3, b"c"), (4, b"d")]),
        ];
        for (fault, events) in faulty {
            let verdict = of(events).verdict(&log);
            assert!(!verdict.is_clean(), "{fault}: {verdict}");
        }
        let beyond = of(&[(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d"), (5, b"e")]).verdict(&log);
        assert_eq!((beyond.unlike, beyond.missing), (1, 0), "more than the log has");
        let (mut all, other) = (clean, RoomId::from_raw(2));
        let mut elsewhere = Ledger::default();
        elsewhere.note(other, Seq(1), b"a");
        assert!(!elsewhere.verdict(&log).is_clean(), "a room that has no such log");
        all += of(&[]).verdict(&log);
        assert_eq!((all.missing, all.events), (4, 4));
    }
}
