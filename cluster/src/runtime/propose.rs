//! Proposing from any node: to its own Raft when it leads, else to the leader, under one name until it is answered.
//!
//! # Failure
//!
//! A proposal whose answer was lost is sent again under the same [`RequestId`], so it is carried out once. When the time
//! is over, nobody knows: it may be carried out yet, until this node proposes something later under the same name.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hubbub_protocol::{
    ids::NodeId,
    peer::{AskError, Class, Envelope, Lane, Rejection},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    core::Core,
    wire::{Leads, Propose, Proposed},
};
use crate::{
    control::{Answer, Command, Request, RequestId},
    raft::ProposeError,
};

/// Pause before a proposal that nobody could take is tried again: a third of a heartbeat of Raft's.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How long one node may take to answer; a leader that died answers nothing, and the next one must be found in time.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(1_500);

pub(super) const CONTROL: Lane = Lane { class: Class::Control, number: 0 };

/// Why a proposal has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeFailure {
    /// Nobody could be asked in time. Nothing was carried out.
    #[error("no leader could be reached: a majority of the voters must be up")]
    NoLeader,
    /// It was asked, and may be carried out yet: look before it is repeated.
    #[error("the leader has not confirmed it in time: it may be carried out yet")]
    Unknown,
    /// It never fits an entry.
    #[error("the change is too large")]
    TooLarge,
    /// Raft has stopped here, or this node is shutting down.
    #[error("this node takes part no more: see its log for the cause")]
    Stopped,
}

/// Names for proposals. One name waits for one answer, so as many exist as proposals were ever under way at once.
#[derive(Debug, Default)]
pub(super) struct Names {
    free: Mutex<Vec<RequestId>>,
    /// Proposals since the start.
    pub(super) asked: AtomicU64,
    /// Those of them that had no answer in time.
    pub(super) failed: AtomicU64,
}

impl Names {
    fn take(&self) -> RequestId {
        let id = self.free.lock().pop().unwrap_or_else(|| RequestId { proposer: rand::random(), n: 0 });
        RequestId { n: id.n + 1, ..id }
    }

    fn give_back(&self, id: RequestId) {
        self.free.lock().push(id);
    }
}

impl Core {
    /// Proposes `command` for up to [`propose_within`](super::RuntimeTiming::propose_within).
    pub(super) async fn propose(&self, command: Command) -> Result<Answer, ProposeFailure> {
        self.propose_within(command, self.timing.propose_within).await
    }

    pub(super) async fn propose_within(
        &self,
        command: Command,
        within: Duration,
    ) -> Result<Answer, ProposeFailure> {
        let id = self.names.take();
        self.names.asked.fetch_add(1, Ordering::Relaxed);
        let outcome = self.propose_as(Request { id: Some(id), command }, within).await;
        self.names.give_back(id);
        if outcome.is_err() {
            self.names.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn propose_as(&self, request: Request, within: Duration) -> Result<Answer, ProposeFailure> {
        let deadline = Instant::now() + within;
        let mut failure = ProposeFailure::NoLeader;
        while Instant::now() < deadline {
            let attempt = match self.leads().leader {
                Some(leader) if leader == self.me => self.carry_out(request.clone()).await,
                Some(leader) => self.forward(leader, &request, deadline).await,
                None => Proposed::NotLeader(Leads::default()),
            };
            match attempt {
                Proposed::Answered(answer) => return Ok(answer),
                Proposed::TooLarge => return Err(ProposeFailure::TooLarge),
                Proposed::Stopped if self.stop.is_cancelled() => return Err(ProposeFailure::Stopped),
                Proposed::Unknown => failure = ProposeFailure::Unknown,
                Proposed::NotLeader(leads) => self.hear_leads(leads),
                Proposed::Busy | Proposed::Stopped => {}
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = self.stop.cancelled() => return Err(ProposeFailure::Stopped),
            }
        }
        Err(failure)
    }

    async fn forward(&self, leader: NodeId, request: &Request, deadline: Instant) -> Proposed {
        let Ok(envelope) = Envelope::pack(self.keeper.version(), &Propose { request: request.clone() }) else {
            return Proposed::TooLarge;
        };
        let within = ATTEMPT_WITHIN.min(deadline.saturating_duration_since(Instant::now()));
        let answer = tokio::select! {
            answer = self.transport.ask(leader, CONTROL, envelope, within) => answer,
            () = self.led_by_another_than(leader) => return Proposed::Unknown,
        };
        match answer {
            Ok(answer) => answer.open().unwrap_or(Proposed::Unknown),
            Err(AskError::Send(_) | AskError::Rejected(Rejection::Busy { .. })) => Proposed::Busy,
            Err(AskError::Rejected(_) | AskError::TimedOut { .. } | AskError::Lost { .. }) => Proposed::Unknown,
        }
    }

    /// Returns when this node hears of another leader: the one that was asked may be dead.
    async fn led_by_another_than(&self, leader: NodeId) {
        while self.leads().leader.is_none_or(|leads| leads == leader) {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Proposes here, for this node or another.
    pub(super) async fn carry_out(&self, request: Request) -> Proposed {
        if self.abdicated.load(Ordering::Relaxed) {
            return Proposed::NotLeader(self.leads());
        }
        match self.raft.propose(request).await {
            Ok(answer) => Proposed::Answered(answer),
            Err(ProposeError::NotLeader { .. }) => Proposed::NotLeader(self.leads()),
            Err(ProposeError::Unknown) => Proposed::Unknown,
            Err(ProposeError::Busy) => Proposed::Busy,
            Err(ProposeError::TooLarge) => Proposed::TooLarge,
            Err(ProposeError::Stopped) => Proposed::Stopped,
        }
    }
}
