//! One member's Raft: what the rest of the cluster crate holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::ids::NodeId;
use openraft::{
    ChangeMembers,
    error::{CheckIsLeaderError, ClientWriteError, RaftError},
};
use serde::{Deserialize, Serialize};

use super::{
    errors::{ChangeError, ReadError, StartError},
    log_store::LogStore,
    machine::{Facts, Machine},
    network::Lines,
    proposer::{ProposeError, Proposer},
    receive::Ear,
    timing::Timing,
    types::{Peer, Types},
    wire::{RaftEar, RaftWire},
};
use crate::{
    autopilot::Change,
    control::{Answer, Request},
};

/// How long a change of voters may take: a joint configuration is two entries and a learner's last few.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);
/// How long a majority may take to say that we still lead.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);

/// What a node needs to take part.
pub struct Start {
    /// The number it was given when it joined.
    pub node: NodeId,
    /// The election slot it was given with it.
    pub election_slot: u8,
    /// Where its log and snapshot are; only this process uses it.
    pub directory: PathBuf,
    /// The group's times.
    pub timing: Timing,
    /// The way to the others.
    pub wire: Arc<dyn RaftWire>,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Start(node {} in {})", self.node, self.directory.display())
    }
}

/// Who leads, as far as somebody knows; of two, the one with the higher term is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Leads {
    /// The term.
    pub term: u64,
    /// Who leads in it, once that is known.
    pub leader: Option<NodeId>,
}

/// How this node stands in the group, for `status`, metrics and the autopilot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The term.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Whether the voters are being replaced: until that is over a majority of the old ones is needed too.
    pub changing: bool,
    /// Who follows without a vote.
    pub learners: BTreeSet<NodeId>,
    /// The last entry here.
    pub last_index: u64,
    /// The last entry that made facts here.
    pub applied_index: u64,
    /// The last entry that only the snapshot holds here, 0 for none.
    pub purged_index: u64,
    /// For each member, on the leader only: the last entry it is known to have.
    pub matched: BTreeMap<NodeId, u64>,
}

/// A running member of the Raft group. Cheap to share; [`RaftNode::shut_down`] ends it.
pub struct RaftNode {
    raft: Arc<openraft::Raft<Types>>,
    ear: Ear,
    facts: Facts,
    proposer: Proposer,
    changing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for RaftNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RaftNode({:?})", self.standing())
    }
}

impl RaftNode {
    /// Opens the log and the snapshot, applies what is committed, and takes part.
    ///
    /// # Errors
    /// [`StartError`]: the disk does not hold what a member must have.
    pub async fn start(start: Start) -> Result<Self, StartError> {
        let directory = start.directory.clone();
        let opened = tokio::task::spawn_blocking(move || {
            Ok::<_, StartError>((LogStore::open(&directory)?, Machine::open(&directory)?))
        });
        let (log, machine) = opened.await.map_err(|panicked| StartError::Raft(panicked.to_string()))??;
        if let Some(purged) = log.purged().filter(|purged| machine.applied() < Some(*purged)) {
            return Err(StartError::SnapshotMissing { purged: purged.index });
        }
        let facts = machine.reader();
        let config = Arc::new(start.timing.config(start.election_slot));
        let lines = Lines { wire: start.wire };
        let raft = openraft::Raft::new(start.node.0, config, lines, log, machine).await;
        let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
        let (ear, raft) = (Ear::new(raft.clone()), Arc::new(raft));
        let proposer = Proposer::start(Arc::clone(&raft));
        Ok(Self { raft, ear, facts, proposer, changing: tokio::sync::Mutex::default() })
    }

    /// Makes this node, which must be pristine, the only voter of a new group.
    ///
    /// # Errors
    /// [`ChangeError::Refused`]: it has been part of a group before.
    pub async fn found(&self, node: NodeId, peer: Peer) -> Result<(), ChangeError> {
        let voters: BTreeMap<u64, Peer> = [(node.0, peer)].into();
        self.raft.initialize(voters).await.map_err(|error| ChangeError::Refused(error.to_string()))
    }

    /// The facts as this node knows them.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Proposes `request`, and answers once a majority has it on disk and it was carried out here.
    /// Dropping the future does not take it back.
    ///
    /// # Errors
    /// [`ProposeError`]: a repeat under the same id is safe after any of them.
    pub async fn propose(&self, request: Request) -> Result<Answer, ProposeError> {
        self.proposer.propose(request).await
    }

    /// Returns once [`RaftNode::facts`] hold all that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// [`ReadError`]: what is read now may be old.
    pub async fn confirm(&self) -> Result<(), ReadError> {
        match tokio::time::timeout(CONFIRM_WITHIN, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Err(_) | Ok(Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)))) => {
                Err(ReadError::NoQuorum)
            }
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)))) => {
                Err(ReadError::NotLeader { leader: forward.leader_id.map(NodeId).zip(forward.leader_node) })
            }
            Ok(Err(RaftError::Fatal(_))) => Err(ReadError::Stopped),
        }
    }

    /// Makes one change of who takes part, and returns once it is complete. A node that loses its vote goes on
    /// following, until [`Change::RemoveLearner`].
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change(&self, change: Change) -> Result<(), ChangeError> {
        let _one = self.changing.try_lock().map_err(|_| ChangeError::InProgress)?;
        let members = match change {
            Change::AddLearner { node, peer } => ChangeMembers::AddNodes([(node.0, peer)].into()),
            Change::RemoveLearner { node } => ChangeMembers::RemoveNodes([node.0].into()),
            Change::SetVoters { voters } => {
                ChangeMembers::ReplaceAllVoters(voters.into_iter().map(|node| node.0).collect())
            }
        };
        let changed = tokio::time::timeout(CHANGE_WITHIN, self.raft.change_membership(members, true)).await;
        match changed {
            Err(_) => Err(ChangeError::Unknown),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => Err(ChangeError::NotLeader),
            Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error)))) => {
                Err(ChangeError::Refused(error.to_string()))
            }
            Ok(Err(RaftError::Fatal(error))) => Err(ChangeError::Refused(error.to_string())),
        }
    }

    /// How this node stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let matched = metrics.replication.unwrap_or_default();
        let index = |matched: Option<openraft::LogId<u64>>| matched.map_or(0, |matched| matched.index);
        Standing {
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            voters: membership.voter_ids().map(NodeId).collect(),
            changing: membership.get_joint_config().len() > 1,
            learners: membership.learner_ids().map(NodeId).collect(),
            last_index: metrics.last_log_index.unwrap_or(0),
            applied_index: index(metrics.last_applied),
            purged_index: index(metrics.purged),
            matched: matched.into_iter().map(|(node, matched)| (NodeId(node), index(matched))).collect(),
        }
    }

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leads(&self) -> Leads {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        Leads { term: metrics.current_term, leader: metrics.current_leader.map(NodeId) }
    }

    /// Returns when somebody else leads than at the call, as far as this node knows, or when Raft has stopped.
    pub async fn leads_changed(&self) {
        let (mut metrics, before) = (self.raft.metrics(), self.leads());
        let changed = metrics.wait_for(|metrics| {
            before != Leads { term: metrics.current_term, leader: metrics.current_leader.map(NodeId) }
        });
        drop(changed.await);
    }

    /// Sends no more heartbeats: another voter will stand for election. For a leader that leaves; there is no way back
    /// but a start.
    pub fn fall_silent(&self) {
        self.raft.runtime_config().heartbeat(false);
        self.raft.runtime_config().elect(false);
    }

    /// Writes a snapshot now; the log before it may go. Returns when it was ordered, not when it is there.
    ///
    /// # Errors
    /// [`ReadError::Stopped`].
    pub async fn order_snapshot(&self) -> Result<(), ReadError> {
        self.raft.trigger().snapshot().await.map_err(|_| ReadError::Stopped)
    }

    /// Ends Raft here. Everything acknowledged is on disk already.
    pub async fn shut_down(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "Raft did not end cleanly");
        }
    }
}

#[async_trait]
impl RaftEar for RaftNode {
    async fn hear(&self, from: NodeId, message: Bytes) -> Option<Bytes> {
        self.ear.hear(from, message).await
    }
}
