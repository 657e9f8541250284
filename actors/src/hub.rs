//! The actor system of one node, as the rest of the node holds it.

mod placing;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, atomic::AtomicU32},
    time::{Duration, Instant},
};

use hubbub_protocol::{ids::UserId, push::Push, time::Timestamp};
use hubbub_storage::{ErrorChain, HintCache, Store, StoreError};
use parking_lot::{Mutex, RwLock};
use ractor::{Actor, ActorCell};
use serde::Serialize;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    budget,
    communities::Communities,
    context::{Context, Counters, HubConfig, Letting, Ports, SignedOut},
    directory::Directory,
    hot::HotRooms,
    lane::Lane,
    markers::Markers,
    meter::Meters,
    peers::{
        Fact, HubInbox, Peers,
        facts::{JUDGED_AT_ONCE, distrust},
        forward::Forwards,
        homes::{self, Homes},
    },
    room::Rooms,
    session::{SessionSlots, Sessions, hints, saved},
    shard::ShardActor,
    slots::Slots,
    supervisor::PeopleActor,
    tails::{self, Tails},
    user::UserSlots,
};

/// How long a drain waits for what is in flight.
const DRAIN_WAIT: Duration = Duration::from_secs(10);

/// The actor system of one node. Clones share it.
#[derive(Debug, Clone)]
pub struct Hub {
    context: Arc<Context>,
    supervisors: Arc<Vec<ActorCell>>,
    /// The writer behind, and the keeper of the budget.
    keepers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// How a node's actors stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HubStatus {
    /// Sessions in memory, connected or not.
    pub sessions: usize,
    /// Users with a device here or somebody watching.
    pub users: usize,
    /// Rooms in memory.
    pub rooms_active: usize,
    /// Relays in memory.
    pub relays: usize,
    /// Rooms that sessions follow here, each session's counted.
    pub subscriptions: u64,
    /// Requests that wait for rooms, or are at work there.
    pub rooms_queued: usize,
    /// Appends that wait for lanes.
    pub lanes_queued: usize,
    /// Gates that are held.
    pub gates_held: usize,
    /// Shards this node orders.
    pub shards: u32,
    /// Events appended since the start.
    pub appended: u64,
    /// Batches committed since the start.
    pub batches: u64,
    /// Events handed to connections since the start.
    pub delivered: u64,
    /// Sessions begun since the start.
    pub sessions_begun: u64,
    /// Sessions taken up again since the start.
    pub sessions_resumed: u64,
    /// Actors that failed since the start.
    pub actors_failed: u64,
    /// Sessions and rooms that left memory to make place since the start.
    pub passivated: u64,
}

impl Hub {
    /// Starts the supervisors, the lanes and the writer behind.
    ///
    /// # Errors
    /// [`StoreError`] when old resume states cannot be swept, which shows that the store is unfit.
    pub async fn start(store: Arc<dyn Store>, ports: Ports, config: HubConfig) -> Result<Self, StoreError> {
        let now = ports.clock.now();
        store.forget_resume_states(now.plus_ms(-saved::KEEP_MS)).await?;
        let peers = Peers::new(ports.bus.clone(), ports.placement.clone());
        let meters = Arc::new(Meters::new(config.measure));
        let lane = |_| Lane::start(store.clone(), ports.placement.clone(), meters.clone());
        let lanes = (0..config.lanes.max(1)).map(lane).collect();
        let shards = ports.placement.shard_bits().count();
        let context = Arc::new(Context {
            directory: Directory::new(store.clone(), ports.placement.clone()),
            peers,
            forwards: Forwards::default(),
            asking_owners: Mutex::default(),
            sent_on: crate::peers::tree::SentOn::default(),
            homes: Homes::new(&*ports.placement),
            cut_off: Mutex::default(),
            distrusted: AtomicU32::new(0),
            judging: Semaphore::new(JUDGED_AT_ONCE),
            letting_go: Letting::default(),
            signed_out: OnceLock::new(),
            hot: Arc::new(HotRooms::new(Instant::now(), meters.clone())),
            says_of_itself: OnceLock::new(),
            map_changes: watch::Sender::new(0),
            markers: Markers::new(store.clone()),
            saved_states: saved::read_together(store.clone()),
            store,
            ports,
            config,
            lanes,
            slots: Slots::default(),
            users: UserSlots::default(),
            gates: crate::gates::Gates::default(),
            orphans: Mutex::default(),
            quarantine: Mutex::new(HashMap::new()),
            sessions: SessionSlots::default(),
            unsaved: saved::Unsaved::default(),
            tails: Tails::default(),
            hinted: hints::Hinted::default(),
            counters: Counters::default(),
            meters,
            shards: RwLock::default(),
            people: RwLock::default(),
        });
        let mut supervisors = Vec::new();
        for _ in 0..shards {
            let (actor, _) = Actor::spawn(None, ShardActor, context.clone()).await.map_err(cannot_start)?;
            supervisors.push(actor.get_cell());
        }
        context.shards.write().clone_from(&supervisors);
        let (people, _) = Actor::spawn(None, PeopleActor, context.clone()).await.map_err(cannot_start)?;
        *context.people.write() = Some(people.get_cell());
        supervisors.push(people.get_cell());
        homes::begin(&context);
        let keepers =
            vec![tokio::spawn(write_behind(context.clone())), tokio::spawn(budget::keep(context.clone()))];
        let more = [tokio::spawn(distrust(context.clone())), tokio::spawn(put_hints(context.clone()))];
        let keepers: Vec<_> = keepers.into_iter().chain(more).collect();
        Ok(Self { context, supervisors: Arc::new(supervisors), keepers: Arc::new(Mutex::new(keepers)) })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.context.store
    }

    /// The cache of hints.
    #[must_use]
    pub fn cache(&self) -> &Arc<dyn HintCache> {
        &self.context.ports.cache
    }

    /// What all actors share.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    /// A fresh raw id.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.context.next_id()
    }

    /// The rooms.
    #[must_use]
    pub fn rooms(&self) -> Rooms {
        Rooms::new(self.context.clone())
    }

    /// The communities.
    #[must_use]
    pub fn communities(&self) -> Communities {
        Communities::new(self.context.clone())
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::new(self.context.clone())
    }

    /// Facts and rights.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.context.directory
    }

    /// Sends `push` to every device of a user, on any node.
    pub fn push(&self, user: UserId, push: &Push) {
        self.context.push_to(&[user], push, None);
    }

    /// Sends `push` to every device of a user but one session's.
    pub fn push_except(&self, user: UserId, push: &Push, except: u64) {
        self.context.push_to(&[user], push, Some(except));
    }

    /// Forgets facts that have changed, here and on every other node; returns once nobody acts on the old ones.
    pub async fn changed(&self, facts: Vec<Fact>) {
        self.context.changed(facts).await;
    }

    /// Tells `hear` of devices that are signed out through other nodes from now on. The first call counts.
    pub fn on_sign_out(&self, hear: SignedOut) {
        let _ = self.context.signed_out.set(hear);
    }

    /// What is measured of the actors.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.context.meters
    }

    /// What takes the messages of other nodes' actors.
    #[must_use]
    pub fn inbox(&self) -> HubInbox {
        HubInbox::new(self.context.clone())
    }

    /// How the actors stand.
    #[must_use]
    pub fn observe(&self) -> HubStatus {
        let context = &self.context;
        let (rooms_active, relays) = context.slots.counts();
        let (appended, batches) =
            context.lanes.iter().map(Lane::counts).fold((0, 0), |sum, lane| (sum.0 + lane.0, sum.1 + lane.1));
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        HubStatus {
            sessions: context.sessions.count(),
            users: context.users.count(),
            rooms_active,
            relays,
            subscriptions: count(&context.counters.subscriptions),
            rooms_queued: context.slots.queued(),
            lanes_queued: context.lanes.iter().map(Lane::waiting).sum(),
            gates_held: context.gates.held(),
            shards: context.shards_ordered_here(),
            appended,
            batches,
            delivered: count(&context.counters.delivered),
            sessions_begun: count(&context.counters.sessions_begun),
            sessions_resumed: count(&context.counters.sessions_resumed),
            actors_failed: count(&context.counters.actors_failed),
            passivated: count(&context.counters.passivated),
        }
    }

    /// Tells clients to come back later, lets what is in flight be settled, writes what was kept
    /// behind, and ends the actors.
    pub async fn drain(&self, reconnect_after_ms: u64) {
        self.sessions().drain(reconnect_after_ms);
        let settled = async {
            for lane in &self.context.lanes {
                lane.barrier().await;
            }
        };
        if tokio::time::timeout(DRAIN_WAIT, settled).await.is_err() {
            tracing::error!("what is in flight was not settled in {DRAIN_WAIT:?}; unanswered clients will repeat");
        }
        let keepers = std::mem::take(&mut *self.keepers.lock());
        for keeper in keepers {
            keeper.abort();
            // Wait until it is gone, so that two writers never take turns.
            let _ = keeper.await;
        }
        flush(&self.context).await;
        // Who orders these rooms next begins with them.
        self.context.tails.put(&**self.cache()).await;
        for supervisor in self.supervisors.iter() {
            supervisor.stop(Some("the node is going away".into()));
        }
    }
}

fn cannot_start(error: ractor::SpawnErr) -> StoreError {
    StoreError::Open(format!("could not start a supervisor: {error}"))
}

async fn write_behind(context: Arc<Context>) {
    loop {
        tokio::time::sleep(context.config.write_behind_every).await;
        flush(&context).await;
    }
}

/// Puts into the cache what has changed, again and again.
async fn put_hints(context: Arc<Context>) {
    if !context.ports.cache.status().there {
        return;
    }
    loop {
        tokio::time::sleep(tails::PUT_EVERY).await;
        context.tails.put(&*context.ports.cache).await;
        context.hinted.put(&*context.ports.cache).await;
    }
}

async fn flush(context: &Context) {
    if let Err(error) = context.markers.flush(context).await {
        tracing::warn!(error = %ErrorChain(&error), "could not write read markers; they are kept");
    }
    if let Err(error) = context.unsaved.flush(context).await {
        tracing::warn!(error = %ErrorChain(&error), "could not write resume states; they are kept");
    }
}
