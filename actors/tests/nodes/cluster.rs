//! Several nodes over one store, in one process, with links that can be cut and a map that the test draws.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use hubbub_actors::{HubConfig, peers::HubInbox};
use hubbub_protocol::{
    ids::{Epoch, NodeId, RoomId},
    peer::{AskError, Envelope, Eventually, Lane, PeerBus, PeerChange, PeerInbox, SendError},
    ports::{Placed, Placement, Resident},
    shard::{ShardBits, ShardId},
};
use hubbub_storage::MemStore;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::{dice::Dice, support::World};

const BITS: ShardBits = ShardBits::new(4);
/// The longest way of a message, where messages take time.
const LAG_MAX_MS: u64 = 8;
/// How long an isolated node waits in vain for an epoch.
const NOBODY_SAYS: Duration = Duration::from_secs(2);

/// What all nodes share: the map, and which links stand.
#[derive(Debug, Default)]
struct Shared {
    map: RwLock<HashMap<ShardId, Placed>>,
    version: Mutex<u64>,
    given: Mutex<HashSet<(ShardId, Epoch)>>,
    inboxes: RwLock<HashMap<NodeId, HubInbox>>,
    residents: RwLock<HashMap<NodeId, hubbub_actors::Hub>>,
    nodes: OnceLock<Vec<NodeId>>,
    down: RwLock<HashSet<NodeId>>,
    cut: RwLock<HashSet<(NodeId, NodeId)>>,
    full: RwLock<HashSet<NodeId>>,
    /// Nodes that are dead and whose links stand: what is sent to them is lost.
    dumb: RwLock<HashSet<NodeId>>,
    /// The map as nodes that are isolated last saw it.
    frozen: RwLock<HashMap<NodeId, HashMap<ShardId, Placed>>>,
    /// How long the next thing that is sent is on its way; at once without it.
    lag: OnceLock<Mutex<Dice>>,
    /// What was put on a lane: sender, receiver, kind.
    sent: Mutex<Vec<(NodeId, NodeId, u16)>>,
}

impl Shared {
    fn place(&self, shard: ShardId) -> Placed {
        self.map.read()[&shard]
    }

    /// The place of a shard as a node sees it.
    fn seen(&self, by: NodeId, shard: ShardId) -> Placed {
        let frozen = self.frozen.read();
        frozen.get(&by).map_or_else(|| self.place(shard), |map| map[&shard])
    }

    fn lag(&self) -> Duration {
        self.lag.get().map_or(Duration::ZERO, |dice| dice.lock().ms(0, LAG_MAX_MS))
    }

    fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.read().contains(&(from, to))
            && !self.down.read().contains(&to)
            && !self.down.read().contains(&from)
    }

    /// Changes the places of `shards` and tells every node.
    fn redraw(&self, shards: &[ShardId], change: impl Fn(Placed) -> Placed) {
        {
            let mut map = self.map.write();
            for shard in shards {
                let place = map[shard];
                map.insert(*shard, change(place));
            }
            *self.version.lock() += 1;
        }
        for (node, resident) in &*self.residents.read() {
            if !self.down.read().contains(node) {
                resident.map_changed(shards);
            }
        }
    }
}

#[derive(Debug)]
struct Seen {
    me: NodeId,
    shared: Arc<Shared>,
}

impl Placement for Seen {
    fn this_node(&self) -> NodeId {
        self.me
    }
    fn shard_bits(&self) -> ShardBits {
        BITS
    }
    fn place(&self, shard: ShardId) -> Placed {
        self.shared.seen(self.me, shard)
    }
    fn map_version(&self) -> u64 {
        *self.shared.version.lock()
    }
    fn others(&self) -> Arc<[NodeId]> {
        let down = self.shared.down.read();
        let nodes = self.shared.nodes.get().into_iter().flatten();
        nodes.copied().filter(|node| *node != self.me && !down.contains(node)).collect()
    }
    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Eventually<Option<Epoch>> {
        if self.shared.frozen.read().contains_key(&self.me) {
            // Nobody is there who could say.
            return Box::pin(async {
                tokio::time::sleep(NOBODY_SAYS).await;
                None
            });
        }
        let place = self.shared.place(shard);
        if place.owner != self.me {
            return Box::pin(std::future::ready(None));
        }
        let fresh = place.epoch > stored && self.shared.given.lock().insert((shard, place.epoch));
        if !fresh {
            self.shared.redraw(&[shard], |place| Placed { epoch: place.epoch.max(stored).next(), ..place });
        }
        let epoch = self.shared.place(shard).epoch;
        self.shared.given.lock().insert((shard, epoch));
        Box::pin(std::future::ready(Some(epoch)))
    }
}

/// What is on its way, and when it arrives.
type Queue = tokio::sync::mpsc::UnboundedSender<(Instant, Envelope)>;

#[derive(Debug)]
struct Bus {
    me: NodeId,
    shared: Arc<Shared>,
    queues: Mutex<HashMap<(NodeId, Lane), Queue>>,
}

impl Bus {
    fn inbox(&self, to: NodeId) -> Result<HubInbox, SendError> {
        let reached = self.shared.reaches(self.me, to);
        let inbox = self.shared.inboxes.read().get(&to).filter(|_| reached).cloned();
        inbox.ok_or(SendError::Unreachable { node: to })
    }
}

impl PeerBus for Bus {
    fn this_node(&self) -> NodeId {
        self.me
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the tests send few messages, and say themselves when a lane is full"
    )]
    fn cast(&self, to: NodeId, lane: Lane, envelope: Envelope) -> Result<(), SendError> {
        let inbox = self.inbox(to)?;
        if self.shared.full.read().contains(&to) {
            return Err(SendError::Busy { node: to, retry_after: Duration::from_millis(1) });
        }
        let from = self.me;
        self.shared.sent.lock().push((from, to, envelope.kind));
        let mut queues = self.queues.lock();
        let queue = queues.entry((to, lane)).or_insert_with(|| {
            let (queue, mut waiting) = tokio::sync::mpsc::unbounded_channel::<(Instant, Envelope)>();
            let shared = self.shared.clone();
            tokio::spawn(async move {
                while let Some((arrives, envelope)) = waiting.recv().await {
                    tokio::time::sleep_until(arrives).await;
                    // What was on its way is lost with its link.
                    let heard = !shared.dumb.read().contains(&to);
                    if heard && (shared.lag.get().is_none() || shared.reaches(from, to)) {
                        inbox.cast(from, lane, envelope).await;
                    }
                }
            });
            queue
        });
        let _ = queue.send((Instant::now() + self.shared.lag(), envelope));
        Ok(())
    }

    fn ask(
        &self,
        to: NodeId,
        lane: Lane,
        envelope: Envelope,
        timeout: Duration,
    ) -> Eventually<Result<Envelope, AskError>> {
        let inbox = match self.inbox(to) {
            Ok(inbox) => inbox,
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        let (shared, me) = (self.shared.clone(), self.me);
        shared.sent.lock().push((me, to, envelope.kind));
        let (there, back) = (shared.lag(), shared.lag());
        let travels = shared.clone();
        let answer = async move {
            tokio::time::sleep(there).await;
            if !travels.reaches(me, to) {
                return Err(AskError::Lost { node: to });
            }
            let answer = inbox.ask(me, lane, envelope).await;
            tokio::time::sleep(back).await;
            Ok(answer?)
        };
        Box::pin(async move {
            let answer = tokio::spawn(tokio::time::timeout(timeout, answer)).await;
            if !shared.reaches(to, me) {
                return Err(AskError::Lost { node: to });
            }
            match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(AskError::TimedOut { node: to, waited: timeout }),
                Err(_) => Err(AskError::Lost { node: to }),
            }
        })
    }

    fn whisper(&self, to: NodeId, envelope: Envelope) -> Result<(), SendError> {
        self.inbox(to)?.whisper(self.me, envelope);
        Ok(())
    }
}

/// The nodes, numbered from 1.
pub(crate) struct Nodes {
    shared: Arc<Shared>,
    pub(crate) worlds: Vec<World>,
    pub(crate) store: Arc<MemStore>,
}

impl Nodes {
    /// `count` nodes; every shard is the first one's.
    pub(crate) async fn new(count: u16) -> Self {
        Self::with(count, HubConfig::default()).await
    }

    pub(crate) async fn with(count: u16, config: HubConfig) -> Self {
        let (shared, store) = (Arc::new(Shared::default()), Arc::new(MemStore::new()));
        let place = Placed { owner: NodeId(1), epoch: Epoch(1), moving: false };
        *shared.map.write() = (0..BITS.count()).map(|shard| (ShardId(shard), place)).collect();
        let mut worlds = Vec::new();
        for number in 1..=count {
            let me = NodeId(number.into());
            let bus = Bus { me, shared: shared.clone(), queues: Mutex::default() };
            let seen = Arc::new(Seen { me, shared: shared.clone() });
            let world = World::beside(store.clone(), number, seen, Arc::new(bus), config.clone()).await;
            shared.inboxes.write().insert(me, world.hub.inbox());
            shared.residents.write().insert(me, world.hub.clone());
            worlds.push(world);
        }
        // A node begins before it has heard of the others.
        let _ = shared.nodes.set((1..=u64::from(count)).map(NodeId).collect());
        Self { shared, worlds, store }
    }

    /// The node of this number.
    pub(crate) fn node(&self, number: usize) -> &World {
        &self.worlds[number - 1]
    }

    /// Senders and receivers of what was put on a lane since the last call, of these kinds.
    pub(crate) fn sent(&self, kinds: &[u16]) -> Vec<(u64, u64)> {
        let sent = std::mem::take(&mut *self.shared.sent.lock());
        let sent = sent.into_iter().filter(|(_, _, kind)| kinds.contains(kind));
        sent.map(|(from, to, _)| (from.0, to.0)).collect()
    }

    /// Who orders the room.
    pub(crate) fn owner(&self, room: RoomId) -> NodeId {
        self.shared.place(BITS.shard_of(room)).owner
    }

    /// Whether two rooms are ordered together.
    pub(crate) fn share_a_shard(&self, one: RoomId, other: RoomId) -> bool {
        BITS.shard_of(one) == BITS.shard_of(other)
    }

    /// Moves the room's shard as planned: its owner lets go first.
    pub(crate) async fn hand_over(&self, room: RoomId, to: u64) {
        let shard = BITS.shard_of(room);
        self.shared.redraw(&[shard], |place| Placed { moving: true, ..place });
        let owner = self.shared.residents.read()[&self.owner(room)].clone();
        owner.let_go(vec![shard]).await;
        self.give(room, to);
    }

    /// Gives the room's shard to a node, whatever its owner thinks of it.
    pub(crate) fn give(&self, room: RoomId, to: u64) {
        let given = |place: Placed| Placed { owner: NodeId(to), epoch: place.epoch.next(), moving: false };
        self.shared.redraw(&[BITS.shard_of(room)], given);
    }

    /// The node is gone, for everybody.
    pub(crate) fn kill(&self, number: u64) {
        self.shared.down.write().insert(NodeId(number));
        for (node, inbox) in &*self.shared.inboxes.read() {
            if *node != NodeId(number) {
                inbox.changed(NodeId(number), PeerChange::Down);
            }
        }
    }

    /// The node is held up so shortly that nobody notices, but misses changes of the map.
    pub(crate) fn hold_up(&self, number: u64, held: bool) {
        let mut down = self.shared.down.write();
        if held {
            down.insert(NodeId(number))
        } else {
            down.remove(&NodeId(number))
        };
    }

    /// Cuts the link of two nodes, or mends it.
    pub(crate) fn cut(&self, one: u64, other: u64, cut: bool) {
        let change = if cut { PeerChange::Down } else { PeerChange::Up };
        for (from, to) in [(NodeId(one), NodeId(other)), (NodeId(other), NodeId(one))] {
            if cut {
                self.shared.cut.write().insert((from, to));
            } else {
                self.shared.cut.write().remove(&(from, to));
            }
        }
        for (at, of) in [(NodeId(one), NodeId(other)), (NodeId(other), NodeId(one))] {
            self.shared.inboxes.read()[&at].changed(of, change);
        }
    }

    /// From now on messages take their time, as the dice say.
    pub(crate) fn lag(&self, dice: Dice) {
        let _ = self.shared.lag.set(Mutex::new(dice));
    }

    /// Cuts a node off from all others and from changes of the map. It lives on, with its clients and the store, and
    /// orders what it ordered; its links break for the others at once, and for itself when [`Nodes::notices`] is called.
    pub(crate) fn isolate(&self, number: u64) {
        let map = self.shared.map.read().clone();
        self.shared.frozen.write().insert(NodeId(number), map);
        self.kill(number);
    }

    /// An isolated node finds that its links are broken.
    pub(crate) fn notices(&self, number: u64) {
        self.links_of(number, |me, other| self.shared.inboxes.read()[&me].changed(other, PeerChange::Down));
    }

    /// Gives the shards of a node to others.
    pub(crate) fn fail_over(&self, number: u64, mut to: impl FnMut() -> u64) {
        for shard in (0..BITS.count()).map(ShardId) {
            if self.shared.place(shard).owner == NodeId(number) {
                let owner = NodeId(to());
                self.shared.redraw(&[shard], |place| Placed { owner, epoch: place.epoch.next(), moving: false });
            }
        }
    }

    /// Ends what [`Nodes::isolate`] began.
    pub(crate) fn rejoin(&self, number: u64) {
        self.shared.down.write().remove(&NodeId(number));
        self.shared.frozen.write().remove(&NodeId(number));
        let shards: Vec<ShardId> = (0..BITS.count()).map(ShardId).collect();
        self.shared.residents.read()[&NodeId(number)].map_changed(&shards);
        self.links_of(number, |me, other| {
            self.shared.inboxes.read()[&me].changed(other, PeerChange::Up);
            self.shared.inboxes.read()[&other].changed(me, PeerChange::Up);
        });
    }

    fn links_of(&self, number: u64, each: impl Fn(NodeId, NodeId)) {
        let nodes = self.shared.nodes.get().into_iter().flatten();
        nodes.filter(|node| node.0 != number).for_each(|other| each(NodeId(number), *other));
    }

    /// The node is dead, and nobody knows.
    pub(crate) fn swallow(&self, number: u64) {
        self.shared.dumb.write().insert(NodeId(number));
    }

    /// Whether every lane to a node is full.
    pub(crate) fn fill(&self, number: u64, full: bool) {
        if full {
            self.shared.full.write().insert(NodeId(number));
        } else {
            self.shared.full.write().remove(&NodeId(number));
        }
    }
}
