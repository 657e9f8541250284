//! What `hubbub status` and the metrics tell of the cluster, as this node knows it.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use hubbub_protocol::ids::NodeId;
use tokio::time::Instant;

use super::{core::Core, wire::Load};
use crate::{
    control::{Member, MemberState},
    transport::PeerStatus,
};

/// The cluster and this node in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// This node.
    pub node: NodeId,
    /// The start of its process, as registered.
    pub incarnation: u64,
    /// Another process runs under its number, or it was removed.
    pub superseded: bool,
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// The term of that.
    pub term: u64,
    /// Who votes; empty while unknown.
    pub voters: BTreeSet<NodeId>,
    /// Whether the voters are being replaced, as the log here says: until that is over a majority of the old ones is
    /// needed too.
    pub voters_changing: bool,
    /// Who follows without a vote.
    pub learners: BTreeSet<NodeId>,
    /// The last entry here, and the last that made facts here; 0 where this node takes no part in Raft.
    pub last_index: u64,
    /// See `last_index`.
    pub applied_index: u64,
    /// How long ago the last heartbeat was sent that the leader confirmed.
    pub last_contact: Option<Duration>,
    /// Whether the lease is over: the cluster may have given this node up.
    pub coasting: bool,
    /// Changes that this node has proposed since its start, and those of them that were not confirmed in time.
    pub proposals: u64,
    /// See `proposals`.
    pub proposals_failed: u64,
    /// The version of the map here.
    pub map_version: u64,
    /// How many shards there are.
    pub shards: usize,
    /// How many of them are being handed over.
    pub moving: usize,
    /// Each member.
    pub members: Vec<MemberStatus>,
    /// How the links stand.
    pub peers: Vec<PeerStatus>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its number.
    pub node: NodeId,
    /// What all nodes know of it.
    pub member: Member,
    /// How many shards it orders.
    pub shards: usize,
    /// How long this node has not heard it; `None` for itself, and for nodes that are down.
    pub silence: Option<Duration>,
    /// What it said last; only the leader knows.
    pub beat: Option<BeatStatus>,
}

/// A member's last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatStatus {
    /// How long ago it came.
    pub age: Duration,
    /// Whether its stores took writes.
    pub storage_ok: bool,
    /// Whom it did not hear.
    pub unreachable: Vec<NodeId>,
    /// How busy it was.
    pub load: Load,
}

impl MemberStatus {
    /// Whether it serves.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.member.state == MemberState::Up
    }
}

impl Core {
    pub(super) fn status(&self) -> ClusterStatus {
        let (map, standing, group, leads) = (self.keeper.map(), self.raft.standing(), self.group(), self.leads());
        let (now, leading, liveness) = (Instant::now(), self.is_leader(), self.liveness.lock());
        let beat = |node: NodeId| {
            let (_, beat, at) = liveness.beats().find(|(of, ..)| *of == node).filter(|_| leading)?;
            Some(BeatStatus {
                age: now.saturating_duration_since(at),
                storage_ok: beat.storage_ok,
                unreachable: beat.unreachable.clone(),
                load: beat.load,
            })
        };
        let members = map.members.iter().map(|(node, member)| MemberStatus {
            node: *node,
            member: member.clone(),
            shards: map.shards_of(*node),
            silence: self.reach.silence(*node),
            beat: beat(*node),
        });
        ClusterStatus {
            node: self.me,
            incarnation: self.incarnation(),
            superseded: self.superseded.load(Ordering::Relaxed),
            leader: leads.leader,
            term: leads.term,
            voters: group.voters,
            voters_changing: standing.changing,
            learners: group.learners,
            last_index: standing.last_index,
            applied_index: standing.applied_index,
            last_contact: self.lease.last_contact(),
            coasting: self.lease.is_over(),
            proposals: self.names.asked.load(Ordering::Relaxed),
            proposals_failed: self.names.failed.load(Ordering::Relaxed),
            map_version: map.version,
            shards: map.shards.len(),
            moving: map.each_shard().filter(|(_, place)| super::map::placed(place).moving).count(),
            members: members.collect(),
            peers: self.transport.peers(),
        }
    }
}
