//! What the tasks of a running member share.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hubbub_protocol::{ids::NodeId, peer::Envelope, shard::ShardId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    RuntimeTiming,
    acks::Acks,
    epochs::Epochs,
    handover::Handovers,
    keeper::Keeper,
    lease::Lease,
    liveness::Liveness,
    propose::Names,
    reach::Reach,
    wire::{Group, Leads, Load, Ping},
};
use crate::{
    balance::Cost,
    control::VersionRange,
    raft::{RaftNode, Standing},
    transport::Transport,
};

/// How this node is, by its own measure; the node crate says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Whether its stores take writes.
    pub storage_ok: bool,
    /// How busy it is.
    pub load: Load,
}

/// See the module.
pub(super) struct Core {
    pub(super) me: NodeId,
    pub(super) directory: PathBuf,
    pub(super) addresses: Vec<String>,
    pub(super) versions: VersionRange,
    pub(super) timing: RuntimeTiming,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) raft: Arc<RaftNode>,
    pub(super) incarnation: AtomicU64,
    /// Another process runs under our number, or we were removed.
    pub(super) superseded: AtomicBool,
    /// This node led and has given it up: it leaves.
    pub(super) abdicated: AtomicBool,
    /// Who takes part in Raft, as the leader said last.
    pub(super) told_group: Mutex<Group>,
    pub(super) keeper: Keeper,
    pub(super) reach: Reach,
    pub(super) lease: Lease,
    pub(super) epochs: Epochs,
    pub(super) names: Names,
    pub(super) acks: Acks,
    pub(super) liveness: Mutex<Liveness>,
    pub(super) handovers: Handovers,
    pub(super) report: Mutex<Report>,
    /// What the dearest shards here cost.
    pub(super) own_costs: Mutex<Vec<(ShardId, Cost)>>,
    /// What members said of theirs, while this node leads.
    pub(super) told_costs: super::balancer::Told,
    /// The newest that peers have said of the leader.
    pub(super) gossip: Mutex<Leads>,
    /// A peer that knows a newer map.
    pub(super) newer_map: Mutex<Option<(NodeId, u64)>>,
    pub(super) map_wanted: Notify,
    /// Something that the leader should hear now rather than at the next heartbeat.
    pub(super) beat_now: Notify,
    pub(super) stop: CancellationToken,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} at map {}", self.me, self.keeper.version())
    }
}

impl Core {
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed)
    }

    /// Who leads: what Raft says here, or what peers say of a later term. Of itself a node believes Raft alone.
    pub(super) fn leads(&self) -> Leads {
        let mut ours = self.raft.leads();
        if ours.leader == Some(self.me) && self.abdicated.load(Ordering::Relaxed) {
            ours.leader = None;
        }
        let theirs = *self.gossip.lock();
        let newer = theirs.term > ours.term || (theirs.term == ours.term && ours.leader.is_none());
        if newer && theirs.leader.is_some_and(|leader| leader != self.me) { theirs } else { ours }
    }

    /// Whether this node leads, as far as it knows. Only a confirmed read is sure.
    pub(super) fn is_leader(&self) -> bool {
        self.leads().leader == Some(self.me)
    }

    /// Who takes part in Raft: as our own log says if we do, else as the leader said last.
    pub(super) fn group(&self) -> Group {
        let Standing { voters, learners, .. } = self.raft.standing();
        let takes_part = voters.contains(&self.me) || learners.contains(&self.me);
        if takes_part { Group { voters, learners } } else { self.told_group.lock().clone() }
    }

    /// A peer says who leads.
    pub(super) fn hear_leads(&self, leads: Leads) {
        let mut gossip = self.gossip.lock();
        if leads.leader.is_some() && leads.term > gossip.term {
            *gossip = leads;
            self.beat_now.notify_one();
        }
    }

    pub(super) fn hear_ping(&self, from: NodeId, ping: Ping) {
        self.hear_leads(ping.leads);
        if ping.map_version > self.keeper.version() {
            self.wants_map(from, ping.map_version);
        }
    }

    /// `from` knows the map of `version`.
    pub(super) fn wants_map(&self, from: NodeId, version: u64) {
        let mut newer = self.newer_map.lock();
        if newer.is_none_or(|(_, known)| known < version) {
            *newer = Some((from, version));
            self.map_wanted.notify_one();
        }
    }

    /// Says to all peers that we live, and what we know.
    pub(super) fn ping_all(&self) {
        let map_version = self.keeper.version();
        let Ok(envelope) = Envelope::pack(map_version, &Ping { leads: self.leads(), map_version }) else { return };
        let map = self.keeper.map();
        // Those that are down too: that is how one that comes back learns who leads.
        for node in map.members.keys().filter(|node| **node != self.me) {
            // A peer without a link hears nothing: that is what it will say.
            let _ = self.transport.whisper(*node, envelope.clone());
        }
    }
}
