//! The types openraft is told to use.

use serde::{Deserialize, Serialize};

use crate::control::{Answer, Request, wire};

/// What one entry of the log carries: a batch of requests, as versioned bytes. They are read only when applied, so a
/// node can store and pass on what it does not understand, and stops when it would have to act on it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch(pub(super) Vec<u8>);

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} bytes)", self.0.len())
    }
}

impl Batch {
    /// A batch of `requests`.
    ///
    /// # Errors
    /// They are more than [`wire::BATCH_BYTES_MAX`].
    pub(super) fn of(requests: &[Request]) -> Result<Self, hubbub_protocol::codec::CodecError> {
        wire::requests_to_bytes(requests).map(Self)
    }
}

/// The answers to one entry's requests, in order; none for entries of Raft itself.
pub(super) type Answers = Vec<Answer>;

/// How a node that takes part in Raft is reached: its addresses as `host:port`. The certificate behind them must name
/// the node that was dialled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Peer {
    /// In the order to try them.
    pub addresses: Vec<String>,
}

openraft::declare_raft_types!(
    #[allow(unreachable_pub, reason = "the macro makes it pub")]
    /// Our Raft: batches of requests in, their answers out, snapshots as bytes.
    pub(super) Types:
        D = Batch,
        R = Answers,
        NodeId = u64,
        Node = Peer,
        Entry = openraft::Entry<Types>,
        SnapshotData = Vec<u8>,
        AsyncRuntime = openraft::TokioRuntime,
);

/// An entry of the log.
pub(super) type Entry = openraft::Entry<Types>;
/// The place of an entry: term, leader and index.
pub(super) type LogId = openraft::LogId<u64>;
/// A vote, or a leader's claim.
pub(super) type Vote = openraft::Vote<u64>;
/// A failure of the log or the snapshot; it ends Raft on this node.
pub(super) type StorageError = openraft::StorageError<u64>;
