//! How the nodes of a cluster speak: the port [`PeerBus`] that actors send by, [`PeerInbox`] that they receive by.
//!
//! What is sent is an [`Envelope`]: the kind of a message, its bytes, and the version of the shard map its sender
//! acted on. [`PeerMessage`] ties a type to its kind. An envelope rides a [`Lane`] of a [`Class`].
//!
//! # Invariants
//!
//! * One lane from one node to another keeps its order; different lanes do not wait for each other.
//! * Nothing is delivered twice. While a link holds, nothing is dropped; when it breaks, what was under way is lost
//!   and the inbox hears [`PeerChange::Down`]: whoever needs more (relays, the router) heals from the log.
//! * An envelope comes with the node that its sender's certificate names.
//! * A whisper may be lost, and may overtake; nothing may depend on it.
//!
//! # Failure
//!
//! Sending never waits: past a bound it answers [`SendError::Busy`]. [`AskError::aftermath`] says whether an ask that
//! has no answer may have been carried out.

mod alone;
mod error;

use std::{fmt::Debug, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    codec::{self, CodecError},
    ids::NodeId,
};

pub use alone::Alone;
pub use error::{Aftermath, AskError, Rejection, SendError};

/// The version of what nodes send each other. A reader takes this one alone.
pub const PEER_VERSION: u8 = 1;

/// Largest message between nodes, packed: 1 MiB, the most that one group commit carries.
pub const PEER_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A future that a port hands out.
pub type Eventually<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an envelope is for: how urgent it is and how much of it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Consensus: elections, heartbeats, log entries. Before everything else.
    Raft,
    /// Placement, joins, handoffs, subscriptions.
    Control,
    /// What clients send, on its way to the room's owner.
    Append,
    /// What rooms fan out to the nodes that follow them.
    Deliver,
    /// History, snapshots: large, and in no hurry. On a connection of its own.
    Bulk,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Self; 5] = [Self::Raft, Self::Control, Self::Append, Self::Deliver, Self::Bulk];

    /// Number of lanes: 8 where rooms share a class, so that one room's burst holds up an eighth of the others.
    /// Raft has 2, so that heartbeats (lane 0) do not wait behind log entries (lane 1).
    #[must_use]
    pub const fn lanes(self) -> u8 {
        match self {
            Self::Raft => 2,
            Self::Control | Self::Bulk => 1,
            Self::Append | Self::Deliver => 8,
        }
    }

    /// The lane of whatever hashes to `hash`: a room keeps its lane, so it keeps its order.
    #[must_use]
    pub const fn lane(self, hash: u64) -> Lane {
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u8")]
        Lane { class: self, number: (hash % self.lanes() as u64) as u8 }
    }
}

/// An ordered way from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// What it carries.
    pub class: Class,
    /// Which of the class's lanes, below [`Class::lanes`].
    pub number: u8,
}

/// A type that nodes send each other.
pub trait PeerMessage: Serialize + DeserializeOwned {
    /// Its number on the wire, for ever.
    const KIND: u16;
}

/// A message between nodes, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Which [`PeerMessage`] the body is.
    pub kind: u16,
    /// The version of the shard map that the sender acted on; a receiver with an older map refreshes it first.
    pub map_version: u64,
    /// The message, encoded. Shared, not copied, between the nodes it goes to.
    pub body: Bytes,
}

impl Envelope {
    /// Packs `message`.
    ///
    /// # Errors
    /// [`CodecError::Encode`] beyond [`PEER_MESSAGE_BYTES_MAX`].
    pub fn pack<M: PeerMessage>(map_version: u64, message: &M) -> Result<Self, CodecError> {
        Ok(Self {
            kind: M::KIND,
            map_version,
            body: codec::encode::<PEER_MESSAGE_BYTES_MAX>(PEER_VERSION, message)?.into(),
        })
    }

    /// Opens it as an `M`.
    ///
    /// # Errors
    /// [`Rejection::UnknownKind`] when it is something else, [`Rejection::Malformed`] when it cannot be read.
    pub fn open<M: PeerMessage>(&self) -> Result<M, Rejection> {
        if self.kind != M::KIND {
            return Err(Rejection::UnknownKind);
        }
        codec::decode::<PEER_MESSAGE_BYTES_MAX, M>(PEER_VERSION, &self.body).map_err(|_| Rejection::Malformed)
    }

    /// Whether it is a well-formed `M`, which then is written and read back: see [`codec::probe`].
    ///
    /// # Panics
    /// As [`codec::probe`].
    #[must_use]
    pub fn probe<M: PeerMessage>(&self) -> bool {
        self.kind == M::KIND && codec::probe::<PEER_MESSAGE_BYTES_MAX, M>(PEER_VERSION, &self.body).is_some()
    }
}

/// What became of the link to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerChange {
    /// There is a link, new and empty: subscribe again, ask for what was missed.
    Up,
    /// The link is gone, with what was under way on it.
    Down,
}

/// Sends to other nodes.
pub trait PeerBus: Send + Sync + Debug {
    /// The node this process is.
    fn this_node(&self) -> NodeId;

    /// Puts `envelope` on `lane` to `to`. Does not wait, and says nothing of its arrival.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was put.
    fn cast(&self, to: NodeId, lane: Lane, envelope: Envelope) -> Result<(), SendError>;

    /// Puts `envelope` on `lane`, in order with its casts, before it returns; the future is the answer.
    /// Dropping the future does not take the ask back.
    ///
    /// # Errors
    /// [`AskError`]; its [`aftermath`](AskError::aftermath) says whether the peer may have acted.
    fn ask(
        &self,
        to: NodeId,
        lane: Lane,
        envelope: Envelope,
        timeout: Duration,
    ) -> Eventually<Result<Envelope, AskError>>;

    /// Sends `envelope` as a datagram: presence, typing. It may be lost, and is dropped before anything waits for it.
    ///
    /// # Errors
    /// [`SendError::Unreachable`], or [`SendError::TooLarge`] beyond what one packet holds (about 1,100 bytes).
    fn whisper(&self, to: NodeId, envelope: Envelope) -> Result<(), SendError>;
}

/// Takes what other nodes send. Its methods are called in the order of the lane; different lanes call at once.
pub trait PeerInbox: Send + Sync + Debug {
    /// Takes a cast. The lane's next envelope waits until the future is done: that is the backpressure.
    fn cast(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<()>;

    /// Takes an ask: it is begun, in lane order, before this returns; the future is the answer, and answers may
    /// overtake each other. Dropped when the asker's deadline is over.
    fn ask(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<Result<Envelope, Rejection>>;

    /// Takes a whisper. It must not block.
    fn whisper(&self, from: NodeId, envelope: Envelope);

    /// Hears what became of the link to `node`. `Up` comes before the link's first envelope, `Down` after its last.
    fn changed(&self, node: NodeId, change: PeerChange);
}
