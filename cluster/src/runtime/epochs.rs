//! Fresh epochs: each is handed out at most once, whatever the map says and however often the process starts.
//!
//! An epoch belongs to one shard and one owner (the control plane's law). Two activations of one owner must not share
//! it either: an append of the earlier could then pass the fence of the later. So this process remembers what it has
//! given, and takes nothing from a map that does not name its own incarnation: the register of a new incarnation has
//! moved every shard of the node to an epoch that no process before could have given.
//!
//! When the map offers nothing that is fresh, the owner asks the group for a higher epoch, many shards in one command.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{core::Core, map::Map};
use crate::control::{Command, Place, Renewal, place::MOVES_MAX};

/// How often an epoch that does not come is asked for again: a proposal takes a few milliseconds, and its answer may
/// be lost.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

/// What this process has handed out.
#[derive(Debug, Default)]
pub(super) struct Given(HashMap<ShardId, Epoch>);

/// What can be done for who wants an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// This one; it is not given again.
    Fresh(Epoch),
    /// A higher one is needed.
    Renew(Renewal),
    /// This process is not known to the cluster yet.
    NotYet,
    /// The shard is another node's, or on its way to one.
    NotOurs,
}

impl Given {
    /// Decides by `map` for the process of `me` with `incarnation`.
    pub(super) fn offer(
        &mut self,
        map: &Map,
        me: NodeId,
        incarnation: u64,
        shard: ShardId,
        stored: Epoch,
    ) -> Offer {
        let registered = map.members.get(&me).is_some_and(|member| member.incarnation == incarnation);
        let Some(place) = map.shard(shard).filter(|_| registered) else { return Offer::NotYet };
        if place.owner != me || place.place != Place::Stable {
            return Offer::NotOurs;
        }
        let given = self.0.entry(shard).or_default();
        if place.epoch > stored && place.epoch > *given {
            *given = place.epoch;
            return Offer::Fresh(place.epoch);
        }
        Offer::Renew(Renewal { shard, epoch: place.epoch, floor: stored.max(*given) })
    }
}

/// Given epochs, and shards that want a higher one.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    pub(super) given: Mutex<Given>,
    /// One for each shard, so never more than there are shards.
    wanted: Mutex<BTreeMap<ShardId, Renewal>>,
    asked: Notify,
}

impl Core {
    fn offer(&self, shard: ShardId, stored: Epoch) -> Offer {
        self.keeper.read(|map| self.epochs.given.lock().offer(map, self.me, self.incarnation(), shard, stored))
    }

    /// See [`Placement::fresh_epoch`](hubbub_protocol::ports::Placement::fresh_epoch).
    pub(super) async fn fresh_epoch(self: Arc<Self>, shard: ShardId, stored: Epoch) -> Option<Epoch> {
        let deadline = Instant::now() + self.timing.epoch_within;
        let mut versions = self.keeper.versions();
        loop {
            versions.borrow_and_update();
            match self.offer(shard, stored) {
                Offer::Fresh(epoch) => return Some(epoch),
                Offer::NotOurs => return None,
                Offer::NotYet => {}
                Offer::Renew(renewal) => {
                    self.epochs.wanted.lock().insert(shard, renewal);
                    self.epochs.asked.notify_one();
                }
            }
            let until = deadline.min(Instant::now() + ASK_AGAIN);
            drop(tokio::time::timeout_at(until, versions.changed()).await);
            if Instant::now() >= deadline {
                return None;
            }
        }
    }

    /// Proposes what is wanted. One proposal at a time: what is wanted meanwhile gathers.
    pub(super) async fn renew_epochs(self: Arc<Self>) {
        loop {
            self.epochs.asked.notified().await;
            loop {
                let shards: Vec<Renewal> = {
                    let mut wanted = self.epochs.wanted.lock();
                    std::iter::from_fn(|| wanted.pop_first().map(|(_, renewal)| renewal)).take(MOVES_MAX).collect()
                };
                if shards.is_empty() {
                    break;
                }
                self.keeper.expect(&shards);
                if let Err(error) = self.propose(Command::Renew { node: self.me, shards }).await {
                    tracing::warn!(%error, "no fresh epochs could be had; whoever waits asks again");
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "epochs_tests.rs"]
mod tests;
