//! [`Cluster`]: what the rest of a node holds of the cluster.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    peer::Eventually,
    ports::{Placed, Placement, Resident},
    shard::{ShardBits, ShardId},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    ClusterStatus, Map, Report, RuntimeInbox, RuntimeTiming, WishError, core::Core, incarnation, keeper::Keeper,
    lease::Lease, liveness::Liveness, map, propose::ProposeFailure, raft_wire::Wire, reach::Reach,
};
use crate::{
    balance,
    control::{Answer, Command, Control, NewMember, VersionRange, state::CaFacts},
    raft::{self, ChangeError, Peer, RaftNode, ReadError},
    transport::Transport,
};

/// What a member needs to run. The transport was started with `inbox`.
pub struct Start {
    /// The number it was given when it joined.
    pub node: NodeId,
    /// The election slot it was given with it.
    pub election_slot: u8,
    /// Where its Raft log, its snapshot and the count of its starts are; only this process uses it.
    pub directory: PathBuf,
    /// Where it listens for other nodes, as `host:port`.
    pub addresses: Vec<String>,
    /// The formats it speaks.
    pub versions: VersionRange,
    /// Members it knows, with their addresses, until it has a map. None for the founder.
    pub seeds: Vec<(NodeId, Vec<String>)>,
    /// The group's times.
    pub raft: raft::Timing,
    /// The runtime's times.
    pub timing: RuntimeTiming,
    /// The way to the others.
    pub transport: Arc<dyn Transport>,
    /// What the transport hands to.
    pub inbox: Arc<RuntimeInbox>,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Start(node {} in {})", self.node, self.directory.display())
    }
}

/// What a new cluster begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// The cluster's number, not 0.
    pub cluster: u128,
    /// How many shards, as bits.
    pub shard_bits: u8,
    /// The format version.
    pub version: u32,
    /// The certificate authority.
    pub ca: CaFacts,
    /// The first member.
    pub founder: NewMember,
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Raft.
    #[error(transparent)]
    Raft(#[from] raft::StartError),
    /// The directory.
    #[error("the number of this start cannot be kept in {}", directory.display())]
    Incarnation {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why there is no new cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoundError {
    /// The directory is not pristine.
    #[error(transparent)]
    Raft(#[from] ChangeError),
    /// The command was not carried out.
    #[error(transparent)]
    Propose(#[from] ProposeFailure),
    /// The command was refused.
    #[error(transparent)]
    Refused(#[from] crate::control::Refusal),
}

/// A running member. Dropping it ends its tasks; [`Cluster::shut_down`] ends Raft cleanly first.
pub struct Cluster {
    core: Arc<Core>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({:?})", self.core)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.core.stop.cancel();
    }
}

impl Cluster {
    /// Opens the node's log, and takes part. Returns at once; see [`Cluster::ready`].
    ///
    /// # Errors
    /// [`StartError`]: the disk does not hold what a member must have.
    pub async fn start(start: Start) -> Result<Arc<Self>, StartError> {
        let directory = start.directory.clone();
        let counted = tokio::task::spawn_blocking(move || incarnation::next(&directory, 0)).await;
        let counted = counted.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
        let incarnation =
            counted.map_err(|source| StartError::Incarnation { directory: start.directory.clone(), source })?;
        let raft = RaftNode::start(raft::Start {
            node: start.node,
            election_slot: start.election_slot,
            directory: start.directory.clone(),
            timing: start.raft,
            wire: Arc::new(Wire(start.transport.clone())),
        });
        let core = Arc::new(Core {
            me: start.node,
            directory: start.directory,
            addresses: start.addresses,
            versions: start.versions,
            timing: start.timing,
            transport: start.transport,
            raft: Arc::new(raft.await?),
            incarnation: AtomicU64::new(incarnation),
            superseded: AtomicBool::new(false),
            abdicated: AtomicBool::new(false),
            told_group: Mutex::default(),
            keeper: Keeper::new(start.node),
            reach: Reach::new(),
            lease: Lease::new(),
            epochs: super::epochs::Epochs::default(),
            names: super::propose::Names::default(),
            acks: super::acks::Acks::default(),
            liveness: Mutex::new(Liveness::new(Instant::now())),
            handovers: super::handover::Handovers::default(),
            report: Mutex::new(Report { storage_ok: true, load: super::Load::default() }),
            own_costs: Mutex::default(),
            told_costs: super::balancer::Told::default(),
            gossip: Mutex::default(),
            newer_map: Mutex::default(),
            map_wanted: Notify::new(),
            beat_now: Notify::new(),
            stop: CancellationToken::new(),
        });
        start.inbox.set_core(&core);
        core.spawn(core.clone().follow_facts());
        core.spawn(core.clone().fetch_maps());
        core.spawn(core.clone().push_maps());
        core.spawn(core.clone().keep_links(start.seeds.into_iter().collect()));
        core.spawn(core.clone().beat());
        core.spawn(core.clone().ping());
        core.spawn(core.clone().confirm_heartbeats());
        core.spawn(core.clone().lead());
        core.spawn(core.clone().renew_epochs());
        core.spawn(core.clone().let_go());
        core.spawn(core.clone().finish_moves());
        Ok(Arc::new(Self { core }))
    }

    /// Founds a cluster with this node, which must be pristine, as its only member.
    ///
    /// # Errors
    /// [`FoundError`].
    pub async fn found(&self, founding: Founding) -> Result<(), FoundError> {
        let Founding { cluster, shard_bits, version, ca, founder } = founding;
        let peer = Peer { addresses: founder.addresses.clone() };
        self.core.raft.found(self.core.me, peer).await?;
        match self.propose(Command::Found { cluster, shard_bits, version, ca, founder }).await? {
            Answer::Refused(refusal) => Err(refusal.into()),
            _ => Ok(()),
        }
    }

    /// Waits until the cluster knows this start of the node and this node its map; `false` when it is not so `within`.
    pub async fn ready(&self, within: Duration) -> bool {
        let (me, incarnation) = (self.core.me, self.core.clone());
        let mut versions = self.core.keeper.versions();
        let ready = versions.wait_for(|_| {
            let number = incarnation.incarnation();
            self.core.keeper.read(|map| map.members.get(&me).is_some_and(|member| member.incarnation == number))
        });
        tokio::time::timeout(within, ready).await.is_ok_and(|waited| waited.is_ok())
    }

    /// Proposes `command`, here or at the leader, and again until it is answered or the time is over (5 s by default).
    /// A refusal is an answer.
    ///
    /// # Errors
    /// [`ProposeFailure`].
    pub async fn propose(&self, command: Command) -> Result<Answer, ProposeFailure> {
        self.core.propose(command).await
    }

    /// Tells `resident` of every change of the map from now on, and lets it let go of shards that leave.
    pub fn set_resident(&self, resident: Arc<dyn Resident>) {
        self.core.keeper.set_resident(resident);
    }

    /// Says how this node is: with the next heartbeat, or at once if the stores' state has changed.
    pub fn report(&self, report: Report) {
        let old = std::mem::replace(&mut *self.core.report.lock(), report);
        if old.storage_ok != report.storage_ok {
            self.core.beat_now.notify_one();
        }
    }

    /// Says what the shards here cost, in microseconds of work in a second: with the next heartbeat.
    pub fn report_costs(&self, costs: Vec<(ShardId, balance::Cost)>) {
        self.core.report_costs(costs);
    }

    /// The map as this node knows it.
    #[must_use]
    pub fn map(&self) -> Arc<Map> {
        self.core.keeper.map()
    }

    /// Follows the version of the map.
    #[must_use]
    pub fn map_changes(&self) -> watch::Receiver<u64> {
        self.core.keeper.versions()
    }

    /// Reads the facts of the state machine here: all of them, tokens and sealed keys too, where this node takes part
    /// in Raft; empty elsewhere. `look` must be short.
    pub fn facts<T>(&self, look: impl FnOnce(&Control) -> T) -> T {
        self.core.raft.facts().read(look)
    }

    /// Returns once [`facts`](Self::facts) hold all that was acknowledged anywhere before the call. Only on the leader.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn confirm(&self) -> Result<(), ReadError> {
        self.core.raft.confirm().await
    }

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.core.leads().leader
    }

    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.core.is_leader()
    }

    /// The node part of the ids that this node makes; `None` before it has a map.
    #[must_use]
    pub fn id_slot(&self) -> Option<u16> {
        self.core.keeper.read(|map| map.members.get(&self.core.me).map(|member| member.id_slot))
    }

    /// Whether no leader has confirmed this node for the time of a lease: it goes on appending, for the fence decides,
    /// and what it says of presence and permissions may be old. Also before the first confirmation.
    #[must_use]
    pub fn coasting(&self) -> bool {
        self.core.lease.is_over()
    }

    /// The cluster and this node in it.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        self.core.status()
    }

    /// Lets `node` serve what it has until it has handed everything over; returns when it has.
    ///
    /// # Errors
    /// [`WishError::StillGoing`] when that takes longer than `within`.
    pub async fn drain(&self, node: NodeId, within: Duration) -> Result<(), WishError> {
        self.core.drain(node, within).await
    }

    /// Takes a drain back: the node serves again when it is well.
    ///
    /// # Errors
    /// [`WishError`].
    pub async fn undrain(&self, node: NodeId) -> Result<(), WishError> {
        self.core.undrain(node).await
    }

    /// Drains `node` unless it is down, takes its vote, and ends its membership for ever.
    ///
    /// # Errors
    /// [`WishError::StillGoing`] when that takes longer than `within`; then it is still a member.
    pub async fn remove(&self, node: NodeId, within: Duration) -> Result<(), WishError> {
        self.core.remove(node, within).await
    }

    /// Moves `shard` to `to`, and returns when it is there.
    ///
    /// # Errors
    /// [`WishError`]; [`NotMoving`](crate::control::Refusal::NotMoving) when `to` takes no shards.
    pub async fn move_shard(&self, shard: ShardId, to: NodeId, within: Duration) -> Result<(), WishError> {
        self.core.move_shard(shard, to, within).await
    }

    /// Before this process ends: hands over every shard and then the leadership. Go on ending whatever it says; a start
    /// of the process brings the node back.
    ///
    /// # Errors
    /// [`WishError`]: something is still here after `within`, and others will take it when this process is gone.
    pub async fn leave(&self, within: Duration) -> Result<(), WishError> {
        self.core.leave(within).await
    }

    /// Ends this member. Everything acknowledged is on disk already. The transport goes on: close it next.
    pub async fn shut_down(&self) {
        self.core.stop.cancel();
        self.core.raft.shut_down().await;
    }
}

impl Placement for Cluster {
    fn this_node(&self) -> NodeId {
        self.core.me
    }

    fn shard_bits(&self) -> ShardBits {
        self.core.keeper.read(Map::bits)
    }

    /// Before there is a map everything is nobody's: node 0, at epoch 0.
    fn place(&self, shard: ShardId) -> Placed {
        let nobody = Placed { owner: NodeId(0), epoch: Epoch(0), moving: false };
        self.core.keeper.read(|map| map.shard(shard).map_or(nobody, map::placed))
    }

    fn map_version(&self) -> u64 {
        self.core.keeper.version()
    }

    fn others(&self) -> Arc<[NodeId]> {
        self.core.keeper.others()
    }

    fn fresh_epoch(&self, shard: ShardId, stored: Epoch) -> Eventually<Option<Epoch>> {
        Box::pin(self.core.clone().fresh_epoch(shard, stored))
    }
}
