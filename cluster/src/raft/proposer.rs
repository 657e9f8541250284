//! Proposing: requests of many callers become one entry of the log.
//!
//! openraft 0.9 waits for the disk once for each entry, whatever else is waiting. So one task takes all requests that
//! wait and proposes them together; while that entry is on its way, the next requests gather.

use std::{sync::Arc, time::Duration};

use hubbub_protocol::ids::NodeId;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::types::{Answers, Batch, Peer, Types};
use crate::control::{
    Answer, Command, Request,
    wire::{BATCH_BYTES_MAX, REQUEST_BYTES_MAX, requests_to_bytes},
};

/// Requests that may wait. Beyond it a caller is told to come back; 1,024 of usual size are 1 MiB.
const WAITING_MAX: usize = 1_024;
/// Most requests of one entry.
const BATCH_MAX: usize = 256;
/// How long an entry may take to reach a majority: twice the time of an election.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Ask the leader, under the same [`RequestId`](crate::control::RequestId): if this node led until a moment ago,
    /// the request may be in the log.
    #[error("this node does not lead the cluster")]
    NotLeader {
        /// Who does, as far as this node knows, and how to reach it.
        leader: Option<(NodeId, Peer)>,
    },
    /// No majority has answered in time. It may still be carried out; a repeat under the same id is safe.
    #[error("no majority of the voters has confirmed it in time")]
    Unknown,
    /// Too many requests wait.
    #[error("too many changes are waiting: try again in a moment")]
    Busy,
    /// More than [`REQUEST_BYTES_MAX`].
    #[error("the change is too large")]
    TooLarge,
    /// Raft has stopped on this node: its log has failed, or it is shutting down.
    #[error("Raft has stopped on this node: see its log for the cause")]
    Stopped,
}

type Waiting = (Request, usize, oneshot::Sender<Result<Answer, ProposeError>>);

/// Where requests wait for the task that proposes them.
#[derive(Debug, Clone)]
pub(super) struct Proposer {
    waiting: mpsc::Sender<Waiting>,
}

impl Proposer {
    /// Starts the task. It ends when the last proposer is dropped.
    pub(super) fn start(raft: Arc<openraft::Raft<Types>>) -> Self {
        let (waiting, requests) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(raft, requests));
        Self { waiting }
    }

    pub(super) async fn propose(&self, request: Request) -> Result<Answer, ProposeError> {
        let size = requests_to_bytes(std::slice::from_ref(&request)).map_or(usize::MAX, |bytes| bytes.len());
        if size > REQUEST_BYTES_MAX {
            return Err(ProposeError::TooLarge);
        }
        let (tell, answer) = oneshot::channel();
        self.waiting.try_send((request, size, tell)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => ProposeError::Busy,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopped,
        })?;
        answer.await.unwrap_or(Err(ProposeError::Stopped))
    }
}

async fn run(raft: Arc<openraft::Raft<Types>>, mut requests: mpsc::Receiver<Waiting>) {
    let mut first = requests.recv().await;
    while let Some(start) = first.take() {
        let (batch, next) = gather(start, &mut requests);
        commit(&raft, batch).await;
        first = match next {
            Some(next) => Some(next),
            None => requests.recv().await,
        };
    }
}

const fn joins(request: &Request) -> bool {
    matches!(request.command, Command::Join { .. } | Command::Found { .. })
}

/// Takes what waits, up to the bounds and to the second join, which needs an entry of its own; gives back the one
/// that did not fit.
fn gather(start: Waiting, requests: &mut mpsc::Receiver<Waiting>) -> (Vec<Waiting>, Option<Waiting>) {
    let (mut bytes, mut joined) = (start.1, joins(&start.0));
    let mut batch = vec![start];
    while batch.len() < BATCH_MAX {
        let Ok(next) = requests.try_recv() else { break };
        bytes += next.1;
        let second_join = joined && joins(&next.0);
        if bytes > BATCH_BYTES_MAX || second_join {
            return (batch, Some(next));
        }
        joined |= joins(&next.0);
        batch.push(next);
    }
    (batch, None)
}

async fn commit(raft: &openraft::Raft<Types>, batch: Vec<Waiting>) {
    let (requests, tellers): (Vec<Request>, Vec<_>) =
        batch.into_iter().map(|(request, _, tell)| (request, tell)).unzip();
    let outcome = match Batch::of(&requests) {
        Ok(batch) => write(raft, batch).await,
        Err(_) => Err(ProposeError::TooLarge),
    };
    match outcome {
        Ok(answers) => {
            for (tell, answer) in tellers.into_iter().zip(answers) {
                let _ = tell.send(Ok(answer));
            }
        }
        Err(error) => {
            for tell in tellers {
                let _ = tell.send(Err(error.clone()));
            }
        }
    }
}

async fn write(raft: &openraft::Raft<Types>, batch: Batch) -> Result<Answers, ProposeError> {
    match tokio::time::timeout(COMMIT_WITHIN, raft.client_write(batch)).await {
        Err(_) => Err(ProposeError::Unknown),
        Ok(Ok(response)) => Ok(response.data),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
            let leader = forward.leader_id.map(NodeId).zip(forward.leader_node);
            Err(ProposeError::NotLeader { leader })
        }
        Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_)))) => Err(ProposeError::Unknown),
        Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Stopped),
    }
}
