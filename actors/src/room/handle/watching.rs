//! Those who follow a room: the relay of this node, relays of others, and sessions here.

use std::sync::Arc;

use hubbub_protocol::ids::{NodeId, RoomId, Seq};
use ractor::{ActorRef, ActorRuntime};
use tokio::sync::oneshot;

use super::spawn;
use crate::{
    context::Context,
    peers::following,
    relay::{Follower, RelayActor, RelayMessage, Reply},
    room::RoomMessage,
    slots::Full,
};

/// Makes `relay` the room's relay, activating the room first when needed. When another node orders the room, it is
/// asked to send to the relay that this node has for the room.
pub(crate) fn watch(context: &Arc<Context>, room: RoomId, relay: ActorRef<RelayMessage>) {
    if !context.is_here(room) {
        return following::begin(context, room);
    }
    // A full queue cannot keep a relay out: it would never learn where its stretch begins.
    let watching = context.slots.with_room(room, |actor| actor.cast(RoomMessage::Watch(relay.clone())).is_ok());
    if watching != Some(true) {
        let _ = context.slots.to_room(
            room,
            |_, watchers| spawn(context, room, Some(relay.clone()), watchers),
            |permit| {
                drop(permit);
                RoomMessage::Watch(relay.clone())
            },
        );
    }
}

/// Activates a room that somebody follows, so that they go on being served.
pub(crate) fn wake(context: &Arc<Context>, room: RoomId) {
    let relay = context.slots.with_relay(room, Clone::clone);
    if let Some(relay) = relay {
        watch(context, room, relay);
    } else if context.is_here(room) && !context.slots.watchers(room).is_empty() {
        let nothing = |permit| {
            drop(permit);
            RoomMessage::TellBehind(Vec::new())
        };
        // A full queue belongs to a room that is active.
        let _ = context.slots.to_room(room, |relay, watchers| spawn(context, room, relay, watchers), nothing);
    }
}

/// Takes note that a relay of `node` follows the room, which this node orders, for so many people; `reply` is told
/// where its stretch begins.
pub(crate) fn watch_from(
    context: &Arc<Context>,
    room: RoomId,
    node: NodeId,
    people: u64,
    reply: oneshot::Sender<Seq>,
) {
    context.slots.add_watcher(room, node, people);
    let mut reply = Some(reply);
    let sent = context.slots.to_room(
        room,
        |relay, watchers| spawn(context, room, relay, watchers),
        |permit| {
            drop(permit);
            RoomMessage::WatchFrom { node, reply: reply.take().expect("called once") }
        },
    );
    if sent.is_err() {
        // A full queue is no answer; the relay asks again.
        context.slots.remove_watcher(room, node);
    }
}

/// Takes note that it does not any more.
pub(crate) fn unwatch_from(context: &Context, room: RoomId, node: NodeId) {
    context.slots.remove_watcher(room, node);
    context.slots.with_room(room, |actor| actor.cast(RoomMessage::UnwatchFrom { node }).is_ok());
}

/// Lets a session follow a room; `reply` is called ahead of the first event.
pub(crate) fn follow(
    context: &Arc<Context>,
    room: RoomId,
    follower: Box<Follower>,
    after: Option<Seq>,
    reply: Reply,
) -> Result<(), Full> {
    let spawn = || {
        let arguments = (context.clone(), room);
        let spawned = ActorRuntime::spawn_linked_instant(None, RelayActor, arguments, context.supervisor(room));
        spawned.expect("an actor without a name can always be spawned").0
    };
    context.slots.to_relay(room, spawn, |permit| RelayMessage::Follow(permit, follower, after, reply))
}
