//! The greeting, after TLS and before any track: who I am, which run, which versions I read.
//!
//! TLS 1.3 lets a dialler believe itself connected before its own certificate was looked at; the welcome is what says
//! that it was.

use hubbub_protocol::{codec, ids::NodeId, peer::PEER_VERSION};
use quinn::{RecvStream, SendStream};
use serde::{Deserialize, Serialize};

use super::super::limits::HELLO_BYTES_MAX;
use super::PeerFault;

/// The greeting's own version; it must stay readable for every later one.
const HELLO_VERSION: u8 = 1;

/// What both say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The cluster; the certificate says the same.
    pub(super) cluster: String,
    /// The node; the certificate says the same.
    pub(super) node: NodeId,
    /// A number that no other run of the node has.
    pub(super) incarnation: u64,
    /// Oldest and newest peer version it reads.
    pub(super) versions: (u8, u8),
}

/// Why the dialled node declines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HelloRefusal {
    /// The greeting names another cluster than the certificate.
    #[error("the greeting names a cluster other than the certificate's")]
    Cluster,
    /// The greeting names another node than the certificate.
    #[error("the greeting claims to be node {claimed}, and the certificate names node {certified}")]
    Node {
        /// What it said.
        claimed: NodeId,
        /// What it showed.
        certified: NodeId,
    },
    /// No version in common.
    #[error("versions {} to {} meet {} to {}: finish the upgrade of the older node", theirs.0, theirs.1, ours.0, ours.1)]
    Versions {
        /// The dialler's.
        theirs: (u8, u8),
        /// The dialled node's.
        ours: (u8, u8),
    },
    /// Another link between the two is kept.
    #[error("another link between the two nodes is kept")]
    OtherKept,
    /// Removed from the cluster.
    #[error("this node was removed from the cluster: join it anew, with an empty data directory")]
    Revoked,
}

impl Hello {
    pub(super) fn new(cluster: String, node: NodeId, incarnation: u64) -> Self {
        Self { cluster, node, incarnation, versions: (PEER_VERSION, PEER_VERSION) }
    }

    /// Looks at what a peer said, beside what its certificate says.
    pub(super) fn judge(&self, theirs: &Self, certified: NodeId) -> Result<(), HelloRefusal> {
        if theirs.cluster != self.cluster {
            return Err(HelloRefusal::Cluster);
        }
        if theirs.node != certified {
            return Err(HelloRefusal::Node { claimed: theirs.node, certified });
        }
        let (oldest, newest) = (self.versions.0.max(theirs.versions.0), self.versions.1.min(theirs.versions.1));
        if oldest > newest {
            return Err(HelloRefusal::Versions { theirs: theirs.versions, ours: self.versions });
        }
        Ok(())
    }
}

/// Says `value`, and nothing more.
pub(super) async fn say(stream: &mut SendStream, value: &impl Serialize) -> Result<(), PeerFault> {
    let broken = |error: String| PeerFault::Broken(error);
    let bytes =
        codec::encode::<HELLO_BYTES_MAX>(HELLO_VERSION, value).map_err(|error| broken(error.to_string()))?;
    stream.write_all(&bytes).await.map_err(|error| broken(error.to_string()))?;
    stream.finish().map_err(|error| broken(error.to_string()))
}

/// Hears one value, to the end of the stream.
pub(super) async fn hear<T: serde::de::DeserializeOwned>(stream: &mut RecvStream) -> Result<T, PeerFault> {
    let bytes = stream.read_to_end(HELLO_BYTES_MAX).await.map_err(|error| match error {
        quinn::ReadToEndError::Read(quinn::ReadError::ConnectionLost(error)) => error.into(),
        other => PeerFault::Violation(format!("the greeting cannot be read: {other}")),
    })?;
    codec::decode::<HELLO_BYTES_MAX, T>(HELLO_VERSION, &bytes)
        .map_err(|error| PeerFault::Violation(format!("the greeting cannot be read: {error}")))
}

/// Reads bytes as a greeting and as the answer to one; whether they are either.
#[cfg(any(test, feature = "probe"))]
pub(in crate::transport) fn probe(bytes: &[u8]) -> bool {
    let greeting = codec::probe::<HELLO_BYTES_MAX, Hello>(HELLO_VERSION, bytes).is_some();
    let welcome = codec::probe::<HELLO_BYTES_MAX, Result<Hello, HelloRefusal>>(HELLO_VERSION, bytes).is_some();
    greeting || welcome
}

/// A greeting and an answer, for [`probe`].
#[cfg(any(test, feature = "probe"))]
pub(in crate::transport) fn samples() -> Vec<Vec<u8>> {
    let hello = Hello::new("c1".into(), NodeId(2), 3);
    let refused: Result<Hello, HelloRefusal> = Err(HelloRefusal::Versions { theirs: (2, 3), ours: (1, 1) });
    let greeting = codec::encode::<HELLO_BYTES_MAX>(HELLO_VERSION, &hello);
    let answer = codec::encode::<HELLO_BYTES_MAX>(HELLO_VERSION, &refused);
    [greeting, answer].into_iter().map(|bytes| bytes.expect("small")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_greeting_are_those_that_older_nodes_wrote() {
        let hello = Hello::new("c1".into(), NodeId(2), 3);
        let bytes = codec::encode::<HELLO_BYTES_MAX>(HELLO_VERSION, &hello).expect("small");
        let mut golden = vec![1, 2, 0, 0, 0, 0, 0, 0, 0, b'c', b'1'];
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(bytes, golden);
        let refused: Result<Hello, HelloRefusal> = Err(HelloRefusal::OtherKept);
        let bytes = codec::encode::<HELLO_BYTES_MAX>(HELLO_VERSION, &refused).expect("small");
        assert_eq!(bytes, [1, 1, 0, 0, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn a_greeting_that_the_certificate_contradicts_is_declined() {
        let ours = Hello::new("c1".into(), NodeId(2), 3);
        let theirs = Hello::new("c1".into(), NodeId(5), 4);
        assert_eq!(ours.judge(&theirs, NodeId(5)), Ok(()));
        let claims = HelloRefusal::Node { claimed: NodeId(5), certified: NodeId(6) };
        assert_eq!(ours.judge(&theirs, NodeId(6)), Err(claims));
        let newer = Hello { versions: (2, 3), ..theirs.clone() };
        let versions = HelloRefusal::Versions { theirs: (2, 3), ours: (1, 1) };
        assert_eq!(ours.judge(&newer, NodeId(5)), Err(versions));
        assert_eq!(ours.judge(&Hello { cluster: "c2".into(), ..theirs }, NodeId(5)), Err(HelloRefusal::Cluster));
    }
}
