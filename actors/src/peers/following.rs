//! A relay here, and the room's owner on another node.
//!
//! The owner keeps the nodes that follow a room beside the room's own relay, and sends each what it commits. A node
//! whose lane is full is sent nothing but the newest seq, again and again until that gets through: its relay reads
//! the rest from the log. A relay asks to be sent events when it begins, when its room's shard has a new place, and
//! when the link to the owner is new.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hubbub_protocol::{
    ids::{NodeId, RoomId, Seq, UserId},
    peer::{Class, Envelope, SendError},
};
use parking_lot::Mutex;
use ractor::ActorRef;
use tokio::time::timeout;

use super::wire::{Deliver, Delivered, Elsewhere, Head, People, Typing, Unwatch, Watch, Watching};
use crate::{
    context::Context,
    relay::{Delivery, RelayMessage},
    room::{RoomMessage, handle},
};

/// How long an owner may take to say that it sends: a room is loaded meanwhile.
const WATCHED_WITHIN: Duration = Duration::from_secs(3);
/// Rooms whose heads are read in one query.
const HEADS_AT_ONCE: usize = 1_000;
/// First pause before asking again, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(25);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Rooms whose owner is being asked, and whether to ask once more.
pub(crate) type Asking = Mutex<HashMap<RoomId, bool>>;

/// Asks the room's owner on another node to send events, again until it does or there is no relay any more.
pub(crate) fn begin(context: &Arc<Context>, room: RoomId) {
    let mut asking = context.asking_owners.lock();
    if let Some(again) = asking.get_mut(&room) {
        *again = true;
        return;
    }
    asking.insert(room, false);
    drop(asking);
    let context = context.clone();
    tokio::spawn(async move {
        let mut pause = PAUSE_MIN;
        loop {
            let mut moved = context.map_changes.subscribe();
            let done = !context.slots.has_relay(room) || ask_once(&context, room).await;
            if done && !once_more(&context, room) {
                return;
            }
            if done {
                pause = PAUSE_MIN;
                continue;
            }
            // The map that says where the room is now may be on its way.
            let _ = timeout(pause, moved.changed()).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    });
}

/// Whether somebody wanted the owner to be asked meanwhile; else nobody asks it any more.
fn once_more(context: &Context, room: RoomId) -> bool {
    let mut asking = context.asking_owners.lock();
    match asking.get_mut(&room) {
        Some(again) if *again => {
            *again = false;
            true
        }
        _ => {
            asking.remove(&room);
            false
        }
    }
}

/// Whether the relay is being sent events now.
async fn ask_once(context: &Arc<Context>, room: RoomId) -> bool {
    let owner = context.place_of(room).owner;
    if owner == context.this_node() {
        if context.is_here(room) {
            handle::wake(context, room);
            return true;
        }
        return false;
    }
    context.slots.with_relay(room, |relay| relay.cast(RelayMessage::AskingOwner).is_ok());
    let watch = Watch { room, people: context.slots.people_here(room) };
    let Some(envelope) = context.peers.pack(&watch) else { return false };
    let lane = Class::Deliver.lane(room.raw());
    let answer = context.peers.bus().ask(owner, lane, envelope, WATCHED_WITHIN).await;
    let Some(Watching { head: Some(head), elsewhere }) = answer.ok().and_then(|answer| answer.open().ok()) else {
        return false;
    };
    context.slots.with_relay(room, |relay| {
        // Ahead of what answers those who wait.
        relay.cast(RelayMessage::Elsewhere { people: elsewhere, reported: Some(watch.people) }).is_ok()
            && relay.cast(RelayMessage::Watched { head }).is_ok()
    });
    true
}

/// Tells the room's owner on another node that there is no relay here any more.
pub(crate) fn end(context: &Context, room: RoomId) {
    let owner = context.place_of(room).owner;
    if owner != context.this_node()
        && let Some(envelope) = context.peers.pack(&Unwatch { room })
    {
        // A link that is broken has taken us out already.
        let _ = context.peers.bus().cast(owner, Class::Deliver.lane(room.raw()), envelope);
    }
}

/// How far the rooms have got whose owners cannot be reached, of those that have a relay here: so those who follow
/// them here are told of what others store, if later. What cannot be read now is read the next time.
pub(crate) async fn heads_of_the_unreachable(
    context: &Context,
    relays: &[(RoomId, ActorRef<RelayMessage>)],
) -> HashMap<RoomId, Seq> {
    let cut_off = context.cut_off.lock().clone();
    let unreachable = |room: &RoomId| cut_off.contains(&context.place_of(*room).owner);
    let rooms: Vec<RoomId> = relays.iter().map(|(room, _)| *room).filter(unreachable).collect();
    let mut known = HashMap::new();
    for some in rooms.chunks(HEADS_AT_ONCE) {
        let Ok(heads) = context.store.heads(some).await else { break };
        known.extend(some.iter().copied().zip(heads));
    }
    known
}

/// The events as they are sent to other nodes; `None` when they are too many for one message.
pub(crate) fn envelope(context: &Context, room: RoomId, deliveries: &[Delivery]) -> Option<Envelope> {
    let events = deliveries.iter().map(Delivery::sent).collect();
    Envelope::pack(context.ports.placement.map_version(), &Deliver { room, events }).ok()
}

/// What became of sending something to a node that follows a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    Yes,
    /// It must be told the head later.
    Behind,
    /// It has no link, and asks anew once it has.
    Gone,
}

/// Sends to a node that follows a room.
pub(crate) fn send(context: &Context, room: RoomId, to: NodeId, envelope: Envelope) -> Reached {
    match context.peers.bus().cast(to, Class::Deliver.lane(room.raw()), envelope) {
        Ok(()) => Reached::Yes,
        Err(SendError::Busy { .. } | SendError::TooLarge { .. }) => Reached::Behind,
        Err(SendError::Unreachable { .. } | SendError::NoLane { .. }) => Reached::Gone,
    }
}

/// Tells a node the newest seq on disk.
pub(crate) fn send_head(context: &Context, room: RoomId, to: NodeId, head: Seq) -> Reached {
    context.peers.pack(&Head { room, head }).map_or(Reached::Behind, |envelope| send(context, room, to, envelope))
}

/// Tells the room's owner on another node how many people follow it here; says whether that is on its way.
pub(crate) fn people(context: &Context, room: RoomId, people: u64) -> bool {
    let envelope = context.peers.pack(&People { room, people });
    envelope.is_some_and(|envelope| send(context, room, context.place_of(room).owner, envelope) == Reached::Yes)
}

/// Tells a node how many people follow a room on others.
pub(crate) fn send_elsewhere(context: &Context, room: RoomId, to: NodeId, people: u64) -> Reached {
    let envelope = context.peers.pack(&Elsewhere { room, people });
    envelope.map_or(Reached::Behind, |envelope| send(context, room, to, envelope))
}

/// Takes note of how many people follow a room on `from`.
pub(crate) fn counted(context: &Context, from: NodeId, People { room, people }: &People) {
    if context.slots.count_people(*room, from, *people) {
        context.slots.with_room(*room, |actor| actor.cast(RoomMessage::TellPeople { time: false }).is_ok());
    }
}

/// Tells those who follow a room on other nodes that somebody types. `from` has told its own already.
pub(crate) fn typing(context: &Context, room: RoomId, user: UserId, from: Option<NodeId>) {
    if context.peers.others().is_empty() {
        return;
    }
    let owner = context.place_of(room).owner;
    let to = if owner == context.this_node() {
        context.slots.watchers(room)
    } else if from.is_none() {
        vec![owner]
    } else {
        Vec::new()
    };
    let Some(envelope) = context.peers.pack(&Typing { room, user }) else { return };
    for node in to.into_iter().filter(|node| Some(*node) != from) {
        // Nobody misses it.
        let _ = context.peers.bus().whisper(node, envelope.clone());
    }
}

impl Delivery {
    /// As it is sent to other nodes.
    fn sent(&self) -> Delivered {
        Delivered {
            seq: self.seq,
            class: self.class,
            gone: self.gone,
            calls_everyone: self.calls_everyone,
            push: self.frame.payload_bytes(),
        }
    }
}

/// What an owner sent, for the relay here.
pub(crate) fn delivered(context: &Context, Deliver { room, events }: Deliver) {
    let deliveries: Vec<Delivery> = events.into_iter().map(Delivery::received).collect();
    let now = context.meters.stamp();
    deliveries.iter().for_each(|delivery| delivery.frame.set_since(now.raw()));
    context.slots.with_relay(room, |relay| relay.cast(RelayMessage::Deliver(deliveries)).is_ok());
}
