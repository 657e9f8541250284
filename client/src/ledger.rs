//! What one client was handed, kept so that loss, doubling and disorder can be proved or ruled out.

use std::collections::BTreeMap;

use hubbub_protocol::ids::{RoomId, Seq};

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
}
