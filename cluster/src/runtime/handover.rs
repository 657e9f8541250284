//! Handing shards over: when the map says that a shard of ours is on its way, the actors let go of it, and then the
//! owner to be gets it.
//!
//! Each shard is let go on its own, so that one that is slow to settle holds up no other; those that are ready together
//! are finished in one command. The leader ends a move that takes too long: the fence refuses what the old owner might
//! still append.

use std::{collections::HashMap, sync::Arc};

use hubbub_protocol::{ids::Epoch, shard::ShardId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::core::Core;
use crate::control::{Command, Place, place::MOVES_MAX};

/// Shards that are ready to go.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    ready: Mutex<Vec<(ShardId, Epoch)>>,
    more: Notify,
}

impl Core {
    /// Lets go of what is to move, once for each move.
    pub(super) async fn let_go(self: Arc<Self>) {
        let mut letting: HashMap<ShardId, Epoch> = HashMap::new();
        let mut versions = self.keeper.versions();
        loop {
            versions.borrow_and_update();
            let moving: HashMap<ShardId, Epoch> = self.keeper.read(|map| {
                let ours =
                    map.each_shard().filter(|(_, place)| place.owner == self.me && place.place != Place::Stable);
                ours.map(|(shard, place)| (shard, place.epoch)).collect()
            });
            letting.retain(|shard, epoch| moving.get(shard) == Some(epoch));
            for (shard, epoch) in moving {
                if letting.insert(shard, epoch).is_none() {
                    tokio::spawn(self.clone().let_go_of(shard, epoch));
                }
            }
            if versions.changed().await.is_err() {
                return;
            }
        }
    }

    async fn let_go_of(self: Arc<Self>, shard: ShardId, epoch: Epoch) {
        if let Some(resident) = self.keeper.resident() {
            tokio::select! {
                () = resident.let_go(vec![shard]) => {}
                () = self.stop.cancelled() => return,
            }
        }
        self.handovers.ready.lock().push((shard, epoch));
        self.handovers.more.notify_one();
    }

    /// Proposes the end of moves. One proposal at a time: what is ready meanwhile gathers.
    pub(super) async fn finish_moves(self: Arc<Self>) {
        loop {
            self.handovers.more.notified().await;
            loop {
                let shards: Vec<(ShardId, Epoch)> = {
                    let mut ready = self.handovers.ready.lock();
                    let count = ready.len().min(MOVES_MAX);
                    ready.drain(..count).collect()
                };
                if shards.is_empty() {
                    break;
                }
                if let Err(error) = self.propose(Command::FinishMoves { shards }).await {
                    tracing::warn!(%error, "a handover could not be finished: the leader will");
                }
            }
        }
    }
}
