//! What every actor of a node shares: the store, the ports, the lanes, and the directories of what
//! is active.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::{
    ids::{NodeId, RoomId, Seq, SessionId, TsidGenerator},
    peer::PeerBus,
    ports::{Clock, Placed, Placement},
    shard::ShardId,
    time::Timestamp,
};
use hubbub_storage::{HintCache, Store, Together, facts::ResumeState};
use parking_lot::{Mutex, RwLock};
use ractor::ActorCell;
use tokio::sync::{Semaphore, watch};

use crate::{
    directory::Directory,
    gates::Gates,
    hot::{HotRooms, gather::SaysOfItself},
    lane::Lane,
    markers::Markers,
    meter::Meters,
    peers::{Peers, facts::CutOff, following::Asking, forward::Forwards, homes::Homes, tree::SentOn},
    relay::Follower,
    session::{SessionSlots, SessionTokens, saved::Unsaved},
    slots::Slots,
    tails::Tails,
    user::UserSlots,
};

/// What the outside world gives the actors.
#[derive(Clone)]
pub struct Ports {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Which node orders which shard.
    pub placement: Arc<dyn Placement>,
    /// The way to the other nodes.
    pub bus: Arc<dyn PeerBus>,
    /// Makes and opens resume tokens.
    pub tokens: Arc<dyn SessionTokens>,
    /// Makes ids.
    pub ids: Arc<TsidGenerator>,
    /// Hints that all nodes share, or no cache.
    pub cache: Arc<dyn HintCache>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("placement", &self.placement).finish_non_exhaustive()
    }
}

/// How the actors of a node are set.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// How long a room nobody follows stays in memory after its last message.
    pub passivate_after: Duration,
    /// How long a session waits for its client to come back before only its saved state is left.
    pub detached_for: Duration,
    /// How often read markers and resume states are written behind. A crash forgets at most so much
    /// of them; it never forgets a message.
    pub write_behind_every: Duration,
    /// How long after the last device has gone a user is shown as offline.
    pub offline_after: Duration,
    /// Actors kept in memory: rooms, relays, users and sessions, a few KB each while idle. From 80 % of
    /// it on, those nobody needs leave before their time.
    pub actors_max: usize,
    /// Lanes that append side by side; 1 for a store with one writer.
    pub lanes: usize,
    /// Whether times are measured.
    pub measure: bool,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            passivate_after: Duration::from_secs(600),
            detached_for: Duration::from_secs(120),
            write_behind_every: Duration::from_millis(500),
            offline_after: Duration::from_secs(30),
            actors_max: 250_000,
            lanes: 1,
            measure: true,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events handed to connections.
    pub delivered: AtomicU64,
    /// Sessions begun.
    pub sessions_begun: AtomicU64,
    /// Sessions taken up again.
    pub sessions_resumed: AtomicU64,
    /// Actors that ended by a panic or an error.
    pub actors_failed: AtomicU64,
    /// Sessions and rooms that left memory to make place.
    pub passivated: AtomicU64,
    /// Rooms that sessions follow by relays here.
    pub subscriptions: AtomicU64,
}

impl Counters {
    /// Adds to a count.
    pub fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }

    /// Brings what one of many contributes to a count from `before` to `now`.
    pub(crate) fn change(count: &AtomicU64, before: u64, now: u64) {
        // Wraps when it shrinks, as it should.
        count.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// Followers of one room whose relay died, and the seq they have got to.
pub type Orphans = (RoomId, Seq, Vec<Box<Follower>>);

/// Hears of a device that was signed out through another node.
pub type SignedOut = Box<dyn Fn(SessionId) + Send + Sync>;

/// Shards that are being handed over.
#[derive(Debug, Default)]
pub(crate) struct Letting {
    shards: RwLock<HashSet<ShardId>>,
    /// How many, to be read without the lock.
    count: AtomicUsize,
}

impl Letting {
    fn has(&self, shard: ShardId) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.shards.read().contains(&shard)
    }

    pub(crate) fn begin(&self, shards: &[ShardId]) {
        let mut letting = self.shards.write();
        letting.extend(shards);
        self.count.store(letting.len(), Ordering::Release);
    }

    pub(crate) fn end(&self, shards: &[ShardId]) {
        let mut letting = self.shards.write();
        for shard in shards {
            letting.remove(shard);
        }
        self.count.store(letting.len(), Ordering::Release);
    }
}

/// Shared by every actor of the node.
pub struct Context {
    /// The log and the facts.
    pub store: Arc<dyn Store>,
    /// The outside world.
    pub ports: Ports,
    /// The settings.
    pub config: HubConfig,
    /// The appenders.
    pub lanes: Vec<Lane>,
    /// Active rooms and relays.
    pub slots: Slots,
    /// Active users.
    pub users: UserSlots,
    /// Facts and rights, cached.
    pub directory: Directory,
    /// One thing at a time per user.
    pub gates: Gates,
    /// Read markers of the users who are here.
    pub markers: Markers,
    /// Followers of relays that died, with the seq they have got to, until a successor has them.
    pub orphans: Mutex<Vec<Orphans>>,
    /// Rooms that are left alone because they failed again and again, and until when.
    pub quarantine: Mutex<HashMap<RoomId, Timestamp>>,
    /// The other nodes.
    pub peers: Peers,
    /// What is asked of rooms that are not here.
    pub forwards: Forwards,
    /// Rooms with a relay here whose owner elsewhere is being asked to send to it.
    pub(crate) asking_owners: Asking,
    /// Which rooms' events were sent on to which nodes.
    pub(crate) sent_on: SentOn,
    /// Where users are whose home this node is, and what is reported of users.
    pub(crate) homes: Homes,
    /// Members whose link is broken.
    pub(crate) cut_off: Mutex<CutOff>,
    /// How often facts are still distrusted though every link stands again.
    pub(crate) distrusted: AtomicU32,
    /// Turns at judging followers anew.
    pub(crate) judging: Semaphore,
    /// Told of devices that were signed out through another node.
    pub(crate) signed_out: OnceLock<SignedOut>,
    /// What rooms cost this node.
    pub(crate) hot: Arc<HotRooms>,
    /// What this node says of itself to others.
    pub(crate) says_of_itself: OnceLock<SaysOfItself>,
    /// Shards that this node orders and is handing over.
    pub(crate) letting_go: Letting,
    /// Counts the changes of the map, for those who wait for one.
    pub(crate) map_changes: watch::Sender<u64>,
    /// Sessions, connected or waiting for their client to come back.
    pub sessions: SessionSlots,
    /// What sessions need to be resumed, not yet written.
    pub unsaved: Unsaved,
    /// What sessions were saved as, for those that are resumed here.
    pub(crate) saved_states: Together<u64, Arc<ResumeState>>,
    /// The newest events of rooms ordered here, for the cache.
    pub tails: Tails,
    /// What sessions followed when that was last saved, for the cache.
    pub(crate) hinted: crate::session::hints::Hinted,
    /// Counts.
    pub counters: Counters,
    /// Times.
    pub meters: Arc<Meters>,
    /// The shard actors, by shard: supervisors of the rooms and relays.
    pub shards: RwLock<Vec<ActorCell>>,
    /// The supervisor of users and sessions.
    pub people: RwLock<Option<ActorCell>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Context {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// A fresh raw id.
    pub fn next_id(&self) -> u64 {
        self.ports.ids.next(u64::try_from(self.now().0).unwrap_or(0))
    }

    /// The shard of a room.
    pub fn shard_of(&self, room: RoomId) -> ShardId {
        self.ports.placement.shard_bits().shard_of(room)
    }

    /// The node this process is.
    pub(crate) fn this_node(&self) -> NodeId {
        self.ports.placement.this_node()
    }

    /// Where a room is, as far as this node knows.
    pub(crate) fn place_of(&self, room: RoomId) -> Placed {
        self.ports.placement.place(self.shard_of(room))
    }

    /// Whether this node orders the room and is not handing it over.
    pub(crate) fn is_here(&self, room: RoomId) -> bool {
        let shard = self.shard_of(room);
        self.ports.placement.place(shard).owner == self.this_node() && !self.letting_go.has(shard)
    }

    /// How many shards this node orders.
    pub(crate) fn shards_ordered_here(&self) -> u32 {
        let (placement, me) = (&self.ports.placement, self.this_node());
        let here = |shard: &u32| placement.place(ShardId(*shard)).owner == me;
        u32::try_from((0..placement.shard_bits().count()).filter(here).count()).unwrap_or(u32::MAX)
    }

    /// The lane of a shard.
    pub fn lane(&self, shard: ShardId) -> &Lane {
        &self.lanes[usize::try_from(shard.0).unwrap_or(0) % self.lanes.len()]
    }

    /// Whether a room is left alone for now.
    pub fn quarantined(&self, room: RoomId) -> bool {
        let mut quarantine = self.quarantine.lock();
        if quarantine.is_empty() {
            return false;
        }
        let now = self.now();
        quarantine.retain(|_, until| *until > now);
        quarantine.contains_key(&room)
    }

    /// The supervisor of a room's actors.
    pub fn supervisor(&self, room: RoomId) -> ActorCell {
        let shard = usize::try_from(self.shard_of(room).0).unwrap_or(0);
        self.shards.read()[shard].clone()
    }
}
