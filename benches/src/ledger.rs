//! What one client was shown, and the verdict over all clients: did the server keep its promises while it was fast?
//!
//! # Invariants
//! - A message counts as received once; each further copy is `doubled`.
//! - It is `out_of_order` when its seq is not above the client's last one, or when the same sender's later message
//!   came first.
//! - Where a server gives no seq, the first half of that and holes cannot be told; the rest holds all the same.
//! - `lost` is judged per client against every message sent to its room and not refused, answered or not.
//! - Two members agree on a room's order when their order hashes are equal; only members that lost nothing are asked,
//!   since a loss is counted already.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use serde::Serialize;

use crate::scan::Heard;
use crate::schedule::Schedule;

/// The book of one client.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_seq: Option<u64>,
    /// That of the newest message.
    last_message: Option<u64>,
    seen: Numbers,
    last_of_sender: BTreeMap<usize, u32>,
    order_hash: u64,
    refused: BTreeSet<u32>,
    answered: u32,
    faults: Faults,
    closed: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    /// Seqs that were skipped: an event that is no message was not shown, or a message will be late.
    pub(crate) holes: u64,
    /// Messages of rooms the client is not in.
    pub(crate) strays: u64,
    /// `gap` pushes.
    pub(crate) gaps: u64,
}

/// What a frame meant for the figures of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A message of the client's room, for the first time.
    Delivery {
        number: u32,
    },
    /// The reply to a send.
    Answer {
        number: u32,
    },
    Nothing,
}

impl Ledger {
    pub(crate) fn enter(&mut self, heard: Heard, schedule: &Schedule) -> Entry {
        match heard {
            Heard::Message { own_room: false, .. } => self.faults.strays += 1,
            Heard::Message { seq, number, .. } => {
                if number < schedule.total() {
                    return self.enter_message(seq, number, schedule.sender(number));
                }
                self.faults.strays += 1;
            }
            Heard::Event { seq } => self.advance(seq),
            Heard::Reply { id, ok: true } if id < schedule.total() => {
                self.answered += 1;
                return Entry::Answer { number: id };
            }
            Heard::Reply { id, ok: false } if id < schedule.total() => {
                self.refused.insert(id);
            }
            Heard::Gap => self.faults.gaps += 1,
            Heard::Reply { .. } | Heard::Other => {}
        }
        Entry::Nothing
    }

    /// The server ended the connection before the run did.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// The highest seq that was shown.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.last_seq
    }

    /// The seq of the message that was shown last.
    pub(crate) fn last_message(&self) -> Option<u64> {
        self.last_message
    }

    fn enter_message(&mut self, seq: Option<u64>, number: u32, sender: usize) -> Entry {
        if !self.seen.insert(number) {
            self.faults.doubled += 1;
            return Entry::Nothing;
        }
        let late = self.last_seq.is_some_and(|last| seq.is_some_and(|seq| seq <= last));
        let newest = self.last_of_sender.entry(sender).or_insert(number);
        let overtaken = *newest > number;
        *newest = number.max(*newest);
        self.faults.out_of_order += u64::from(late || overtaken);
        self.last_message = seq.or(self.last_message);
        if let Some(seq) = seq {
            self.advance(seq);
        }
        self.order_hash = fold(fold(self.order_hash, u64::from(number)), seq.unwrap_or_default());
        Entry::Delivery { number }
    }

    fn advance(&mut self, seq: u64) {
        if let Some(last) = self.last_seq {
            self.faults.holes += seq.saturating_sub(last).saturating_sub(1);
        }
        self.last_seq = Some(seq.max(self.last_seq.unwrap_or_default()));
    }
}

/// The FNV-1a step, widened to a word: enough to tell two orders apart.
fn fold(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
}

/// A set of message numbers, dense from 0.
#[derive(Debug, Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    /// False when `number` was in the set.
    fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1_u64 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn contains(&self, number: u32) -> bool {
        let word = self.0.get(number as usize / 64).copied().unwrap_or_default();
        word & (1 << (number % 64)) != 0
    }
}

/// The counts over all clients of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) sent: u64,
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    #[serde(flatten)]
    pub(crate) faults: Faults,
    /// Rooms whose members saw different orders.
    pub(crate) diverged_rooms: u64,
    /// Sends the server answered with an error.
    pub(crate) refused: u64,
    /// Sends answered neither way.
    pub(crate) unanswered: u64,
    /// Connections the server ended.
    pub(crate) closed: u64,
}

impl Verdict {
    /// Whether each client was shown every message of its room once and in the one order.
    pub(crate) fn is_clean(&self) -> bool {
        let Faults { doubled, out_of_order, holes, strays, gaps } = self.faults;
        self.lost + doubled + out_of_order + holes + strays + gaps == 0
            && self.diverged_rooms + self.refused + self.unanswered + self.closed == 0
    }
}

/// Judges a finished run. `ledgers` are in client order; `room_of` tells a client's room; `sent` are the numbers that
/// left the generator; `answers` says whether the server answers sends.
pub(crate) fn judge(
    ledgers: &[Ledger],
    room_of: impl Fn(usize) -> usize,
    schedule: &Schedule,
    sent: &[u32],
    answers: bool,
) -> Verdict {
    let refused: BTreeSet<u32> = ledgers.iter().flat_map(|ledger| ledger.refused.iter().copied()).collect();
    let mut by_room: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for number in sent.iter().filter(|number| !refused.contains(number)) {
        by_room.entry(schedule.room(*number)).or_default().push(*number);
    }
    let mut verdict = Verdict { sent: sent.len() as u64, refused: refused.len() as u64, ..Verdict::default() };
    let mut orders: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    let mut answered = 0;
    for (client, ledger) in ledgers.iter().enumerate() {
        let room = room_of(client);
        let expected = by_room.get(&room).map_or(&[][..], Vec::as_slice);
        let received = expected.iter().filter(|number| ledger.seen.contains(**number)).count();
        let lost = (expected.len() - received) as u64;
        verdict.expected += expected.len() as u64;
        verdict.received += received as u64;
        verdict.lost += lost;
        verdict.faults += ledger.faults;
        verdict.closed += u64::from(ledger.closed);
        answered += u64::from(ledger.answered);
        if lost == 0 {
            orders.entry(room).or_default().insert(ledger.order_hash);
        }
    }
    verdict.diverged_rooms = orders.values().filter(|hashes| hashes.len() > 1).count() as u64;
    if answers {
        verdict.unanswered = verdict.sent.saturating_sub(answered + verdict.refused);
    }
    verdict
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.holes += other.holes;
        self.strays += other.strays;
        self.gaps += other.gaps;
    }
}

#[cfg(test)]
mod tests;
