//! Taking work off a node: for good, for a while, or because its process ends.
//!
//! # Order of effects
//!
//! A node that leaves is given nothing more, hands over all it orders, and last the leadership: while it moves its
//! shards the group needs a leader. openraft 0.9 cannot transfer leadership, so a leader that leaves falls silent, and
//! the first voter that no longer counts on it stands for election: after 1.9 to 2.8 s.

use std::{future::Future, sync::atomic::Ordering, time::Duration};

use hubbub_protocol::{ids::NodeId, shard::ShardId};
use tokio::time::Instant;

use super::{core::Core, propose::ProposeFailure};
use crate::control::{Answer, Command, MemberState, Refusal, ShardMove};

/// How often a state that is waited for is looked at, when no change of the map tells.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long another node may take to lead after we fell silent: the longest election measured (ADR 0010), twice.
const SUCCESSION_WITHIN: Duration = Duration::from_secs(5);

/// Why an operator's wish was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// Not proposed.
    #[error(transparent)]
    Propose(#[from] ProposeFailure),
    /// Proposed and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such shard, or this node has no map yet.
    #[error("there is no shard {0}")]
    NoSuchShard(ShardId),
    /// It is going on; ask for the status.
    #[error("{what} is not over in time; it goes on")]
    StillGoing {
        /// What was waited for.
        what: &'static str,
    },
}

fn done(answer: Answer) -> Result<Answer, WishError> {
    match answer {
        Answer::Refused(refusal) => Err(refusal.into()),
        answer => Ok(answer),
    }
}

impl Core {
    /// Waits until `is`; `false` when it is not by `deadline`.
    async fn until(&self, deadline: Instant, is: impl Fn(&Self) -> bool) -> bool {
        let mut versions = self.keeper.versions();
        while !is(self) {
            if Instant::now() >= deadline || self.stop.is_cancelled() {
                return false;
            }
            drop(tokio::time::timeout(LOOK_EVERY, versions.changed()).await);
        }
        true
    }

    fn owns_nothing(&self, node: NodeId) -> bool {
        self.keeper.read(|map| !map.shards.is_empty() && map.shards_of(node) == 0)
    }

    /// Whether the voters can do without `node`: it has no vote, or a majority of them is there beside it. Once it is no
    /// member its vote is taken.
    fn is_spare(&self, node: NodeId) -> bool {
        let voters = self.group().voters;
        let there = |voter: &&NodeId| {
            let state = |map: &super::Map| map.members.get(voter).map(|member| member.state);
            **voter != node && self.keeper.read(state).is_some_and(|state| state != MemberState::Down)
        };
        let others = voters.iter().filter(there).count();
        !voters.is_empty() && (!voters.contains(&node) || others * 2 > voters.len())
    }

    pub(super) async fn drain(&self, node: NodeId, within: Duration) -> Result<(), WishError> {
        let deadline = Instant::now() + within;
        done(self.propose(Command::Leave { node, leaving: true }).await?)?;
        let drained = self.until(deadline, |core| core.owns_nothing(node)).await;
        if drained { Ok(()) } else { Err(WishError::StillGoing { what: "draining the node" }) }
    }

    pub(super) async fn undrain(&self, node: NodeId) -> Result<(), WishError> {
        done(self.propose(Command::Leave { node, leaving: false }).await?).map(drop)
    }

    pub(super) async fn remove(&self, node: NodeId, within: Duration) -> Result<(), WishError> {
        let deadline = Instant::now() + within;
        let state = self.keeper.read(|map| map.members.get(&node).map(|member| member.state));
        match state.ok_or(Refusal::NoSuchNode(node))? {
            MemberState::Down => {}
            _ => self.drain(node, within).await?,
        }
        let spare = |core: &Self| core.is_spare(node) && core.owns_nothing(node);
        if !self.until(deadline, spare).await {
            return Err(WishError::StillGoing { what: "taking the node's shards and vote" });
        }
        done(self.propose(Command::Remove { node }).await?).map(drop)
    }

    pub(super) async fn move_shard(&self, shard: ShardId, to: NodeId, within: Duration) -> Result<(), WishError> {
        let deadline = Instant::now() + within;
        let place = self.keeper.read(|map| map.shard(shard).copied()).ok_or(WishError::NoSuchShard(shard))?;
        if place.owner == to {
            return Ok(());
        }
        let moves = vec![ShardMove { shard, epoch: place.epoch, to }];
        match done(self.propose(Command::BeginMoves { moves }).await?)? {
            Answer::Moved { moves: 1 } => {}
            _ => return Err(Refusal::NotMoving.into()),
        }
        let there = |core: &Self| {
            core.keeper.read(|map| map.shard(shard).is_some_and(|now| now.owner == to && now.epoch > place.epoch))
        };
        if self.until(deadline, there).await {
            Ok(())
        } else {
            Err(WishError::StillGoing { what: "moving the shard" })
        }
    }

    pub(super) async fn leave(&self, within: Duration) -> Result<(), WishError> {
        let deadline = Instant::now() + within;
        let alone = self.keeper.others().is_empty();
        let drained = if alone { Ok(()) } else { self.drain(self.me, within).await };
        let succession = deadline.saturating_duration_since(Instant::now()).min(SUCCESSION_WITHIN);
        if !alone && self.is_leader() && self.group().voters.len() > 1 {
            self.hand_over_leadership(Instant::now() + succession).await;
        }
        drained
    }

    /// Leads no more and says nothing, until another voter has stood and leads.
    async fn hand_over_leadership(&self, deadline: Instant) {
        let term = self.raft.leads().term;
        tracing::info!(node.id = %self.me, term, "handing over the leadership");
        self.abdicated.store(true, Ordering::Relaxed);
        self.raft.fall_silent();
        while Instant::now() < deadline && self.raft.leads().term == term {
            drop(tokio::time::timeout(LOOK_EVERY, self.raft.leads_changed()).await);
        }
    }

    /// Runs `work` until the end of this member.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }
}
