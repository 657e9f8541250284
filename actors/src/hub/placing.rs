//! What the actors do when shards come and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hubbub_protocol::{
    ids::{Epoch, RoomId},
    peer::Eventually,
    ports::{Placement, Resident},
    shard::ShardId,
};
use tokio::sync::oneshot;

use super::Hub;
use crate::{context::Context, peers::homes, room::RoomMessage, room::handle};

/// How long rooms that are let go of may take to settle what is under way; what is left then is refused by the fence,
/// and its authors repeat it.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);

/// Shards to give up; with the epoch at which they are this node's, those of an older one only.
type Shards = BTreeMap<ShardId, Option<Epoch>>;

impl Context {
    /// Takes the rooms of these shards out, so that what comes next starts them anew, elsewhere or, under the newer
    /// epoch, here.
    fn end_rooms(&self, shards: &Shards) -> Vec<oneshot::Receiver<()>> {
        let rooms = self.slots.rooms().into_iter().map(|(room, _)| room);
        let taken = rooms.filter_map(|room| self.slots.take_room(room, *shards.get(&self.shard_of(room))?));
        let ended = taken.filter_map(|actor| {
            let (done, wait) = oneshot::channel();
            actor.cast(RoomMessage::LetGo { done: Some(done) }).ok().map(|()| wait)
        });
        ended.collect()
    }

    /// Gives shards up in every lane that has some of them, from this call on; done once what they had is settled.
    fn give_up(&self, shards: &Shards) -> impl Future<Output = ()> + Send + use<> {
        let lanes = self.lanes.len();
        let of_lane = |lane: usize| -> Vec<(ShardId, Option<Epoch>)> {
            let is_in = |shard: &ShardId| usize::try_from(shard.0).unwrap_or(0) % lanes == lane;
            shards.iter().filter(|(shard, _)| is_in(shard)).map(|(shard, newer)| (*shard, *newer)).collect()
        };
        let lanes = self.lanes.iter().enumerate().map(|(number, lane)| (lane, of_lane(number)));
        let given_up: Vec<_> =
            lanes.filter(|(_, shards)| !shards.is_empty()).map(|(lane, shards)| lane.give_up(shards)).collect();
        async move { drop(join_all(given_up).await) }
    }

    /// Those who follow rooms of these shards here ask whoever orders them now.
    fn follow_anew(self: &Arc<Self>, shards: &Shards) {
        let relays: Vec<RoomId> = self.slots.relays().into_iter().map(|(room, _)| room).collect();
        for room in relays.into_iter().filter(|room| shards.contains_key(&self.shard_of(*room))) {
            handle::wake(self, room);
        }
    }
}

impl Resident for Hub {
    fn map_changed(&self, shards: &[ShardId]) {
        let context = self.context.clone();
        let placement: &dyn Placement = &*context.ports.placement;
        let mut placed = Shards::new();
        for shard in shards {
            let place = placement.place(*shard);
            // A shard that is to be handed over keeps its rooms until it is let go of.
            if !place.moving {
                placed.insert(*shard, (place.owner == placement.this_node()).then_some(place.epoch));
            }
        }
        if placed.values().any(Option::is_some) {
            context.directory.forget_heads();
        }
        homes::map_changed(&context, shards);
        // They settle what is under way by themselves, or are refused by the fence.
        drop(context.end_rooms(&placed));
        let given_up = context.give_up(&placed);
        tokio::spawn(async move {
            given_up.await;
            let all: Vec<ShardId> = placed.keys().copied().collect();
            context.letting_go.end(&all);
            context.map_changes.send_modify(|changes| *changes += 1);
            context.follow_anew(&placed);
        });
    }

    fn let_go(&self, shards: Vec<ShardId>) -> Eventually<()> {
        let context = self.context.clone();
        context.letting_go.begin(&shards);
        Box::pin(async move {
            let shards: Shards = shards.into_iter().map(|shard| (shard, None)).collect();
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
