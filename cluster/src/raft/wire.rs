//! What Raft says to another node, and the seam that a transport fills.
//!
//! A transport carries bytes and knows nothing of openraft. [`RaftWire`] is how we call; [`RaftEar`] is how we are
//! called.
//!
//! # Invariants
//!
//! * Nothing of this reaches a node whose certificate does not name the number that was dialled: two nodes under one
//!   number could make two majorities. The transport checks it, for both directions.
//! * A snapshot travels in parts of at most [`PART_BYTES_MAX`], so heartbeats do not wait behind it for long.

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::{codec, ids::NodeId, peer::PEER_MESSAGE_BYTES_MAX};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use serde::{Deserialize, Serialize};

use super::{
    snapshot::SnapshotMeta,
    types::{Peer, Types, Vote},
};
use crate::control::wire::BATCH_BYTES_MAX;

const FORMAT: u8 = 1;
/// Largest part of a snapshot, in bytes: half of what a message between nodes may have.
pub(super) const PART_BYTES_MAX: usize = 512 * 1024;
/// Entries sent in one message.
pub(super) const ENTRIES_MAX: u64 = 64;
/// Bytes of entries sent in one message, unless the first alone has more: two of the largest batches, or 64 of 8 KiB.
pub(super) const ENTRIES_BYTES: usize = 512 * 1024;
/// Largest message, in bytes: [`ENTRIES_BYTES`] or a part, and 128 KiB for votes, places of entries, and who takes part
/// (7 voters and a few learners with 8 addresses of 260 bytes each, twice while they change).
pub const MESSAGE_BYTES_MAX: usize = 640 * 1024;

const _: () = assert!(BATCH_BYTES_MAX <= ENTRIES_BYTES, "the largest batch must fit a message");
const _: () = assert!(MESSAGE_BYTES_MAX <= PEER_MESSAGE_BYTES_MAX, "a message must fit an envelope");

/// Why a peer gave no answer. Whether it acted is not known.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// There is no connection to it.
    #[error("the node cannot be reached")]
    Unreachable,
    /// The connection ended, or the time did, while we waited.
    #[error("the node gave no answer")]
    NoAnswer,
}

/// What a message can wait behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Heartbeats and votes: nothing.
    Beat,
    /// Entries of the log: each other.
    Entries,
    /// Parts of a snapshot: anything.
    Part,
}

/// Carries a message to another node and brings its answer.
#[async_trait]
pub trait RaftWire: Send + Sync + 'static {
    /// Sends `message` to the node `to`, found at `peer`. Dropping the future gives up waiting.
    ///
    /// # Errors
    /// [`WireError`]: openraft tries again.
    async fn call(&self, to: NodeId, peer: &Peer, urgency: Urgency, message: Bytes) -> Result<Bytes, WireError>;
}

/// Takes the messages of other nodes.
#[async_trait]
pub trait RaftEar: Send + Sync + 'static {
    /// Answers a message that came over a connection whose certificate names `from`. `None`: it makes no sense, or
    /// Raft has stopped here; the transport closes the stream.
    async fn hear(&self, from: NodeId, message: Bytes) -> Option<Bytes>;
}

/// A part of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) vote: Vote,
    pub(super) meta: SnapshotMeta,
    /// Where in the snapshot it belongs.
    pub(super) offset: u64,
    /// Size of the whole, in bytes.
    pub(super) total: u64,
    pub(super) bytes: Vec<u8>,
}

/// New variants go to the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    Part(Part),
}

/// New variants go to the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    /// The part was kept; the next one is expected.
    More,
    /// The part does not follow what was kept: start again.
    FromStart,
    /// The snapshot was whole; the vote is the receiver's.
    Installed(Vote),
}

impl Message {
    pub(super) fn to_bytes(&self) -> Result<Bytes, codec::CodecError> {
        codec::encode::<MESSAGE_BYTES_MAX>(FORMAT, self).map(Bytes::from)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, codec::CodecError> {
        codec::decode::<MESSAGE_BYTES_MAX, _>(FORMAT, bytes)
    }

    pub(super) fn urgency(&self) -> Urgency {
        match self {
            Self::Append(request) if request.entries.is_empty() => Urgency::Beat,
            Self::Vote(_) => Urgency::Beat,
            Self::Append(_) => Urgency::Entries,
            Self::Part(_) => Urgency::Part,
        }
    }

    /// The node that claims to speak, by the vote it shows.
    pub(super) fn speaker(&self) -> Option<u64> {
        let vote = match self {
            Self::Append(request) => request.vote,
            Self::Vote(request) => request.vote,
            Self::Part(part) => part.vote,
        };
        vote.leader_id().voted_for()
    }
}

impl Reply {
    pub(super) fn to_bytes(&self) -> Result<Bytes, codec::CodecError> {
        codec::encode::<MESSAGE_BYTES_MAX>(FORMAT, self).map(Bytes::from)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, codec::CodecError> {
        codec::decode::<MESSAGE_BYTES_MAX, _>(FORMAT, bytes)
    }
}

/// Reads bytes as what Raft says, with the requests in its entries, and as what it answers; whether they are either.
#[cfg(any(test, feature = "probe"))]
pub(crate) fn probe(bytes: &[u8]) -> bool {
    let message = codec::probe::<MESSAGE_BYTES_MAX, Message>(FORMAT, bytes);
    if let Some(message) = &message {
        let _ = (message.speaker(), message.urgency());
    }
    if let Some(Message::Append(request)) = &message {
        for entry in &request.entries {
            if let openraft::EntryPayload::Normal(batch) = &entry.payload {
                let _ = crate::control::wire::probe_requests(&batch.0);
            }
        }
    }
    message.is_some() || codec::probe::<MESSAGE_BYTES_MAX, Reply>(FORMAT, bytes).is_some()
}

/// Messages and answers, one with the requests `batch`, for [`probe`].
#[cfg(any(test, feature = "probe"))]
pub(crate) fn samples(batch: Vec<u8>) -> Vec<Bytes> {
    use super::types::{Batch, Entry, LogId};
    let vote = Vote::new_committed(3, 1);
    let log_id = LogId::new(openraft::CommittedLeaderId::new(3, 1), 9);
    let entry = Entry { log_id, payload: openraft::EntryPayload::Normal(Batch(batch)) };
    let append =
        AppendEntriesRequest { vote, prev_log_id: Some(log_id), entries: vec![entry], leader_commit: Some(log_id) };
    let part = Part { vote, meta: SnapshotMeta::default(), offset: 0, total: 4, bytes: b"part".to_vec() };
    let messages =
        [Message::Append(append), Message::Vote(VoteRequest::new(vote, Some(log_id))), Message::Part(part)];
    let replies = [
        Reply::Append(AppendEntriesResponse::HigherVote(vote)),
        Reply::Vote(VoteResponse { vote, vote_granted: true, last_log_id: Some(log_id) }),
        Reply::More,
        Reply::Installed(vote),
    ];
    let said = messages.iter().map(Message::to_bytes).chain(replies.iter().map(Reply::to_bytes));
    said.map(|bytes| bytes.expect("small")).collect()
}
