//! How nodes reach each other: [`Transport`], over QUIC ([`QuicTransport`]) or inside one process ([`MemoryNetwork`]).
//!
//! Both keep the contract of [`PeerBus`]; `tests/transport.rs` holds them to it with one suite. They share all but the
//! wire: a link to a peer is a set of bounded queues, one for each lane, and a table of asks that wait;
//! `links` keeps one link to each peer and tells the inbox when it comes and goes; `incoming` hands what arrives
//! to the inbox in the order of its lane.
//!
//! # Invariants
//!
//! * A frame is taken only from a connection whose certificate names its sender, and the sender handed to the inbox is
//!   that name: a frame has no field to claim another.
//! * Every queue has a bound in [`limits`]; a sender past it is told, and never waits.
//! * To each peer there is at most one link (and one for bulk). `Up` of the next comes after `Down` of the last.
//! * No bytes of a peer make a node panic: it closes the link, with one sentence that says why.
//!
//! # Failure
//!
//! A link that breaks drops what was queued on it and ends its asks with [`AskError::Lost`]. It is dialled again, at
//! once and then with growing pauses, for as long as the peer is known.
//!
//! [`AskError::Lost`]: hubbub_protocol::peer::AskError::Lost

mod asks;
mod frame;
mod incoming;
pub mod limits;
mod link;
mod links;
mod memory;
#[cfg(any(test, feature = "probe"))]
pub(crate) mod probe;
mod queue;
mod quic;
mod track;

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, PeerBus},
};

pub use memory::{MemoryNetwork, MemoryTransport};
pub use quic::{HelloRefusal, PeerFault, QuicConfig, QuicTransport, TransportError};

/// A [`PeerBus`] and what the node does with it: whom to be linked to, and the end.
#[async_trait]
pub trait Transport: PeerBus {
    /// Be linked to `peer`, which listens at one of `addresses`, from now on. Known already: take the new addresses.
    fn know(&self, peer: NodeId, addresses: Vec<SocketAddr>);

    /// Be linked to `peer` no longer. It may still dial.
    fn forget(&self, peer: NodeId);

    /// Refuse `peer` for ever, and end its links now.
    fn revoke(&self, peer: NodeId);

    /// Waits until `peer` is linked; `false` when it is not within `timeout`.
    async fn linked(&self, peer: NodeId, timeout: Duration) -> bool;

    /// How each known or linked peer stands, by number.
    fn peers(&self) -> Vec<PeerStatus>;

    /// How often a message was not taken because its class was full, by class, in the order of [`Class::ALL`].
    fn refused(&self) -> [u64; Class::ALL.len()];

    /// Ends all links and takes no more. What is queued is dropped: drain first.
    async fn close(&self);
}

/// What links have carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// How long a round trip takes, while there is a link that knows.
    pub rtt: Option<Duration>,
    /// Bytes sent, headers of QUIC included.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets lost on the way to the peer, and sent again where that matters.
    pub lost_packets: u64,
}

impl Carried {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            rtt: self.rtt.or(other.rtt),
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
            lost_packets: self.lost_packets + other.lost_packets,
        }
    }
}

/// How the link to a peer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// Whether there is a link.
    pub linked: bool,
    /// Bytes that wait for it, over all classes.
    pub waiting_bytes: usize,
    /// Bytes that wait for it, by class, in the order of [`Class::ALL`].
    pub waiting_by_class: [usize; Class::ALL.len()],
    /// What its links have carried since this node began to know it.
    pub carried: Carried,
    /// Why it could not be linked the last time that was tried, as a sentence; `None` once it is.
    pub fault: Option<String>,
}
