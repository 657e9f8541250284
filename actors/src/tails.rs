//! The hot tails of rooms: their newest events, kept where all nodes can read them at once.
//!
//! * [`tail`] the value: a stretch of a log without a hole, and what makes it believable.
//! * [`page`] the newest page of messages, folded out of one.
//!
//! The node that orders a room puts its tail into the cache, a moment behind the commits. Whoever needs a room's newest
//! events takes the tail and asks the store for one stretch: the tail's last event and all that came after. A tail whose
//! last event is not the store's, byte for byte, is thrown away; one that is too old, too.
//!
//! # Invariants
//!
//! * What [`read`] gives is the log as the store has it at that moment, up to its head. A tail that is missing, old,
//!   frozen, or another room's changes what is read from the store, not what comes out.
//! * Rights are judged before, by facts, and nothing here knows of them.
//! * Without a cache nothing is kept in memory.

pub mod page;
pub mod tail;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use hubbub_protocol::ids::{RoomId, Seq};
use hubbub_storage::{
    Hint, HintCache, StoredEvent,
    cache::{HINT_BYTES_MAX, PUT_BYTES_MAX},
};
use parking_lot::Mutex;

use self::tail::{REST_MAX, Tail};
use crate::{context::Context, relay::Delivery};

/// Rooms whose tail is kept in memory to be put: at 64 KiB each at most, 64 MiB.
const ROOMS_MAX: usize = 1_000;
/// How often tails that have changed are put.
pub(crate) const PUT_EVERY: Duration = Duration::from_secs(1);
/// Puts of one round: 4 MiB in all. Rooms beyond it wait for the next, the longest waiting first.
const PUTS_MAX: usize = 16;

/// Tails of rooms that are ordered here.
#[derive(Debug, Default)]
pub struct Tails(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<RoomId, Kept>,
    /// Counts changes, so that the oldest is known.
    changes: u64,
}

#[derive(Debug)]
struct Kept {
    tail: Tail,
    /// The first change that was not put yet, or the last one that was.
    change: u64,
    unput: bool,
    /// Whether what was in the cache before has been joined, or found not to fit.
    joined: bool,
}

impl Tails {
    /// Takes in events that are on disk, in the order of the log.
    pub(crate) fn committed(&self, cache: &dyn HintCache, room: RoomId, events: &[Delivery]) {
        if !cache.status().there {
            return;
        }
        let mut state = self.0.lock();
        state.changes += 1;
        let change = state.changes;
        for event in events {
            let (seq, push) = (event.seq, event.frame.payload_bytes());
            match state.rooms.get_mut(&room) {
                Some(kept) => {
                    if !kept.tail.push(seq, push) {
                        kept.joined = false;
                    }
                    if !kept.unput {
                        (kept.unput, kept.change) = (true, change);
                    }
                }
                None => {
                    let tail = Tail::of(seq, push);
                    state.rooms.insert(room, Kept { tail, change, unput: true, joined: false });
                }
            }
        }
        if state.rooms.len() > ROOMS_MAX {
            state.make_room();
        }
    }

    /// Begins with the newest event of a room that was loaded, so that what is in the cache can be joined to it.
    pub(crate) fn loaded(&self, cache: &dyn HintCache, room: RoomId, last: Option<&StoredEvent>) {
        let Some(last) = last.filter(|_| cache.status().there) else { return };
        let mut state = self.0.lock();
        if state.rooms.get(&room).is_some_and(|kept| kept.tail.last() == (last.seq, &last.push)) {
            return;
        }
        let change = state.changes;
        let tail = Tail::of(last.seq, last.push.clone());
        state.rooms.insert(room, Kept { tail, change, unput: false, joined: false });
        if state.rooms.len() > ROOMS_MAX {
            state.make_room();
        }
    }

    /// Puts what has changed.
    pub(crate) async fn put(&self, cache: &dyn HintCache) {
        let mut waiting = self.waiting();
        for _ in 0..PUTS_MAX {
            if waiting.is_empty() || cache.status().open {
                return;
            }
            let some: Vec<RoomId> = waiting.drain(..waiting.len().min(PUT_BYTES_MAX / HINT_BYTES_MAX)).collect();
            for room in self.unjoined(&some) {
                let before = cache.get(Hint::Tail(room)).await.and_then(|bytes| Tail::decode(&bytes));
                self.join(room, before.as_ref());
            }
            let hints = self.taken(&some);
            if cache.put(&hints).await.is_none() {
                self.put_again(&some);
                return;
            }
        }
    }

    /// Rooms whose tail has changed, the one that waits longest first.
    fn waiting(&self) -> Vec<RoomId> {
        let state = self.0.lock();
        let unput = state.rooms.iter().filter(|(_, kept)| kept.unput);
        let mut waiting: Vec<(u64, RoomId)> = unput.map(|(room, kept)| (kept.change, *room)).collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, room)| room).collect()
    }

    fn unjoined(&self, rooms: &[RoomId]) -> Vec<RoomId> {
        let state = self.0.lock();
        let unjoined = |room: &&RoomId| state.rooms.get(room).is_some_and(|kept| !kept.joined);
        rooms.iter().filter(unjoined).copied().collect()
    }

    fn join(&self, room: RoomId, before: Option<&Tail>) {
        if let Some(kept) = self.0.lock().rooms.get_mut(&room) {
            kept.joined = true;
            before.iter().for_each(|before| kept.tail.join(before));
        }
    }

    fn taken(&self, rooms: &[RoomId]) -> Vec<(Hint, Bytes)> {
        let mut state = self.0.lock();
        let mut take = |room: &RoomId| {
            let kept = state.rooms.get_mut(room)?;
            kept.unput = false;
            Some((Hint::Tail(*room), kept.tail.encode()))
        };
        rooms.iter().filter_map(&mut take).collect()
    }

    fn put_again(&self, rooms: &[RoomId]) {
        let mut state = self.0.lock();
        for room in rooms {
            if let Some(kept) = state.rooms.get_mut(room) {
                kept.unput = true;
            }
        }
    }
}

impl State {
    /// Lets the fourth of the rooms go that has been silent for longest: their tails are in the cache, or are missed.
    fn make_room(&mut self) {
        let mut silent: Vec<(u64, RoomId)> = self.rooms.iter().map(|(room, kept)| (kept.change, *room)).collect();
        silent.sort_unstable();
        let gone: HashSet<RoomId> = silent.into_iter().take(ROOMS_MAX / 4).map(|(_, room)| room).collect();
        self.rooms.retain(|room, _| !gone.contains(room));
    }
}

/// The newest events of a room, without a hole and up to the head that the store has now; `None` when the cache does not
/// help, and the store has to be asked for everything.
pub(crate) async fn read(context: &Context, room: RoomId) -> Option<Vec<(Seq, Bytes)>> {
    let cache = &context.ports.cache;
    if !cache.status().there {
        return None;
    }
    let tail = Tail::decode(&cache.get(Hint::Tail(room)).await?)?;
    // A store that fails is told of by whoever reads everything from it next.
    let rest = context.store.events(room, tail.before_last(), REST_MAX).await.ok()?;
    tail.confirmed(rest)
}

#[cfg(test)]
mod tests;
