//! One room's stretch of events, put in order: what came is handed on once, what is missing is named.
//!
//! # Invariants
//!
//! * Events are handed on in seq order, each once. What the log itself no longer holds is told as [`Step::Lost`]:
//!   never silence.
//! * While `seen < owed`, nothing beyond the hole is handed on; a page of the log, asked for after `seen`, fills it.
//! * At most [`AHEAD_MAX`] events wait behind a hole; those beyond are let go, owed, and fetched with the rest.
//!
//! A session that left a class of events out is sent seqs with holes that are no faults: its tracks are `sparse`, and
//! owe only what the node says is missing.

use std::collections::BTreeMap;

use bytes::Bytes;
use hubbub_protocol::{
    event::{Event, EventError},
    ids::{RoomId, Seq},
};
use serde::Deserialize;

/// Events kept while a hole before them is being filled: 256 events of about 400 bytes are 100 KB.
pub(crate) const AHEAD_MAX: usize = 256;

/// An event as it came: its place, its bytes, and what they say unless they are of a later version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Came {
    pub(crate) room: RoomId,
    pub(crate) seq: Seq,
    pub(crate) event: Option<Box<Event>>,
    pub(crate) json: Bytes,
}

#[derive(Deserialize)]
struct Place {
    room: RoomId,
    seq: Seq,
}

impl Came {
    /// Reads a push; `None` when not even its place can be read.
    pub(crate) fn read(json: Bytes) -> Option<Self> {
        match Event::decode(&json) {
            Ok(event) => Some(Self { room: event.room, seq: event.seq, event: Some(Box::new(event)), json }),
            Err(EventError::Kind(_) | EventError::Json(_)) => {
                let Place { room, seq } = serde_json::from_slice(&json).ok()?;
                Some(Self { room, seq, event: None, json })
            }
        }
    }
}

/// What is handed on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The next event.
    Event(Came),
    /// The log no longer holds these; the room goes on after them.
    Lost { from: Seq, to: Seq },
}

/// Follows one room.
#[derive(Debug)]
pub(crate) struct Track {
    seen: Seq,
    /// The newest seq that must be had before anything beyond it is handed on.
    owed: Seq,
    sparse: bool,
    ahead: BTreeMap<Seq, Came>,
}

impl Track {
    /// A track that goes on after `seen`.
    pub(crate) const fn after(seen: Seq, sparse: bool) -> Self {
        Self { seen, owed: seen, sparse, ahead: BTreeMap::new() }
    }

    /// The newest seq handed on.
    pub(crate) const fn seen(&self) -> Seq {
        self.seen
    }

    /// Whether something must be fetched.
    pub(crate) fn is_behind(&self) -> bool {
        self.seen < self.owed
    }

    /// Learns that everything up to `to` exists and will not be sent.
    pub(crate) fn owe(&mut self, to: Seq) {
        self.owed = self.owed.max(to);
    }

    /// Takes an event in; returns what can be handed on now.
    pub(crate) fn take(&mut self, came: Came) -> Vec<Step> {
        let seq = came.seq;
        if seq <= self.seen {
            return Vec::new();
        }
        if !self.sparse && seq > self.seen.next() {
            self.owe(Seq(seq.0 - 1));
        }
        if self.ahead.len() < AHEAD_MAX || seq == self.seen.next() {
            self.ahead.insert(seq, came);
        } else if !self.ahead.contains_key(&seq) {
            self.owe(seq);
        }
        let mut steps = Vec::new();
        self.drain(&mut steps);
        steps
    }

    /// Takes in a page of the log that was asked for after an earlier `seen`: all there is up to its last event.
    pub(crate) fn page(&mut self, page: Vec<Came>) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(through) = page.last().map(|last| last.seq) {
            self.ahead.extend(page.into_iter().filter(|came| came.seq > self.seen).map(|came| (came.seq, came)));
            self.settle(through, &mut steps);
        }
        self.drain(&mut steps);
        steps
    }

    /// Gives up what is owed: the log, asked again and again, does not have it.
    pub(crate) fn give_up(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.settle(self.owed, &mut steps);
        self.drain(&mut steps);
        steps
    }

    /// Goes back to `head`, beyond which nothing exists: the log was restored from a backup.
    pub(crate) fn rewind(&mut self, head: Seq) {
        *self = Self::after(head, self.sparse);
    }

    /// Hands on everything up to `through`; what is not here is lost.
    fn settle(&mut self, through: Seq, steps: &mut Vec<Step>) {
        while self.seen < through {
            let next = self.ahead.first_key_value().map_or(through.next(), |(seq, _)| *seq).min(through.next());
            if next > self.seen.next() {
                steps.push(Step::Lost { from: self.seen.next(), to: Seq(next.0 - 1) });
                self.seen = Seq(next.0 - 1);
            } else {
                self.hand_on_first(steps);
            }
        }
    }

    fn drain(&mut self, steps: &mut Vec<Step>) {
        while let Some((first, _)) = self.ahead.first_key_value()
            && (*first == self.seen.next() || !self.is_behind())
        {
            self.hand_on_first(steps);
        }
    }

    fn hand_on_first(&mut self, steps: &mut Vec<Step>) {
        if let Some((seq, came)) = self.ahead.pop_first() {
            self.seen = seq;
            steps.push(Step::Event(came));
        }
    }
}

#[cfg(test)]
mod tests;
