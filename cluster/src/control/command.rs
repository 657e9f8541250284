//! The changes that can be proposed, and what is answered.
//!
//! New variants go to the end: the number of a variant is what stands in the log.

use std::collections::BTreeMap;

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    shard::ShardId,
};
use serde::{Deserialize, Serialize};

use super::{
    member::{MemberState, NewMember, VersionRange},
    place::{Renewal, ShardMove},
    state::CaFacts,
    token::{Token, TokenId},
};

/// Names one request of one proposer, so that a retry after a lost answer is not carried out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The proposer, by a random number it keeps as long as it lives.
    pub proposer: u128,
    /// Counts its requests from 1; it waits for one before it sends the next.
    pub n: u64,
}

/// A command and the name of the request it came with, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `None` for commands that do no harm when repeated.
    pub id: Option<RequestId>,
    /// The change.
    pub command: Command,
}

/// A change to what the cluster agrees on. Times are the proposer's, in Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Founds the cluster; its node is [`FOUNDER`](super::member::FOUNDER) and owns every shard at epoch 1.
    Found { cluster: u128, shard_bits: u8, version: u32, ca: CaFacts, founder: NewMember },
    /// Admits a node whose proof the leader has checked. A repeat with the same key answers the same number.
    Join { token: TokenId, node: NewMember, now_ms: u64 },
    /// A process of a member has started.
    Register { node: NodeId, incarnation: u64, addresses: Vec<String>, versions: VersionRange },
    /// A member was found to be something else. Believed only of the named incarnation.
    SetState { node: NodeId, incarnation: u64, state: MemberState },
    /// Ends a membership for ever and revokes the certificate. The node must own nothing.
    Remove { node: NodeId },
    /// Makes a token.
    CreateToken { id: TokenId, token: Token, now_ms: u64 },
    /// Takes a token back.
    DropToken { id: TokenId },
    /// Gives shards to nodes at fresh epochs, at once: for orphans, and for a node that has started again.
    Assign { moves: Vec<ShardMove> },
    /// Tells the owners to hand shards over.
    BeginMoves { moves: Vec<ShardMove> },
    /// The owner has let go, or has been silent for too long: the owner to be gets the shard at the next epoch.
    FinishMove { shard: ShardId, epoch: Epoch },
    /// The shard stays where it is after all.
    CancelMove { shard: ShardId, epoch: Epoch },
    /// Changes settings, if nobody else has in the meantime; `None` takes one away.
    Configure { version: u64, changes: BTreeMap<String, Option<String>> },
    /// Keeps its number from being given again. Nobody has ever proposed it, and it is refused.
    Unused,
    /// Names a database. A new generation says that it may have lost its newest commits.
    SetCell { cell: u16, reference: String, generation: u64 },
    /// Lets every node use the formats of `version`, for good.
    Finalize { version: u32 },
    /// The same owner activates these shards anew, above epochs that a database holds.
    Renew { node: NodeId, shards: Vec<Renewal> },
    /// Many of [`Command::FinishMove`].
    FinishMoves { shards: Vec<(ShardId, Epoch)> },
    /// A member is asked to hand over everything it orders, or asked back.
    Leave { node: NodeId, leaving: bool },
}

impl Command {
    /// The format version that brought this command. One that is newer than the cluster's is refused, so that a
    /// node of the release before never meets a command it does not know.
    #[must_use]
    pub const fn since(&self) -> u32 {
        1
    }
}

/// What a command has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was carried out.
    Done,
    /// The node is a member under this number, with this election slot.
    Joined { node: NodeId, election_slot: u8 },
    /// This many of the moves were made; the others were out of date or went to a node that takes none.
    Moved { moves: u32 },
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Only [`Command::Found`] can come first.
    #[error("there is no cluster yet: run `hubbub init` on its first node")]
    NotFounded,
    /// It can come only once.
    #[error("this cluster has been founded already")]
    Founded,
    /// The proposer has sent a later request since.
    #[error("a later request of the same proposer was answered already")]
    OutOfDate,
    /// No such member; it may have been removed.
    #[error("node {0} is not a member: a removed node joins again with a new token and an empty data directory")]
    NoSuchNode(NodeId),
    /// Said of a process that has been started again since.
    #[error("node {node} has been started again since: its incarnation is {incarnation}")]
    OldIncarnation { node: NodeId, incarnation: u64 },
    /// See [`MemberState::may_become`].
    #[error("a node that is {from:?} cannot become {to:?}")]
    NoSuchStep { from: MemberState, to: MemberState },
    /// Shards are moved away first.
    #[error("node {node} still owns {shards} shards: drain it first")]
    OwnsShards { node: NodeId, shards: u32 },
    /// Nobody could lead after that.
    #[error("the last member cannot be removed")]
    LastMember,
    /// The token is unknown, used up, expired or for a lesser role: which one is not told to who knocks.
    #[error("this token admits nobody: make a new one with `hubbub token create`")]
    TokenRefused,
    /// The id of a new token is taken.
    #[error("a token with this id exists already")]
    TokenExists,
    /// Another member has it.
    #[error("a member has the same {0} already")]
    Taken(String),
    /// A value is out of its bounds.
    #[error("its {0} is wrong")]
    Wrong(String),
    /// A bound is reached.
    #[error("there are as many {0} as there may be")]
    TooMany(String),
    /// The node, or one of the members, does not speak it.
    #[error("not every node speaks format version {0}")]
    Version(u32),
    /// Somebody has changed the settings since.
    #[error("the settings have been changed since: they are at version {0}")]
    ConfigChanged(u64),
    /// The shard is at another epoch, not on its way, or there is no such shard.
    #[error("the shard is not at that epoch, or not on its way")]
    NotMoving,
    /// The log index of an entry is the number of the node that joins in it.
    #[error("one entry of the log can admit one node only: try again")]
    OneJoinAnEntry,
}
