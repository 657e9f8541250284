//! Why a message to another node has no answer, and what may have become of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Lane;
use crate::ids::NodeId;

/// Why a peer did not carry out an ask. It did nothing. Grows only at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// It has all it can do.
    #[error("the peer is busy; again after {retry_after_ms} ms")]
    Busy {
        /// When to ask again, in milliseconds.
        retry_after_ms: u32,
    },
    /// It does not know this kind of message: it runs an older version.
    #[error("the peer does not know this kind of message; finish its upgrade")]
    UnknownKind,
    /// It could not read the message.
    #[error("the peer could not read the message")]
    Malformed,
    /// The time to answer was over when the ask arrived.
    #[error("the ask reached the peer after its deadline")]
    Late,
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no link to the node now.
    #[error("no link to node {node} now")]
    Unreachable {
        /// Whom it was for.
        node: NodeId,
    },
    /// The lane holds as much as it may.
    #[error("the way to node {node} is full; again after {} ms", retry_after.as_millis())]
    Busy {
        /// Whom it was for.
        node: NodeId,
        /// When to send again.
        retry_after: Duration,
    },
    /// The message is larger than the lane, or the datagram, takes.
    #[error("a message of {bytes} bytes to another node; at most {bytes_max} go")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The class has no lane of this number.
    #[error("no lane {} in class {:?}", lane.number, lane.class)]
    NoLane {
        /// The lane asked for.
        lane: Lane,
    },
}

/// Why an ask has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The peer says that it did nothing.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No answer in time.
    #[error("node {node} did not answer within {} ms", waited.as_millis())]
    TimedOut {
        /// Who was asked.
        node: NodeId,
        /// How long we waited.
        waited: Duration,
    },
    /// The link broke before the answer came.
    #[error("the link to node {node} broke before it answered")]
    Lost {
        /// Who was asked.
        node: NodeId,
    },
}

/// What may have become of an ask without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing happened: ask again, or ask another.
    Nothing,
    /// It may have been carried out: repeat only what is safe to repeat.
    Unknown,
}

impl AskError {
    /// Whether the ask may have been carried out.
    #[must_use]
    pub const fn aftermath(&self) -> Aftermath {
        match self {
            Self::Send(_) | Self::Rejected(_) => Aftermath::Nothing,
            Self::TimedOut { .. } | Self::Lost { .. } => Aftermath::Unknown,
        }
    }
}
