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
use hubbub_protocol::{codec, ids::NodeId};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use serde::{Deserialize, Serialize};

use super::{
    snapshot::SnapshotMeta,
    types::{Peer, Types, Vote},
};

const FORMAT: u8 = 1;
/// Largest part of a snapshot, in bytes.
pub(super) const PART_BYTES_MAX: usize = 1024 * 1024;
/// Entries sent in one message. 64 of the largest batches are 16 MiB; usual ones have a few KiB.
pub(super) const ENTRIES_MAX: u64 = 64;
/// Largest message, in bytes: 64 entries with the largest batches, and their heads.
pub const MESSAGE_BYTES_MAX: usize = 17 * 1024 * 1024;

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

/// Carries a message to another node and brings its answer.
#[async_trait]
pub trait RaftWire: Send + Sync + 'static {
    /// Sends `message` to the node `to`, found at `peer`. Dropping the future gives up waiting.
    ///
    /// # Errors
    /// [`WireError`]: openraft tries again.
    async fn call(&self, to: NodeId, peer: &Peer, message: Bytes) -> Result<Bytes, WireError>;
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
