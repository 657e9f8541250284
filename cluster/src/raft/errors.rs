//! What can go wrong with Raft on a node, by what was asked of it.

use hubbub_protocol::ids::NodeId;

use super::{log_store::LogStoreError, snapshot::SnapshotError, types::Peer};

/// Why Raft does not start here.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogStoreError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An old snapshot was put back, or it was deleted.
    #[error(
        "the Raft log starts after entry {purged}, which the snapshot does not reach: \
         remove this node and let it join again with an empty data directory"
    )]
    SnapshotMissing {
        /// The last entry that only the snapshot can have.
        purged: u64,
    },
    /// openraft will not run.
    #[error("Raft does not start: {0}")]
    Raft(String),
}

/// Why a read cannot be vouched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Ask there.
    #[error("this node does not lead the cluster")]
    NotLeader {
        /// Who does, as far as this node knows, and how to reach it.
        leader: Option<(NodeId, Peer)>,
    },
    /// We may have been replaced without knowing.
    #[error("no majority of the voters has answered in time")]
    NoQuorum,
    /// See [`ProposeError::Stopped`](super::ProposeError::Stopped).
    #[error("Raft has stopped on this node: see its log for the cause")]
    Stopped,
}

/// Why a change of voters was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// One at a time.
    #[error("another change of the voters is under way")]
    InProgress,
    /// Ask there.
    #[error("this node does not lead the cluster")]
    NotLeader,
    /// It may still be made: look at [`Standing`](super::Standing).
    #[error("the change of the voters was not confirmed in time")]
    Unknown,
    /// openraft's word for it.
    #[error("the voters cannot be changed so: {0}")]
    Refused(String),
}
