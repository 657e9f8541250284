//! Why there is no link to a peer: one sentence for the operator, that names the remedy.

use std::{io, net::SocketAddr};

use quinn::{ConnectionError, VarInt};

use super::super::incoming::Violation;
use super::hello::HelloRefusal;

/// Codes of a close between nodes: the node stops; another link is kept; the peer broke the rules; no welcome.
pub(super) const CLOSE_LEAVING: u32 = 1;
pub(super) const CLOSE_OTHER_KEPT: u32 = 2;
pub(super) const CLOSE_VIOLATION: u32 = 3;
pub(super) const CLOSE_NOT_WELCOME: u32 = 4;
pub(super) const CLOSE_OVER: u32 = 5;

/// TLS alerts, RFC 8446 section 6.2; QUIC adds 0x100 (RFC 9001 section 4.8).
const ALERT_BAD_CERTIFICATE: u64 = 0x100 + 42;
const ALERT_REVOKED: u64 = 0x100 + 44;
const ALERT_EXPIRED: u64 = 0x100 + 45;
const ALERT_UNKNOWN_CA: u64 = 0x100 + 48;
const ALERT_CERTIFICATE_REQUIRED: u64 = 0x100 + 116;
const ALERT_NO_PROTOCOL: u64 = 0x100 + 120;

/// Why the transport does not begin.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {listen} (UDP): is another node running there?")]
    Listen {
        /// Where it was to listen.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificate is of another cluster, or, on renewal, of another node.
    #[error("the certificate does not name this node of this cluster")]
    NotOurCertificate,
    /// The key does not fit the certificate.
    #[error("the key and the certificate cannot be used")]
    Tls(#[source] rustls::Error),
    /// The crypto provider lacks what QUIC needs.
    #[error("the crypto provider has no cipher that QUIC begins with")]
    NoCipher,
}

/// Why a peer is not linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// No address is known.
    #[error("no address of it is known")]
    NoAddress,
    /// Nothing answered.
    #[error("nothing answers at its address: is it running, and is UDP let through?")]
    Silent,
    /// One side's certificate comes from another authority.
    #[error("{} shows a certificate of another cluster", side(*.ours))]
    OtherCluster {
        /// It is this node's, says the peer.
        ours: bool,
    },
    /// Another node answers at the address, or the certificate names none.
    #[error("{} shows a certificate for another name: is the address that of another node?", side(*.ours))]
    OtherNode {
        /// It is this node's, says the peer.
        ours: bool,
    },
    /// Removed from the cluster.
    #[error("{} was removed from the cluster: join it anew, with an empty data directory", side(*.ours))]
    Revoked {
        /// It is this node, says the peer.
        ours: bool,
    },
    /// Out of date, or a clock is wrong.
    #[error("{} shows a certificate that is out of date: compare the clocks, then renew it", side(*.ours))]
    Expired {
        /// It is this node's, says the peer.
        ours: bool,
    },
    /// No certificate at all.
    #[error("{} shows no certificate", side(*.ours))]
    NoCertificate {
        /// It is this node, says the peer.
        ours: bool,
    },
    /// It speaks something else.
    #[error("it does not speak the protocol of this version: finish the upgrade of both nodes")]
    OtherProtocol,
    /// It declined the greeting.
    #[error(transparent)]
    NotWelcome(#[from] HelloRefusal),
    /// It sent what no node sends.
    #[error("{0}")]
    Violation(String),
    /// Anything else.
    #[error("the link broke: {0}")]
    Broken(String),
}

const fn side(ours: bool) -> &'static str {
    if ours { "this node" } else { "it" }
}

impl From<Violation> for PeerFault {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation.to_string())
    }
}

impl From<ConnectionError> for PeerFault {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::Silent,
            ConnectionError::VersionMismatch => Self::OtherProtocol,
            // What we found fault with is the peer's; what the peer closed for is ours.
            ConnectionError::TransportError(found) => {
                alert(found.code.into(), false).unwrap_or_else(|| Self::Broken(found.to_string()))
            }
            ConnectionError::ConnectionClosed(close) => {
                alert(close.error_code.into(), true).unwrap_or_else(|| Self::Broken(close.to_string()))
            }
            ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(CLOSE_VIOLATION) => {
                Self::Violation(String::from_utf8_lossy(&close.reason).into_owned())
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

fn alert(code: u64, ours: bool) -> Option<PeerFault> {
    Some(match code {
        ALERT_UNKNOWN_CA => PeerFault::OtherCluster { ours },
        ALERT_BAD_CERTIFICATE => PeerFault::OtherNode { ours },
        ALERT_REVOKED => PeerFault::Revoked { ours },
        ALERT_EXPIRED => PeerFault::Expired { ours },
        ALERT_CERTIFICATE_REQUIRED => PeerFault::NoCertificate { ours },
        ALERT_NO_PROTOCOL => PeerFault::OtherProtocol,
        _ => return None,
    })
}
