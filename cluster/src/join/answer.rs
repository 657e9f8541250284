//! What a joiner is answered.

use std::fmt;

use hubbub_protocol::ids::NodeId;
use serde::{Deserialize, Serialize};

use super::{desk::TokenFacts, request::kinds};
use crate::control::{Refusal, Role, VersionRange};

/// What a node is given when it becomes a member.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Its number.
    pub node: NodeId,
    /// See [`Member::election_slot`](crate::control::Member::election_slot).
    pub election_slot: u8,
    /// See [`Member::id_slot`](crate::control::Member::id_slot).
    pub id_slot: u16,
    /// What it may become.
    pub role: Role,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The roots it shall believe, DER.
    pub roots: Vec<Vec<u8>>,
    /// Members, with their addresses: those that are up first.
    pub members: Vec<(NodeId, Vec<String>)>,
    /// How many shards there are, as bits.
    pub shard_bits: u8,
    /// The cluster's number.
    pub cluster: u128,
    /// The sealing key, wrapped for the joiner; only for one that may vote.
    pub wrapped_sealing_key: Option<Vec<u8>>,
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome").field("node", &self.node).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Why a cluster does not admit a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefusal {
    /// It is unknown, used up, expired, or the proof does not hold: which one is not told.
    #[error("{}", Refusal::TokenRefused)]
    Token,
    /// The joiner speaks an older or a newer format.
    #[error(
        "this program speaks the cluster's formats {} to {}, and the cluster uses {cluster}: install the release \
         that the cluster runs", theirs.min, theirs.max
    )]
    Version {
        /// The joiner's.
        theirs: VersionRange,
        /// The one in use.
        cluster: u32,
    },
    /// Another member has the same name.
    #[error("a member has the name `{0}` already: choose another one with --name")]
    Name(String),
    /// Another member has the same data directory or key.
    #[error(
        "a member has the same {0} already: this directory was copied or used before, choose an empty --data-dir"
    )]
    Identity(String),
    /// The application does not hold together.
    #[error("the cluster cannot use what this node says of itself: its {0} is wrong")]
    Wrong(String),
    /// Any other rule of the cluster.
    #[error("the cluster does not admit this node: {0}")]
    Rule(Refusal),
    /// An election is under way, or a majority is away.
    #[error(
        "the cluster has no leader that can be reached: try again in a few seconds, or see `hubbub status` there"
    )]
    NoLeader,
    /// The leader could not sign.
    #[error("the leader cannot sign certificates ({0}): restore its `sealing.key`, or let another voter lead")]
    CannotSign(String),
    /// The one who asks for a new certificate asks with another key.
    #[error("the certificate of a member is renewed for the key it joined with alone")]
    OtherKey,
}

impl JoinRefusal {
    /// Whether asking again may help.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::NoLeader | Self::Rule(Refusal::OneJoinAnEntry))
    }

    pub(super) fn of(refusal: Refusal, name: &str, theirs: VersionRange) -> Self {
        match refusal {
            Refusal::TokenRefused => Self::Token,
            Refusal::Taken(what) if what == "name" => Self::Name(name.to_owned()),
            Refusal::Taken(what) => Self::Identity(what),
            Refusal::Wrong(what) => Self::Wrong(what),
            Refusal::Version(cluster) => Self::Version { theirs, cluster },
            other => Self::Rule(other),
        }
    }
}

/// The desk's answer to a knock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Judged(pub(super) Result<Welcome, JoinRefusal>);

/// A renewed certificate, and the roots of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Renewed(pub(super) Result<Vec<u8>, JoinRefusal>);

/// The tokens, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokensTold(pub(super) Result<Vec<TokenFacts>, JoinRefusal>);

kinds! {
    Judged = 61,
    Renewed = 63,
    TokensTold = 65,
}
