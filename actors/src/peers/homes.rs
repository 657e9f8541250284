//! Where each user has a home, and which nodes have sessions of whom.
//!
//! A user's *home* is the node that owns the shard of the user's id. It knows which nodes have the user, so that what
//! is for the user goes there and nowhere else: one message to the home for all the users who live there, one from it
//! to each node that has some of them.
//!
//! # Invariants
//!
//! * While links and map stand still, nothing that is sent to a user is lost on the way to a device that the home has
//!   heard of ([`super::reports`]), and it comes once.
//! * What was reported under an older epoch of the shard may be outdated: in between another node may have been the
//!   home, and was told of the end. It counts until every node has had the time to report anew, and no longer.
//! * Whoever knows less sends to more: a home that is new, or has a new link, sends to every node for a while; whoever
//!   cannot reach a home, or is taken for one by mistake, tells all nodes.
//!
//! # Failure
//!
//! A full lane or a link that breaks loses what was under way; nobody depends on it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hubbub_protocol::{
    ids::{Epoch, NodeId, RoomId, UserId},
    ports::{Placed, Placement},
    shard::ShardId,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::reports::Reports;
use crate::{
    context::Context,
    user::{Share, UserMessage},
};

/// Shortest time for which a home that is new sends to every node. Others hear of the move and report to it within a
/// second or two; a home that is new says for as long as [`HubConfig::offline_after`] that it may not know.
///
/// [`HubConfig::offline_after`]: crate::context::HubConfig::offline_after
const SETTLING_MIN: Duration = Duration::from_secs(2);

/// What is for users, wherever they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Told {
    /// A push for every device but one session's.
    Push { push: Bytes, except: Option<u64> },
    /// Somebody mentions them.
    Mention { room: RoomId, seq: hubbub_protocol::ids::Seq },
}

/// What a node has of a user, as far as sending goes.
#[derive(Debug, Clone, Copy)]
struct Reach {
    devices: bool,
    sessions: bool,
    /// Of the shard, as the node knew it.
    epoch: Epoch,
}

/// Things that are new for a while; the number tells a thing from itself, when it becomes new once more.
type Fresh<T> = Mutex<HashMap<T, u64>>;

/// What this node knows as a home.
#[derive(Debug)]
pub(crate) struct Homes {
    /// Nodes with a session, of the users who live here.
    reached: Mutex<HashMap<UserId, BTreeMap<NodeId, Reach>>>,
    /// Shards that this node has, and since which epoch.
    shards: Mutex<HashMap<ShardId, Epoch>>,
    /// Those that it got a moment ago: not every node has reported yet.
    unsettled: Fresh<ShardId>,
    /// Nodes whose link is new: they have not reported yet either.
    newcomers: Fresh<NodeId>,
    /// Given to what is new; 0 is for what is new as the node begins.
    turns: AtomicU64,
    pub(crate) reports: Reports,
}

impl Homes {
    pub(crate) fn new(placement: &dyn Placement) -> Self {
        let all =
            (0..placement.shard_bits().count()).map(|shard| (ShardId(shard), placement.place(ShardId(shard))));
        let ours = all.filter(|(_, place)| place.owner == placement.this_node());
        let ours = ours.map(|(shard, place)| (shard, place.epoch)).collect();
        Self {
            reached: Mutex::default(),
            shards: Mutex::new(ours),
            unsettled: Mutex::default(),
            newcomers: Mutex::default(),
            turns: AtomicU64::new(1),
            reports: Reports::default(),
        }
    }

    /// Takes note of what a node has of a user.
    pub(super) fn reach(&self, user: UserId, node: NodeId, share: &Share, epoch: Epoch) {
        let mut reached = self.reached.lock();
        if share.sessions || share.devices {
            let reach = Reach { devices: share.devices, sessions: share.sessions, epoch };
            reached.entry(user).or_default().insert(node, reach);
        } else if let Some(nodes) = reached.get_mut(&user) {
            nodes.remove(&node);
            if nodes.is_empty() {
                reached.remove(&user);
            }
        }
    }

    fn nodes_of(&self, user: UserId, told: &Told) -> Vec<NodeId> {
        let wants = |reach: &Reach| match told {
            Told::Push { .. } => reach.devices,
            Told::Mention { .. } => reach.sessions,
        };
        let reached = self.reached.lock();
        let nodes = reached.get(&user).into_iter().flatten();
        nodes.filter(|(_, reach)| wants(reach)).map(|(node, _)| *node).collect()
    }

    /// Whether every node has had the time to say whom of this shard it has. A shard that the map has just given to
    /// this node is not settled, also before this is told of it.
    pub(crate) fn is_settled(&self, shard: ShardId) -> bool {
        self.shards.lock().contains_key(&shard) && !self.unsettled.lock().contains_key(&shard)
    }

    /// Takes note of shards that are this node's, or not any more; gives those it has got, or has under a new epoch.
    fn take_over(&self, me: NodeId, placed: &[(ShardId, Placed)]) -> Vec<(ShardId, u64)> {
        let mut ours = self.shards.lock();
        let mut got = Vec::new();
        for (shard, place) in placed {
            if place.owner != me {
                ours.remove(shard);
                self.unsettled.lock().remove(shard);
            } else if ours.insert(*shard, place.epoch) != Some(place.epoch) {
                got.push((*shard, self.turns.fetch_add(1, Ordering::Relaxed)));
            }
        }
        self.unsettled.lock().extend(got.iter().copied());
        got
    }
}

impl Context {
    pub(crate) fn shard_of_user(&self, user: UserId) -> ShardId {
        self.shard_of(RoomId::from_raw(user.raw()))
    }

    /// The user's home, as far as this node knows.
    pub(crate) fn home_of(&self, user: UserId) -> NodeId {
        self.home_place(user).owner
    }

    pub(crate) fn home_place(&self, user: UserId) -> Placed {
        self.ports.placement.place(self.shard_of_user(user))
    }

    /// Sends to users who are on other nodes; this one has been told.
    pub(super) fn tell_elsewhere(&self, users: &[UserId], told: &Told) {
        let mut of_home: BTreeMap<NodeId, Vec<UserId>> = BTreeMap::new();
        for user in users {
            of_home.entry(self.home_of(*user)).or_default().push(*user);
        }
        for (home, users) in of_home {
            if home == self.this_node() {
                self.forward(&users, told, None);
            } else if !self.peers.tell_home(home, &users, told) {
                let others = self.peers.others();
                others
                    .iter()
                    .filter(|node| **node != home)
                    .for_each(|node| self.peers.tell_node(*node, &users, told));
            }
        }
    }

    /// Sends to the nodes that have users who live here, but not to `from`, which has told its own.
    pub(super) fn forward(&self, users: &[UserId], told: &Told, from: Option<NodeId>) {
        let (homes, others) = (&self.homes, self.peers.others());
        let newcomers: Vec<NodeId> = homes.newcomers.lock().keys().copied().collect();
        let mut of_node: BTreeMap<NodeId, Vec<UserId>> = BTreeMap::new();
        for user in users {
            let shard = self.shard_of_user(*user);
            // Whoever takes this node for the home by mistake has told nobody else either.
            let knows = self.home_of(*user) == self.this_node() && homes.is_settled(shard);
            let mut nodes: HashSet<NodeId> = if knows {
                homes.nodes_of(*user, told).into_iter().chain(newcomers.iter().copied()).collect()
            } else {
                others.iter().copied().collect()
            };
            nodes.retain(|node| Some(*node) != from && *node != self.this_node());
            nodes.into_iter().for_each(|node| of_node.entry(node).or_default().push(*user));
        }
        of_node.into_iter().for_each(|(node, users)| self.peers.tell_node(node, &users, told));
    }
}

/// The map says something new of these shards: whoever has users of them reports to their new home.
pub(crate) fn map_changed(context: &Arc<Context>, shards: &[ShardId]) {
    let (placement, me) = (&context.ports.placement, context.this_node());
    let placed: Vec<(ShardId, Placed)> = shards.iter().map(|shard| (*shard, placement.place(*shard))).collect();
    let got = context.homes.take_over(me, &placed);
    let lost = |shard: &(ShardId, Placed)| shard.1.owner != me;
    let lost: HashSet<ShardId> = placed.into_iter().filter(lost).map(|(shard, _)| shard).collect();
    context.homes.reached.lock().retain(|user, _| !lost.contains(&context.shard_of_user(*user)));
    let changed: HashSet<ShardId> = shards.iter().copied().collect();
    announce(context, |user| changed.contains(&context.shard_of_user(user)));
    settle_later(context, got);
}

/// The node begins. One that has been here before has forgotten what it knew as a home.
pub(crate) fn begin(context: &Arc<Context>) {
    if !context.peers.others().is_empty() {
        let ours: Vec<(ShardId, u64)> = context.homes.shards.lock().keys().map(|shard| (*shard, 0)).collect();
        context.homes.unsettled.lock().extend(ours.iter().copied());
        settle_later(context, ours);
    }
}

/// Counts shards as known once every node has had the time to report.
fn settle_later(context: &Arc<Context>, got: Vec<(ShardId, u64)>) {
    if got.is_empty() {
        return;
    }
    let (context, settling) = (context.clone(), context.config.offline_after.max(SETTLING_MIN));
    tokio::spawn(async move {
        tokio::time::sleep(settling).await;
        let settled = expire(&context.homes.unsettled, &got);
        let settled = |user: &UserId| settled.contains(&context.shard_of_user(*user));
        context.homes.reached.lock().retain(|user, nodes| {
            if settled(user) {
                let epoch = context.home_place(*user).epoch;
                nodes.retain(|_, reach| reach.epoch >= epoch);
            }
            !nodes.is_empty()
        });
        for user in context.users.all().into_iter().filter(settled) {
            context.users.send_if_here(user, UserMessage::Settled);
        }
    });
}

/// Takes out what has not become new once more; gives it.
fn expire<T: Copy + Eq + std::hash::Hash>(fresh: &Fresh<T>, old: &[(T, u64)]) -> HashSet<T> {
    let mut fresh = fresh.lock();
    let old = old.iter().filter(|(thing, turn)| fresh.get(thing) == Some(turn));
    let old: HashSet<T> = old.map(|(thing, _)| *thing).collect();
    fresh.retain(|thing, _| !old.contains(thing));
    old
}

/// Has those users who are here and of whom it is wanted reported to their homes anew.
fn announce(context: &Arc<Context>, wanted: impl Fn(UserId) -> bool) {
    // A session whose client is away has no need of a user's actor here, but of being known at the home.
    let with_session = context.sessions.users();
    let users: HashSet<UserId> = context.users.all().into_iter().chain(with_session).collect();
    for user in users.into_iter().filter(|user| wanted(*user)) {
        context.users.send(context, user, UserMessage::Announce);
    }
}

/// There is a new link: those who live at the other end are reported there.
pub(super) fn link_is_up(context: &Arc<Context>, node: NodeId) {
    let turn = context.homes.turns.fetch_add(1, Ordering::Relaxed);
    context.homes.newcomers.lock().insert(node, turn);
    announce(context, |user| context.home_of(user) == node);
    let context = context.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SETTLING_MIN).await;
        expire(&context.homes.newcomers, &[(node, turn)]);
    });
}

/// A link is gone, and so is what the node at the other end has told of its users.
pub(super) fn link_is_down(context: &Arc<Context>, node: NodeId) {
    context.homes.newcomers.lock().remove(&node);
    context.homes.reports.forget(node);
    context.homes.reached.lock().retain(|_, nodes| {
        nodes.remove(&node);
        !nodes.is_empty()
    });
    for user in context.users.all() {
        context.users.send_if_here(user, UserMessage::NodeGone { node });
    }
}
