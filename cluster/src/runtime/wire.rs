//! What the runtimes of two nodes say to each other: kinds 1 to 99 of [`Envelope`](hubbub_protocol::peer::Envelope).
//!
//! Enums and structs grow at their end only; `wire_tests.rs` pins their bytes.

use std::collections::BTreeSet;

use hubbub_protocol::{ids::NodeId, peer::PeerMessage, shard::ShardId};
use serde::{Deserialize, Serialize};

use super::map::{Cursor, Piece};
use crate::control::{Answer, Request};
pub(super) use crate::raft::Leads;

/// Kinds below this are the runtime's.
pub const RUNTIME_KINDS_END: u16 = 100;

/// A message of Raft's own, as its bytes.
pub(super) const RAFT_CALL: u16 = 1;
/// What Raft answers, as its bytes.
pub(super) const RAFT_REPLY: u16 = 2;

macro_rules! kinds {
    ($($name:ident = $kind:literal;)*) => {
        $(impl PeerMessage for $name { const KIND: u16 = $kind; })*

        /// Whether it is a well-formed message of the runtime's.
        #[cfg(any(test, feature = "probe"))]
        pub(crate) fn probe(envelope: &hubbub_protocol::peer::Envelope) -> bool {
            match envelope.kind {
                RAFT_CALL | RAFT_REPLY => crate::raft::probe(&envelope.body),
                $($kind => envelope.probe::<$name>(),)*
                _ => false,
            }
        }
    };
}

kinds! {
    Propose = 3;
    Proposed = 4;
    Heartbeat = 5;
    HeartbeatAnswer = 6;
    Ping = 7;
    Piece = 8;
    MapWanted = 9;
    ShardCosts = 10;
}

/// Carry this out, if you lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Propose {
    pub(super) request: Request,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proposed {
    Answered(Answer),
    NotLeader(Leads),
    /// It may be carried out yet.
    Unknown,
    Busy,
    TooLarge,
    Stopped,
}

/// How busy a node is, by its own measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// Sessions it holds.
    pub sessions: u32,
    /// Messages it stores in a second.
    pub appends_per_s: u32,
    /// Messages it hands to sessions in a second.
    pub deliveries_per_s: u32,
}

/// How a node is, for the leader. Holds at most 128 peers: a node that misses more is itself cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) incarnation: u64,
    pub(super) map_version: u64,
    pub(super) storage_ok: bool,
    pub(super) unreachable: Vec<NodeId>,
    pub(super) load: Load,
}

/// Who takes part in Raft.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) voters: BTreeSet<NodeId>,
    pub(super) learners: BTreeSet<NodeId>,
}

/// What the leader says to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HeartbeatAnswer {
    /// A majority has confirmed that we led after it had arrived.
    Confirmed { map_version: u64, group: Group },
    /// Ask there.
    NotLeader(Leads),
    /// The facts name another incarnation: register, or end, for another process runs under your number.
    OtherIncarnation { incarnation: u64 },
    /// You are no member, as far as this leader knows.
    Stranger,
}

/// A sign of life, with the news that everyone should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ping {
    pub(super) leads: Leads,
    pub(super) map_version: u64,
}

/// Tell what changed after `from`; the answer is a [`Piece`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MapWanted {
    pub(super) from: u64,
    pub(super) at: Cursor,
}

/// What the dearest of the sender's shards cost: see [`balance`](crate::balance).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardCosts {
    pub(super) costs: Vec<(ShardId, u32)>,
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
