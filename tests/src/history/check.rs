//! The rules of [`super`]: one pass for what the end of the run knows, one pass along each client's lines.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Op, Record};

/// A room's log as it was read at the end: the key of each seq.
type Log<'a> = BTreeMap<u64, Option<&'a str>>;

/// Finds every broken promise in `records`, in order of the invariants.
#[must_use]
pub fn check(records: &[Record]) -> Vec<Finding> {
    let mut check = Check { logs: BTreeMap::new(), findings: Vec::new() };
    check.learn_logs(records);
    check.keys_are_stored_once();
    let mut lines: BTreeMap<(&str, &str), Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.op != Op::Log) {
        lines.entry((&record.client, &record.room)).or_default().push(record);
    }
    for ((client, room), line) in lines {
        check.what_was_seen_stays(client, room, &line);
        check.sends_keep_their_order(client, room, &line);
        check.reads_contain_acks(client, room, &line);
        check.events_are_contiguous(client, room, &line);
    }
    check.findings.sort();
    check.findings.dedup();
    check.findings
}

struct Check<'a> {
    logs: BTreeMap<&'a str, Log<'a>>,
    findings: Vec<Finding>,
}

impl<'a> Check<'a> {
    fn find(&mut self, invariant: u8, story: String) {
        self.findings.push(Finding { invariant, story });
    }

    /// Invariant 4.
    fn learn_logs(&mut self, records: &'a [Record]) {
        for record in records.iter().filter(|record| record.op == Op::Log) {
            let (room, seq, key) = (record.room.as_str(), record.seq.unwrap_or(0), record.key.as_deref());
            if self.logs.entry(room).or_default().insert(seq, key).is_some_and(|known| known != key) {
                self.find(4, format!("{room} has two events with seq {seq}"));
            }
        }
        let holes = self.logs.iter().flat_map(|(room, log)| {
            let seqs = (1..).zip(log.keys()).find(|(expected, seq)| expected != *seq);
            seqs.map(|(expected, seq)| format!("the log of {room} goes on with {seq} where {expected} should be"))
        });
        let holes: Vec<_> = holes.map(|story| Finding { invariant: 4, story }).collect();
        self.findings.extend(holes);
    }

    /// Invariant 5, in the log.
    fn keys_are_stored_once(&mut self) {
        let mut doubled = Vec::new();
        for (room, log) in &self.logs {
            let mut seen = BTreeMap::new();
            for (seq, key) in log {
                if let Some((key, first)) = key.and_then(|key| seen.insert(key, seq).map(|first| (key, first))) {
                    doubled.push(format!("{room} stores {key} as {first} and as {seq}"));
                }
            }
        }
        doubled.into_iter().for_each(|story| self.find(5, story));
    }

    fn stored(&self, room: &str, seq: u64) -> Option<Option<&'a str>> {
        self.logs.get(room)?.get(&seq).copied()
    }

    /// Invariants 3, 4 and 5: what one client was told, against the log and against itself.
    fn what_was_seen_stays(&mut self, client: &str, room: &str, line: &[&'a Record]) {
        let mut acked: BTreeMap<&str, u64> = BTreeMap::new();
        for record in line {
            let told: Vec<(u64, Option<&str>)> = match record.op {
                Op::Ack | Op::Event => vec![(record.seq.unwrap_or(0), record.key.as_deref())],
                Op::History => record.events.iter().map(|(seq, key)| (*seq, Some(key.as_str()))).collect(),
                _ => continue,
            };
            for (seq, key) in told {
                match self.stored(room, seq) {
                    None => self.find(3, format!("{client} was told of {seq} in {room}, and the log has none")),
                    Some(stored) if stored != key => {
                        let invariant = if record.op == Op::Ack { 3 } else { 4 };
                        let story =
                            format!("{client} was told that {seq} in {room} is {key:?}, and it is {stored:?}");
                        self.find(invariant, story);
                    }
                    Some(_) => {}
                }
            }
            if let (Op::Ack, Some(key), Some(seq)) = (record.op, record.key.as_deref(), record.seq) {
                let first = *acked.entry(key).or_insert(seq);
                if first != seq {
                    self.find(5, format!("{client} was told {first} and {seq} for {key} in {room}"));
                }
            }
        }
    }

    /// Invariant 9. A key that was sent again after another's first sending may be stored on either side of it.
    fn sends_keep_their_order(&mut self, client: &str, room: &str, line: &[&'a Record]) {
        let Some(log) = self.logs.get(room) else { return };
        let seq_of: BTreeMap<&str, u64> = log.iter().filter_map(|(seq, key)| key.map(|key| (key, *seq))).collect();
        let mut spans: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (at, key) in line
            .iter()
            .enumerate()
            .filter(|(_, record)| record.op == Op::Send)
            .filter_map(|(at, record)| record.key.as_deref().map(|key| (at, key)))
        {
            spans.entry(key).and_modify(|span| span.1 = at).or_insert((at, at));
        }
        // Along the log: a message whose last sending came before the first sending of one that is stored already.
        let mut by_seq: Vec<_> =
            spans.iter().filter_map(|(key, span)| seq_of.get(key).map(|seq| (*seq, *key, *span))).collect();
        by_seq.sort_unstable();
        let mut latest: Option<(usize, &str)> = None;
        let mut stories = Vec::new();
        for (seq, key, (first, last)) in by_seq {
            if let Some((_, earlier)) = latest.filter(|(sent, _)| last < *sent) {
                stories.push(format!("{client} sent {key} before {earlier}, and {room} stores it after, as {seq}"));
            }
            if latest.is_none_or(|(sent, _)| first > sent) {
                latest = Some((first, key));
            }
        }
        stories.into_iter().for_each(|story| self.find(9, story));
    }

    /// Invariant 10.
    fn reads_contain_acks(&mut self, client: &str, room: &str, line: &[&'a Record]) {
        let mut acked: BTreeSet<(u64, &str)> = BTreeSet::new();
        let mut at_read = BTreeSet::new();
        for record in line {
            match (record.op, record.key.as_deref(), record.seq) {
                (Op::Ack, Some(key), Some(seq)) => drop(acked.insert((seq, key))),
                (Op::Read, ..) => at_read.clone_from(&acked),
                (Op::History, ..) => {
                    let from = record.from.unwrap_or(1);
                    let told: BTreeSet<_> = record.events.iter().map(|(seq, key)| (*seq, key.as_str())).collect();
                    for (seq, key) in at_read.iter().filter(|(seq, _)| *seq >= from) {
                        if !told.contains(&(*seq, *key)) {
                            self.find(
                                10,
                                format!("{client} read {room} after the ack of {key} as {seq} and missed it"),
                            );
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Invariants 8 and 26.
    fn events_are_contiguous(&mut self, client: &str, room: &str, line: &[&'a Record]) {
        let (mut last, mut resumed, mut told) = (None, false, BTreeSet::new());
        for record in line {
            let invariant = if resumed { 26 } else { 8 };
            match (record.op, record.seq) {
                (Op::Begin, Some(seq)) => last = Some(seq),
                (Op::Resume, Some(_)) => resumed = true,
                (Op::Gap, _) => told.extend(record.from.unwrap_or(1)..=record.to.unwrap_or(0)),
                (Op::Event, Some(seq)) => {
                    let before = last.unwrap_or_else(|| seq.saturating_sub(1));
                    if seq <= before {
                        self.find(invariant, format!("{client} was handed {seq} of {room} after {before}"));
                    }
                    if let Some(hole) = (before + 1..seq).find(|hole| !told.contains(hole)) {
                        self.find(invariant, format!("{client} was handed {seq} of {room} and never {hole}"));
                    }
                    (last, resumed) = (Some(before.max(seq)), false);
                }
                (Op::Quiet, _) => {
                    let head = self.logs.get(room).and_then(|log| log.keys().next_back()).copied().unwrap_or(0);
                    let from = last.unwrap_or(head) + 1;
                    if let Some(hole) = (from..=head).find(|hole| !told.contains(hole)) {
                        self.find(
                            invariant,
                            format!("{client} was never handed {hole} of {room}, and all is quiet"),
                        );
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
