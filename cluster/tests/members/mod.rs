//! Clusters of several members in one process: a network in memory, Raft logs on a real disk, actors that only listen.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hubbub_cluster::{
    control::{
        Answer, Command, MemberState, NewMember, Role, Token, TokenId, VersionRange, member::FOUNDER,
        state::CaFacts,
    },
    raft::Timing,
    runtime::{Cluster, Founding, Map, RuntimeInbox, RuntimeTiming, Start},
    transport::{MemoryNetwork, MemoryTransport, Transport},
};
use hubbub_protocol::{
    ids::{Epoch, NodeId},
    peer::{Envelope, Eventually, Lane, PeerChange, PeerInbox, Rejection},
    ports::{Placed, Placement, Resident},
    shard::ShardId,
};
use parking_lot::Mutex;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// 32 shards.
pub(crate) const SHARD_BITS: u8 = 5;
const VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };
const TOKEN: TokenId = TokenId(1);

/// Shorter than in a cluster, long enough for a busy machine.
pub(crate) const RAFT: Timing = Timing {
    heartbeat_ms: 60,
    election_ms_min: 400,
    election_step_ms: 120,
    snapshot_every_entries: 200,
    kept_entries: 50,
};

/// What the actors of a node have heard.
#[derive(Debug, Default)]
pub(crate) struct Actors {
    cluster: Mutex<Option<std::sync::Weak<Cluster>>>,
    /// Every change of a place, as it was when it was told.
    pub(crate) told: Mutex<Vec<(ShardId, Placed)>>,
    pub(crate) let_go: Mutex<Vec<ShardId>>,
    pub(crate) links: Mutex<BTreeSet<NodeId>>,
    /// How long letting go takes, in milliseconds.
    pub(crate) let_go_ms: AtomicU64,
}

impl Resident for Actors {
    fn map_changed(&self, shards: &[ShardId]) {
        let cluster = self.cluster.lock().as_ref().and_then(std::sync::Weak::upgrade);
        if let Some(cluster) = cluster {
            self.told.lock().extend(shards.iter().map(|shard| (*shard, cluster.place(*shard))));
        }
    }

    fn let_go(&self, shards: Vec<ShardId>) -> Eventually<()> {
        self.let_go.lock().extend(shards);
        let wait = Duration::from_millis(self.let_go_ms.load(Ordering::Relaxed));
        Box::pin(tokio::time::sleep(wait))
    }
}

impl PeerInbox for Actors {
    fn cast(&self, _: NodeId, _: Lane, _: Envelope) -> Eventually<()> {
        Box::pin(std::future::ready(()))
    }

    fn ask(&self, _: NodeId, _: Lane, envelope: Envelope) -> Eventually<Result<Envelope, Rejection>> {
        Box::pin(std::future::ready(Ok(envelope)))
    }

    fn whisper(&self, _: NodeId, _: Envelope) {}

    fn changed(&self, node: NodeId, change: PeerChange) {
        match change {
            PeerChange::Up => self.links.lock().insert(node),
            PeerChange::Down => self.links.lock().remove(&node),
        };
    }
}

/// A running member.
pub(crate) struct Node {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) actors: Arc<Actors>,
    pub(crate) transport: Arc<MemoryTransport>,
}

/// All members.
pub(crate) struct World {
    pub(crate) network: MemoryNetwork,
    directory: tempfile::TempDir,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    slots: BTreeMap<NodeId, u8>,
    pub(crate) timing: RuntimeTiming,
    raft: Timing,
}

pub(crate) fn member(number: u8, role: Role) -> NewMember {
    NewMember {
        name: format!("node-{number}"),
        addresses: vec![format!("127.0.0.1:{}", 7_000 + u16::from(number))],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role,
        versions: VERSIONS,
        key_sha256: [number; 32],
        data_dir: u128::from(number),
    }
}

/// Waits for `look`, and says in vain for what.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    seen.await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

impl World {
    fn path(&self, node: NodeId) -> PathBuf {
        self.directory.path().join(format!("node-{node}"))
    }

    /// Starts the process of `node`.
    pub(crate) async fn start(&mut self, node: NodeId) {
        let directory = self.path(node);
        std::fs::create_dir_all(&directory).unwrap();
        let inbox = RuntimeInbox::new();
        let transport = Arc::new(self.network.join(node, inbox.clone()));
        let seeds = self.nodes.keys().map(|seed| (*seed, vec!["127.0.0.1:1".into()])).collect();
        let cluster = Cluster::start(Start {
            node,
            election_slot: self.slots.get(&node).copied().unwrap_or(0),
            directory,
            addresses: vec![format!("127.0.0.1:{}", 7_000 + node.0)],
            versions: VERSIONS,
            seeds,
            raft: self.raft,
            timing: self.timing.clone(),
            transport: transport.clone(),
            inbox: inbox.clone(),
        });
        let cluster = cluster.await.unwrap();
        let actors = Arc::new(Actors::default());
        *actors.cluster.lock() = Some(Arc::downgrade(&cluster));
        inbox.set_actors_inbox(actors.clone());
        cluster.set_resident(actors.clone());
        self.nodes.insert(node, Node { cluster, actors, transport });
    }

    /// Ends the process of `node` without a word.
    pub(crate) async fn kill(&mut self, node: NodeId) {
        let Node { cluster, transport, .. } = self.nodes.remove(&node).unwrap();
        transport.close().await;
        cluster.shut_down().await;
    }

    /// A founded cluster of one.
    pub(crate) async fn of_one() -> Self {
        Self::of_one_with(RuntimeTiming::for_tests(), RAFT).await
    }

    pub(crate) async fn of_one_with(timing: RuntimeTiming, raft: Timing) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let network = MemoryNetwork::new(1);
        let mut world = Self { network, directory, nodes: BTreeMap::new(), slots: BTreeMap::new(), timing, raft };
        world.start(FOUNDER).await;
        let ca = CaFacts { roots: vec![vec![1]], sealed_key: vec![2] };
        let founder = member(1, Role::Voter);
        let founding = Founding { cluster: 7, shard_bits: SHARD_BITS, version: 1, ca, founder };
        world.node(FOUNDER).found(founding).await.unwrap();
        let token = Token { secret_sha256: [1; 32], role: Role::Voter, uses_left: 100, expires_ms: u64::MAX };
        let made = world.node(FOUNDER).propose(Command::CreateToken { id: TOKEN, token, now_ms: 0 }).await;
        assert_eq!(made, Ok(Answer::Done));
        world
    }

    /// A member that may vote, joined and started.
    pub(crate) async fn join(&mut self, number: u8, role: Role) -> NodeId {
        let command = Command::Join { token: TOKEN, node: member(number, role), now_ms: 0 };
        let any = self.nodes.values().next().unwrap().cluster.clone();
        let Ok(Answer::Joined { node, election_slot }) = any.propose(command).await else {
            panic!("node {number} does not join")
        };
        self.slots.insert(node, election_slot);
        self.start(node).await;
        node
    }

    /// `size` members that may vote, all up, each with its share.
    pub(crate) async fn of(size: u8) -> Self {
        let mut world = Self::of_one().await;
        for number in 2..=size {
            world.join(number, Role::Voter).await;
        }
        world.settled(if size < 3 { 1 } else { 3 }).await;
        world
    }

    pub(crate) fn node(&self, node: NodeId) -> Arc<Cluster> {
        self.nodes[&node].cluster.clone()
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// Waits until all who run are up in everyone's map, have their shares, and `voters` vote.
    pub(crate) async fn settled(&self, voters: usize) {
        until("the cluster has settled", async || {
            let leader = self.nodes.values().find(|node| node.cluster.leads())?;
            let map = leader.cluster.map();
            let share = map.shards.len() / self.nodes.len();
            let same = self.nodes.values().all(|node| *node.cluster.map() == *map);
            let up = |node: &NodeId| {
                let state = map.members.get(node).map(|member| member.state);
                state == Some(MemberState::Up) && map.shards_of(*node) >= share
            };
            let moving = self.moving(&map);
            let status = leader.cluster.status();
            let vote = status.voters.len() == voters && !status.voters_changing;
            (same && self.nodes.keys().all(up) && moving == 0 && vote).then_some(())
        })
        .await;
    }

    pub(crate) fn moving(&self, map: &Map) -> usize {
        map.shards.iter().filter(|place| place.place != hubbub_cluster::control::Place::Stable).count()
    }

    /// The node that leads, in the eyes of itself and all others.
    pub(crate) async fn leader(&self) -> NodeId {
        until("all know one leader", async || {
            let leader = self.nodes.iter().find(|(_, node)| node.cluster.leads())?;
            let all = self.nodes.values().all(|node| node.cluster.leader() == Some(*leader.0));
            all.then_some(*leader.0)
        })
        .await
    }

    pub(crate) async fn follower(&self) -> NodeId {
        let leader = self.leader().await;
        self.ids().into_iter().find(|node| *node != leader).unwrap()
    }

    /// The shards that `node` orders, in the eyes of `by`.
    pub(crate) fn shards_of(&self, by: NodeId, node: NodeId) -> BTreeMap<ShardId, Epoch> {
        let map = self.node(by).map();
        let ours = map.each_shard().filter(|(_, place)| place.owner == node);
        ours.map(|(shard, place)| (shard, place.epoch)).collect()
    }

    /// Waits until all of `before`, the shards of `lost`, are others' in the eyes of `by`, and holds their epochs higher.
    pub(crate) async fn until_taken(&self, by: NodeId, lost: NodeId, before: &BTreeMap<ShardId, Epoch>) {
        let map = until("others have its shards", async || {
            let map = self.node(by).map();
            (!before.is_empty() && map.shards_of(lost) == 0).then_some(map)
        })
        .await;
        for (shard, epoch) in before {
            let place = map.shard(*shard).unwrap();
            assert!(place.epoch > *epoch, "shard {shard} is with {} at epoch {}", place.owner, place.epoch);
        }
    }

    pub(crate) async fn end(self) {
        for node in self.nodes.values() {
            node.transport.close().await;
            node.cluster.shut_down().await;
        }
    }
}
