//! openraft's network over a [`RaftWire`].

use std::{future::Future, sync::Arc, time::Duration};

use hubbub_protocol::ids::NodeId;
use openraft::{
    RaftNetwork, RaftNetworkFactory, Snapshot,
    error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};

use super::{
    types::{Peer, Types, Vote},
    wire::{Message, PART_BYTES_MAX, Part, RaftWire, Reply, WireError},
};

/// Pause before a peer that could not be reached is tried again. A heartbeat's time: it costs one failed call.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Makes a [`Line`] to each peer.
pub(super) struct Lines {
    pub(super) wire: Arc<dyn RaftWire>,
}

/// The way to one peer.
pub(super) struct Line {
    wire: Arc<dyn RaftWire>,
    to: NodeId,
    peer: Peer,
}

impl RaftNetworkFactory<Types> for Lines {
    type Network = Line;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Line {
        Line { wire: Arc::clone(&self.wire), to: NodeId(target), peer: node.clone() }
    }
}

type CallError = RPCError<u64, Peer, RaftError<u64>>;

/// An answer to another question: the peer is confused, or no peer of ours.
fn nonsense() -> NetworkError {
    NetworkError::new(&std::io::Error::other("the answer does not fit the question"))
}

impl Line {
    async fn ask(&self, message: &Message, within: Duration) -> Result<Reply, CallError> {
        let bytes = message.to_bytes().map_err(|error| NetworkError::new(&error))?;
        let answered = tokio::time::timeout(within, self.wire.call(self.to, &self.peer, message.urgency(), bytes));
        let answered = answered.await;
        match answered.unwrap_or(Err(WireError::NoAnswer)) {
            Ok(reply) => Ok(Reply::from_bytes(&reply).map_err(|error| NetworkError::new(&error))?),
            Err(error @ WireError::Unreachable) => Err(Unreachable::new(&error).into()),
            Err(error @ WireError::NoAnswer) => Err(NetworkError::new(&error).into()),
        }
    }

    /// Sends the parts in order, from the start again if the receiver has lost the thread.
    async fn send_parts(
        &self,
        vote: Vote,
        snapshot: &Snapshot<Types>,
        within: Duration,
    ) -> Result<Vote, CallError> {
        let (mut offset, whole) = (0_usize, snapshot.snapshot.as_slice());
        let mut restarts = 0_u32;
        loop {
            let end = whole.len().min(offset + PART_BYTES_MAX);
            let part = Part {
                vote,
                meta: snapshot.meta.clone(),
                offset: u64::try_from(offset).unwrap_or(u64::MAX),
                total: u64::try_from(whole.len()).unwrap_or(u64::MAX),
                bytes: whole[offset..end].to_vec(),
            };
            match self.ask(&Message::Part(part), within).await? {
                Reply::Installed(vote) => return Ok(vote),
                Reply::More if end < whole.len() => offset = end,
                Reply::FromStart if restarts < 3 => (offset, restarts) = (0, restarts + 1),
                _ => return Err(nonsense().into()),
            }
        }
    }
}

impl RaftNetwork<Types> for Line {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        match self.ask(&Message::Append(rpc), option.hard_ttl()).await? {
            Reply::Append(response) => Ok(response),
            _ => Err(nonsense().into()),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<u64>, option: RPCOption) -> Result<VoteResponse<u64>, CallError> {
        match self.ask(&Message::Vote(rpc), option.hard_ttl()).await? {
            Reply::Vote(response) => Ok(response),
            _ => Err(nonsense().into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        let sent = tokio::select! {
            sent = self.send_parts(vote, &snapshot, option.hard_ttl()) => sent,
            closed = cancel => return Err(closed.into()),
        };
        match sent {
            Ok(vote) => Ok(SnapshotResponse::new(vote)),
            Err(RPCError::Unreachable(error)) => Err(StreamingError::Unreachable(error)),
            Err(RPCError::Network(error)) => Err(StreamingError::Network(error)),
            Err(_) => Err(StreamingError::Network(nonsense())),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_AFTER))
    }
}
