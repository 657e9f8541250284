//! What the actors do when shards come and go.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hubbub_protocol::{
    ids::RoomId,
    peer::Eventually,
    ports::{Placement, Resident},
    shard::ShardId,
};
use tokio::sync::oneshot;

use super::Hub;
use crate::{context::Context, room::RoomMessage, room::handle};

/// How long rooms that are let go of may take to settle what is under way; what is left then is refused by the fence,
/// and its authors repeat it.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

impl Context {
    /// Takes the rooms of these shards out, so that what comes next starts them anew, here or elsewhere.
    fn end_rooms(&self, shards: &BTreeSet<ShardId>) -> Vec<oneshot::Receiver<()>> {
        let rooms = self.slots.rooms().into_iter().map(|(room, _)| room);
        let taken = rooms
            .filter(|room| shards.contains(&self.shard_of(*room)))
            .filter_map(|room| self.slots.take_room(room));
        let ended = taken.filter_map(|actor| {
            let (done, wait) = oneshot::channel();
            actor.cast(RoomMessage::LetGo { done: Some(done) }).ok().map(|()| wait)
        });
        ended.collect()
    }

    /// Gives shards up in every lane that has some of them, from this call on; done once what they had is settled.
    fn give_up(&self, shards: &BTreeSet<ShardId>) -> impl Future<Output = ()> + Send + use<> {
        let lanes = self.lanes.len();
        let of_lane = |lane: usize| -> Vec<ShardId> {
            let is_in = |shard: &&ShardId| usize::try_from(shard.0).unwrap_or(0) % lanes == lane;
            shards.iter().filter(is_in).copied().collect()
        };
        let lanes = self.lanes.iter().enumerate().map(|(number, lane)| (lane, of_lane(number)));
        let given_up: Vec<_> =
            lanes.filter(|(_, shards)| !shards.is_empty()).map(|(lane, shards)| lane.give_up(shards)).collect();
        async move { drop(join_all(given_up).await) }
    }

    /// Those who follow rooms of these shards here ask whoever orders them now.
    fn follow_anew(self: &Arc<Self>, shards: &BTreeSet<ShardId>) {
        let relays: Vec<RoomId> = self.slots.relays().into_iter().map(|(room, _)| room).collect();
        for room in relays.into_iter().filter(|room| shards.contains(&self.shard_of(*room))) {
            handle::wake(self, room);
        }
    }
}

impl Resident for Hub {
    fn map_changed(&self, shards: &[ShardId]) {
        let context = self.context.clone();
        let placement: &dyn Placement = &*context.ports.placement;
        // A shard that is to be handed over keeps its rooms until it is let go of.
        let placed: BTreeSet<ShardId> =
            shards.iter().copied().filter(|shard| !placement.place(*shard).moving).collect();
        if placed.iter().any(|shard| placement.place(*shard).owner == placement.this_node()) {
            context.directory.forget_heads();
        }
        // They settle what is under way by themselves, or are refused by the fence.
        drop(context.end_rooms(&placed));
        let given_up = context.give_up(&placed);
        tokio::spawn(async move {
            given_up.await;
            let all: Vec<ShardId> = placed.iter().copied().collect();
            context.letting_go.end(&all);
            context.map_changes.send_modify(|changes| *changes += 1);
            context.follow_anew(&placed);
        });
    }

    fn let_go(&self, shards: Vec<ShardId>) -> Eventually<()> {
        let context = self.context.clone();
        context.letting_go.begin(&shards);
        Box::pin(async move {
            let shards: BTreeSet<ShardId> = shards.into_iter().collect();
            let ended = context.end_rooms(&shards);
            if tokio::time::timeout(SETTLED_WITHIN, join_all(ended)).await.is_err() {
                tracing::warn!(
                    "rooms that are handed over did not settle in {SETTLED_WITHIN:?}; the fence refuses the rest"
                );
            }
            context.give_up(&shards).await;
        })
    }
}
