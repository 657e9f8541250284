//! Which rooms and relays are active on this node, and the way messages reach them.
//!
//! # Invariants
//!
//! * A room has at most one actor and one relay here: they are spawned under the slot's lock.
//! * Messages of one sender to one actor arrive in the order in which they were sent: they are cast
//!   under the same lock, so none can overtake one that caused the spawn.
//! * An actor is taken out only when nothing is queued for it ([`Slots::retire_room`]), so a message
//!   is never sent to an actor that has decided to end.

mod places;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use hubbub_protocol::ids::{Epoch, NodeId, RoomId};
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};

pub use self::places::{Active, Full, Permit};
use crate::{relay::RelayMessage, room::RoomMessage};

/// Locks over the slots; a sender rarely meets another in one of 64.
const STRIPES: usize = 64;

#[derive(Debug, Default)]
struct Slot {
    room: Option<Active<RoomMessage>>,
    relay: Option<Active<RelayMessage>>,
    /// People who follow by the relay here.
    people: u64,
    /// Other nodes that follow the room, when it is ordered here, and how many people do so there.
    watchers: BTreeMap<NodeId, u64>,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.room.is_none() && self.relay.is_none() && self.watchers.is_empty()
    }

    /// Whether nothing is queued for the room, and nobody follows it.
    fn is_idle(&self) -> bool {
        self.relay.is_none()
            && self.watchers.is_empty()
            && self.room.as_ref().is_none_or(|active| active.queued() == 0)
    }
}

/// What is active here, by room.
#[derive(Debug)]
pub struct Slots {
    stripes: Vec<Mutex<BTreeMap<RoomId, Slot>>>,
    rooms_of_actors: Mutex<HashMap<ActorId, RoomId>>,
    turns: AtomicU64,
}

impl Default for Slots {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { stripes, rooms_of_actors: Mutex::default(), turns: AtomicU64::new(0) }
    }
}

impl Slots {
    fn stripe(&self, room: RoomId) -> &Mutex<BTreeMap<RoomId, Slot>> {
        // The counter of a TSID lies in its low bits, so neighbours fall into different stripes.
        &self.stripes[usize::try_from(room.raw() % STRIPES as u64).unwrap_or(0)]
    }

    /// Sends to the room's actor, spawning it first when there is none. `spawn` is given the room's
    /// relay, if there is one, and the other nodes that follow.
    ///
    /// # Errors
    /// [`Full`]: the room has as much queued as it may have; nothing was sent.
    pub fn to_room(
        &self,
        room: RoomId,
        spawn: impl FnOnce(Option<ActorRef<RelayMessage>>, BTreeSet<NodeId>) -> ActorRef<RoomMessage>,
        message: impl FnOnce(Permit) -> RoomMessage,
    ) -> Result<(), Full> {
        let mut slots = self.stripe(room).lock();
        let slot = slots.entry(room).or_default();
        let Slot { room: active, relay, watchers, .. } = slot;
        let active = active.get_or_insert_with(|| {
            let watchers = watchers.keys().copied().collect();
            let actor = spawn(relay.as_ref().map(|relay| relay.actor.clone()), watchers);
            self.rooms_of_actors.lock().insert(actor.get_id(), room);
            Active::new(actor)
        });
        active.used = self.turns.fetch_add(1, Ordering::Relaxed);
        let permit = active.permit()?;
        // A cast fails only when the actor has just died: the answer inside is dropped, which
        // answers `unavailable`, and its supervisor clears the slot.
        let _ = active.actor.cast(message(permit));
        Ok(())
    }

    /// Sends to the room's relay, spawning it first when there is none.
    ///
    /// # Errors
    /// [`Full`], as [`Slots::to_room`].
    pub fn to_relay(
        &self,
        room: RoomId,
        spawn: impl FnOnce() -> ActorRef<RelayMessage>,
        message: impl FnOnce(Permit) -> RelayMessage,
    ) -> Result<(), Full> {
        let mut slots = self.stripe(room).lock();
        let slot = slots.entry(room).or_default();
        let active = slot.relay.get_or_insert_with(|| {
            let actor = spawn();
            self.rooms_of_actors.lock().insert(actor.get_id(), room);
            Active::new(actor)
        });
        let permit = active.permit()?;
        let _ = active.actor.cast(message(permit));
        Ok(())
    }

    /// Runs `with` on the room's actor, if it is active.
    pub fn with_room<T>(&self, room: RoomId, with: impl FnOnce(&ActorRef<RoomMessage>) -> T) -> Option<T> {
        self.stripe(room).lock().get(&room)?.room.as_ref().map(|active| with(&active.actor))
    }

    /// Runs `with` on the room's relay, if it is active.
    pub fn with_relay<T>(&self, room: RoomId, with: impl FnOnce(&ActorRef<RelayMessage>) -> T) -> Option<T> {
        self.stripe(room).lock().get(&room)?.relay.as_ref().map(|active| with(&active.actor))
    }

    /// Takes the room's actor out if nothing is queued for it and it has no relay; says whether it
    /// did. The actor ends itself afterwards.
    pub fn retire_room(&self, room: RoomId) -> bool {
        let mut slots = self.stripe(room).lock();
        let Some(slot) = slots.get_mut(&room) else {
            return true;
        };
        if !slot.is_idle() {
            return false;
        }
        slots.remove(&room);
        true
    }

    /// At most `rooms` of the rooms that could leave memory, least recently used first.
    #[must_use]
    pub fn least_used(&self, rooms: usize) -> Vec<RoomId> {
        let mut idle: Vec<(u64, RoomId)> = Vec::new();
        for stripe in &self.stripes {
            let slots = stripe.lock();
            idle.extend(slots.iter().filter(|(_, slot)| slot.is_idle()).filter_map(|(room, slot)| {
                let active = slot.room.as_ref()?;
                Some((active.used, *room))
            }));
        }
        idle.sort_unstable();
        idle.into_iter().take(rooms).map(|(_, room)| room).collect()
    }

    /// Takes the room's actor out if nothing is queued for it and it has no relay, and gives it: it
    /// has to be ended once all it handed in is settled.
    #[must_use]
    pub fn take_idle(&self, room: RoomId) -> Option<ActorRef<RoomMessage>> {
        let mut slots = self.stripe(room).lock();
        if !slots.get(&room)?.is_idle() {
            return None;
        }
        slots.remove(&room)?.room.map(|active| active.actor)
    }

    /// Takes note that a room was loaded under an activation of its shard.
    pub fn loaded(&self, room: RoomId, actor: ActorId, epoch: Epoch) {
        if let Some(slot) = self.stripe(room).lock().get_mut(&room)
            && let Some(active) = slot.room.as_mut().filter(|active| active.actor.get_id() == actor)
        {
            active.epoch = Some(epoch);
        }
    }

    /// Takes the room's actor out, whatever is queued for it. It leaves for another owner, and the nodes that follow
    /// with it; or, with a `newer` epoch of this node's own, it is loaded anew if it was loaded under an older one.
    #[must_use]
    pub fn take_room(&self, room: RoomId, newer: Option<Epoch>) -> Option<ActorRef<RoomMessage>> {
        let mut slots = self.stripe(room).lock();
        let slot = slots.get_mut(&room)?;
        match newer {
            None => slot.watchers.clear(),
            Some(newer)
                if slot.room.as_ref().and_then(|active| active.epoch).is_some_and(|epoch| epoch < newer) => {}
            Some(_) => return None,
        }
        let taken = slot.room.take().map(|active| active.actor);
        if slot.is_empty() {
            slots.remove(&room);
        }
        taken
    }

    /// Takes an actor out that is about to end, so that what is asked next starts a successor.
    pub fn leave(&self, room: RoomId, actor: ActorId) {
        let mut slots = self.stripe(room).lock();
        if let Some(slot) = slots.get_mut(&room)
            && slot.room.as_ref().is_some_and(|active| active.actor.get_id() == actor)
        {
            slot.room = None;
            if slot.is_empty() {
                slots.remove(&room);
            }
        }
    }

    /// Takes note of a node that follows the room, and of how many people there do.
    pub fn add_watcher(&self, room: RoomId, node: NodeId, people: u64) {
        self.stripe(room).lock().entry(room).or_default().watchers.insert(node, people);
    }

    /// Takes note of how many people follow on a node that watches; says whether that is new.
    #[must_use]
    pub fn count_people(&self, room: RoomId, node: NodeId, people: u64) -> bool {
        let mut slots = self.stripe(room).lock();
        let watcher = slots.get_mut(&room).and_then(|slot| slot.watchers.get_mut(&node));
        watcher.is_some_and(|known| std::mem::replace(known, people) != people)
    }

    /// Takes note of how many people follow by the relay here.
    pub fn count_people_here(&self, room: RoomId, people: u64) {
        if let Some(slot) = self.stripe(room).lock().get_mut(&room) {
            slot.people = people;
        }
    }

    /// How many people follow by the relay here.
    #[must_use]
    pub fn people_here(&self, room: RoomId) -> u64 {
        self.stripe(room).lock().get(&room).map_or(0, |slot| slot.people)
    }

    /// How many people follow a room that is ordered here, on all nodes but `node`.
    #[must_use]
    pub fn people_elsewhere(&self, room: RoomId, here: NodeId, node: NodeId) -> u64 {
        let slots = self.stripe(room).lock();
        let Some(slot) = slots.get(&room) else { return 0 };
        let of_others = slot.watchers.iter().filter(|(watcher, _)| **watcher != node).map(|(_, people)| people);
        of_others.sum::<u64>() + if node == here { 0 } else { slot.people }
    }

    /// Forgets one.
    pub fn remove_watcher(&self, room: RoomId, node: NodeId) {
        let mut slots = self.stripe(room).lock();
        if let Some(slot) = slots.get_mut(&room) {
            slot.watchers.remove(&node);
            if slot.is_empty() {
                slots.remove(&room);
            }
        }
    }

    /// Forgets a node whose link is broken; gives the rooms it followed that are active.
    pub fn forget_watcher(&self, node: NodeId) -> Vec<(RoomId, ActorRef<RoomMessage>)> {
        let mut followed = Vec::new();
        for stripe in &self.stripes {
            let mut slots = stripe.lock();
            for (room, slot) in slots.iter_mut() {
                if slot.watchers.remove(&node).is_some()
                    && let Some(active) = &slot.room
                {
                    followed.push((*room, active.actor.clone()));
                }
            }
            slots.retain(|_, slot| !slot.is_empty());
        }
        followed
    }

    /// The other nodes that follow a room ordered here.
    #[must_use]
    pub fn watchers(&self, room: RoomId) -> Vec<NodeId> {
        let slots = self.stripe(room).lock();
        slots.get(&room).map(|slot| slot.watchers.keys().copied().collect()).unwrap_or_default()
    }

    /// Takes the relay out if nothing is queued for it; says whether it did.
    pub fn retire_relay(&self, room: RoomId) -> bool {
        let mut slots = self.stripe(room).lock();
        let Some(slot) = slots.get_mut(&room) else {
            return true;
        };
        if slot.relay.as_ref().is_some_and(|active| active.queued() > 0) {
            return false;
        }
        (slot.relay, slot.people) = (None, 0);
        if slot.is_empty() {
            slots.remove(&room);
        }
        true
    }

    /// Clears away an actor that has ended, however it did. Says which room it belonged to and
    /// whether it still stood in the slot, as it does when it died.
    pub fn ended(&self, actor: ActorId) -> Option<(RoomId, bool)> {
        let room = self.rooms_of_actors.lock().remove(&actor)?;
        let mut slots = self.stripe(room).lock();
        let Some(slot) = slots.get_mut(&room) else {
            return Some((room, false));
        };
        let was_room = slot.room.as_ref().is_some_and(|active| active.actor.get_id() == actor);
        let was_relay = slot.relay.as_ref().is_some_and(|active| active.actor.get_id() == actor);
        if was_room {
            slot.room = None;
        }
        if was_relay {
            (slot.relay, slot.people) = (None, 0);
        }
        if slot.is_empty() {
            slots.remove(&room);
        }
        Some((room, was_room || was_relay))
    }

    /// Whether the room has a relay here.
    #[must_use]
    pub fn has_relay(&self, room: RoomId) -> bool {
        self.with_relay(room, |_| ()).is_some()
    }

    /// How many rooms and relays are in memory, those about to end among them.
    #[must_use]
    pub fn actors(&self) -> usize {
        self.rooms_of_actors.lock().len()
    }

    /// How many rooms and relays are active.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.stripes.iter().fold((0, 0), |(rooms, relays), stripe| {
            let slots = stripe.lock();
            let active = slots.values().filter(|slot| slot.room.is_some()).count();
            (rooms + active, relays + slots.values().filter(|slot| slot.relay.is_some()).count())
        })
    }

    /// How many requests wait for rooms, or are at work there.
    #[must_use]
    pub fn queued(&self) -> usize {
        let of = |slot: &Slot| slot.room.as_ref().map_or(0, Active::queued);
        self.stripes.iter().map(|stripe| stripe.lock().values().map(of).sum::<usize>()).sum()
    }

    /// The active rooms' actors.
    #[must_use]
    pub fn rooms(&self) -> Vec<(RoomId, ActorRef<RoomMessage>)> {
        let of = |(room, slot): (&RoomId, &Slot)| slot.room.as_ref().map(|active| (*room, active.actor.clone()));
        self.stripes.iter().flat_map(|stripe| stripe.lock().iter().filter_map(of).collect::<Vec<_>>()).collect()
    }

    /// The active relays' actors.
    #[must_use]
    pub fn relays(&self) -> Vec<(RoomId, ActorRef<RelayMessage>)> {
        let of = |(room, slot): (&RoomId, &Slot)| slot.relay.as_ref().map(|active| (*room, active.actor.clone()));
        self.stripes.iter().flat_map(|stripe| stripe.lock().iter().filter_map(of).collect::<Vec<_>>()).collect()
    }
}
