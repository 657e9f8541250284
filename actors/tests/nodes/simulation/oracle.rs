//! What was promised, held against what happened, while it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use hubbub_protocol::ids::{RoomId, Seq};
use hubbub_storage::{LogStore, MemStore};
use serde_json::Value;
use tokio::time::Instant;

/// While something is broken, a right may outlive its end by this.
pub(super) const KICK_BOUND: Duration = Duration::from_secs(6);
/// Events of one room that are read at once; a run makes some hundreds.
const EVENTS_MAX: usize = 10_000;

/// Somebody who was removed from the community, as far as the promise goes.
#[derive(Debug)]
pub(super) struct Kicked {
    pub(super) who: usize,
    /// The newest seq of each room when the removal was answered.
    pub(super) heads: BTreeMap<RoomId, u64>,
    pub(super) at: Instant,
    /// Nothing was broken meanwhile, so nothing that came after the answer may be told.
    pub(super) clean: bool,
}

/// What has been seen so far.
#[derive(Debug)]
pub(super) struct Oracle {
    begun: Instant,
    /// One line for each thing that happened.
    pub(super) lines: Vec<String>,
    /// Those lines that the seed alone decides.
    pub(super) plan: Vec<String>,
    /// Broken promises.
    pub(super) broken: Vec<String>,
    pub(super) acked: BTreeMap<String, (RoomId, u64)>,
    pub(super) delivered: u64,
    pub(super) kicked: Option<Kicked>,
    tried: BTreeSet<String>,
    /// The logs as they were read last, and where each text stands in them.
    logs: BTreeMap<RoomId, Vec<Bytes>>,
    places: BTreeMap<String, (RoomId, u64)>,
}

fn shown(push: &[u8]) -> Value {
    serde_json::from_slice(push).expect("events are JSON")
}

/// The events of a room after `after`, as they stand in the store.
pub(super) fn read(store: &MemStore, room: RoomId, after: u64, limit: usize) -> Vec<(u64, Bytes)> {
    let read = store.events(room, Seq(after), limit).now_or_never().expect("a store in memory answers at once");
    read.expect("reads do not fail here").into_iter().map(|event| (event.seq.0, event.push)).collect()
}

impl Oracle {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            lines: Vec::new(),
            plan: Vec::new(),
            broken: Vec::new(),
            acked: BTreeMap::new(),
            delivered: 0,
            kicked: None,
            tried: BTreeSet::new(),
            logs: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    pub(super) fn note(&mut self, what: &str) {
        self.lines.push(self.line(what));
    }

    pub(super) fn plan(&mut self, what: &str) {
        self.note(what);
        self.plan.push(self.line(what));
    }

    fn line(&self, what: &str) -> String {
        format!("{:>6} ms  {what}", self.begun.elapsed().as_millis())
    }

    pub(super) fn broken(&mut self, what: String) {
        self.note(&format!("BROKEN: {what}"));
        self.broken.push(what);
    }

    pub(super) fn tries(&mut self, text: &str) {
        self.tried.insert(text.to_owned());
    }

    /// A send was acknowledged: it is in the log now, and in no other place.
    pub(super) fn acknowledged(&mut self, store: &MemStore, room: RoomId, seq: u64, text: &str) {
        self.note(&format!("{text} is {room}/{seq}"));
        if let Some(first) = self.acked.insert(text.to_owned(), (room, seq))
            && first != (room, seq)
        {
            self.broken(format!("one key, two places: {text} is {first:?} and {room}/{seq}"));
        }
        let there = read(store, room, seq.saturating_sub(1), 1);
        if there.first().is_none_or(|(at, push)| *at != seq || shown(push)["data"]["text"] != text) {
            self.broken(format!("acknowledged and not in the log: {text} as {room}/{seq}"));
        }
    }

    /// Somebody was told of an event: it follows what they have, it is in the log as told, and they may see it.
    pub(super) fn told(&mut self, store: &MemStore, who: usize, (room, seq): (RoomId, u64), had: u64, push: &[u8]) {
        self.delivered += 1;
        if seq != had + 1 {
            self.broken(format!("person {who} had {room}/{had} and was told of {seq}"));
        }
        let there = read(store, room, seq - 1, 1);
        if there.first().is_none_or(|(at, stored)| *at != seq || stored != push) {
            self.broken(format!("person {who} was told of {room}/{seq}, which is not so in the log"));
        }
        if let Some(kicked) = self.kicked.as_ref().filter(|kicked| kicked.who == who)
            && seq > kicked.heads[&room]
            && (kicked.clean || kicked.at.elapsed() > KICK_BOUND)
        {
            let (since, clean) = (kicked.at.elapsed(), kicked.clean);
            self.broken(format!("person {who} was told of {room}/{seq} {since:?} after a kick (clean: {clean})"));
        }
    }

    /// Reads all logs: they only grow, without a hole, and have each key once and nothing that nobody sent.
    pub(super) fn inspect(&mut self, store: &MemStore, rooms: &[RoomId]) {
        for room in rooms {
            let before = self.logs.remove(room).unwrap_or_default();
            let log: Vec<(u64, Bytes)> = read(store, *room, 0, EVENTS_MAX);
            for (at, (seq, push)) in (1..).zip(&log).skip(before.len()) {
                if at != *seq {
                    self.broken(format!("{room} has {seq} where {at} should be"));
                }
                let Some(text) = shown(push)["data"]["text"].as_str().map(str::to_owned) else { continue };
                if !self.tried.contains(&text) {
                    self.broken(format!("nobody sent {text}, which is {room}/{seq}"));
                }
                if let Some(first) = self.places.insert(text.clone(), (*room, *seq)) {
                    self.broken(format!("stored twice: {text} as {first:?} and {room}/{seq}"));
                }
            }
            let log: Vec<Bytes> = log.into_iter().map(|(_, push)| push).collect();
            if !log.starts_with(&before) {
                self.broken(format!("what stood in the log of {room} has changed"));
            }
            self.logs.insert(*room, log);
        }
        let lost = self.acked.iter().find(|(text, place)| self.places.get(*text) != Some(*place));
        if let Some((text, place)) = lost {
            let lost = format!("acknowledged and gone: {text} at {place:?}");
            self.broken(lost);
        }
    }
}
