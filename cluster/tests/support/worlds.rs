//! QUIC on loopback, and memory.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hubbub_cluster::{
    identity::{Authority, Credentials, Trust},
    transport::{MemoryNetwork, MemoryTransport, QuicConfig, QuicTransport, Transport, TransportError},
};
use hubbub_protocol::{
    ids::NodeId,
    peer::{PeerBus, PeerInbox},
};
use time::OffsetDateTime;

use super::World;

/// Below 32768, where the system hands out ports by itself; each process of tests begins elsewhere.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Nodes in memory.
pub(crate) struct Memory(pub(crate) MemoryNetwork);

impl World for Memory {
    type Transport = MemoryTransport;

    fn new() -> Self {
        Self(MemoryNetwork::new(1))
    }

    fn start(&self, node: NodeId, inbox: Arc<dyn PeerInbox>) -> MemoryTransport {
        self.0.join(node, inbox)
    }

    fn introduce(&self, one: &MemoryTransport, other: &MemoryTransport) {
        one.know(other.this_node(), Vec::new());
        other.know(one.this_node(), Vec::new());
    }
}

/// Nodes of one cluster on loopback. Each trusts by itself.
pub(crate) struct Quic {
    pub(crate) authority: Authority,
}

impl Quic {
    pub(crate) fn of(cluster: &str) -> Self {
        Self { authority: Authority::new(cluster.parse().unwrap(), OffsetDateTime::now_utc()).unwrap() }
    }

    pub(crate) fn trust(&self) -> Arc<Trust> {
        Trust::new(self.authority.cluster().clone(), &[self.authority.root().clone()]).unwrap()
    }

    pub(crate) fn credentials(&self, node: NodeId) -> Credentials {
        self.authority.issue(node, OffsetDateTime::now_utc()).unwrap()
    }

    /// A node that shows `credentials` and believes `trust`.
    pub(crate) fn start_as(
        credentials: Credentials,
        trust: Arc<Trust>,
        inbox: Arc<dyn PeerInbox>,
    ) -> QuicTransport {
        let credentials = (credentials.certificate, credentials.key);
        for _ in 0..1_000 {
            let (certificate, key) = (credentials.0.clone(), credentials.1.clone_key());
            let config = QuicConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], port())),
                credentials: Credentials { certificate, key },
                trust: trust.clone(),
                incarnation: NEXT.fetch_add(1, Ordering::Relaxed),
            };
            match QuicTransport::start(config, inbox.clone()) {
                Err(TransportError::Listen { .. }) => {}
                started => return started.unwrap(),
            }
        }
        panic!("no port is free in {PORTS:?}");
    }
}

pub(crate) fn port() -> u16 {
    let span = u64::from(PORTS.end - PORTS.start);
    let place = (u64::from(std::process::id()) * 37 + NEXT.fetch_add(1, Ordering::Relaxed)) % span;
    PORTS.start + u16::try_from(place).unwrap()
}

impl World for Quic {
    type Transport = QuicTransport;

    fn new() -> Self {
        Self::of("c1")
    }

    fn start(&self, node: NodeId, inbox: Arc<dyn PeerInbox>) -> QuicTransport {
        Self::start_as(self.credentials(node), self.trust(), inbox)
    }

    fn introduce(&self, one: &QuicTransport, other: &QuicTransport) {
        one.know(other.this_node(), vec![other.local_addr().unwrap()]);
        other.know(one.this_node(), vec![one.local_addr().unwrap()]);
    }
}
