//! The [`Transport`] over QUIC: one endpoint, two connections to each peer, one stream for each track.
//!
//! Both ends of a connection show certificates (see [`identity`](crate::identity)); then the dialler greets on the
//! first two-way stream and is welcomed or told why not; then each end opens its tracks, once.
//!
//! # Failure
//!
//! A handshake that fails is told as a [`PeerFault`]: one sentence, logged once when it changes, and kept in
//! [`PeerStatus`] until the link stands.

mod accept;
mod dial;
mod endpoint;
mod fault;
pub(super) mod hello;
mod serve;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::NodeId,
    peer::{AskError, Class, Envelope, Eventually, Lane, PeerBus, PeerInbox, SendError},
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{PeerStatus, Transport, links::Links};
use crate::{
    identity::{Credentials, Presented, Trust},
    join::{Desk, Door},
};

pub use fault::{PeerFault, TransportError};
pub use hello::HelloRefusal;

/// What a node's transport needs to begin.
#[derive(Debug)]
pub struct QuicConfig {
    /// Where to listen (UDP); port 0 takes a free one.
    pub listen: SocketAddr,
    /// What this node shows. It names the node.
    pub credentials: Credentials,
    /// What it believes of others.
    pub trust: Arc<Trust>,
    /// A number that no other run of this node has: drawn at random, or counted on disk.
    pub incarnation: u64,
}

/// A known peer.
#[derive(Debug)]
struct Known {
    addresses: watch::Sender<Vec<SocketAddr>>,
    fault: Mutex<Option<String>>,
    forgotten: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    me: NodeId,
    incarnation: u64,
    links: Arc<Links>,
    endpoint: quinn::Endpoint,
    clients: endpoint::Clients,
    trust: Arc<Trust>,
    presented: Arc<Presented>,
    known: Mutex<BTreeMap<NodeId, Arc<Known>>>,
    closed: CancellationToken,
    /// Where joiners are taken, once it is open.
    door: OnceLock<Arc<Door>>,
}

/// A node's transport over QUIC. Dropping it ends its links at once.
#[derive(Debug)]
pub struct QuicTransport(Arc<Shared>);

impl QuicTransport {
    /// Listens, and hands to `inbox` what peers send. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`TransportError`]: the port is taken, or the credentials are not of this cluster.
    pub fn start(config: QuicConfig, inbox: Arc<dyn PeerInbox>) -> Result<Self, TransportError> {
        let QuicConfig { listen, credentials, trust, incarnation } = config;
        let me = trust.node_in(&credentials.certificate).ok_or(TransportError::NotOurCertificate)?;
        let presented = Presented::new(credentials).map_err(TransportError::Tls)?;
        let (endpoint, clients) = endpoint::open(listen, &trust, &presented)?;
        let shared = Arc::new(Shared {
            me,
            incarnation,
            links: Links::new(me, inbox),
            endpoint,
            clients,
            trust,
            presented,
            known: Mutex::default(),
            closed: CancellationToken::new(),
            door: OnceLock::new(),
        });
        tokio::spawn(accept::accept_all(shared.clone()));
        Ok(Self(shared))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.endpoint.local_addr()
    }

    /// Shows `credentials` from the next handshake on; links that stand stay.
    ///
    /// # Errors
    /// [`TransportError::NotOurCertificate`] for another node's or cluster's, [`TransportError::Tls`] for a wrong key.
    pub fn renew(&self, credentials: Credentials) -> Result<(), TransportError> {
        if self.0.trust.node_in(&credentials.certificate) != Some(self.0.me) {
            return Err(TransportError::NotOurCertificate);
        }
        self.0.presented.renew(credentials).map_err(TransportError::Tls)
    }
}

impl QuicTransport {
    /// Takes nodes that want to join from now on, at the same port, and lets `desk` judge them. Before, they are
    /// refused and come back; likewise when nobody holds the desk any more. Once: a second call does nothing.
    ///
    /// # Errors
    /// [`TransportError::NoCipher`].
    pub fn open_door(&self, desk: &Arc<Desk>) -> Result<(), TransportError> {
        let door = Door::new(desk, self.0.presented.clone()).ok_or(TransportError::NoCipher)?;
        // The first door goes on.
        drop(self.0.door.set(door));
        Ok(())
    }
}

impl Shared {
    fn end(&self) {
        self.closed.cancel();
        self.links.end_all();
    }

    /// Keeps why `peer` could not be linked, and logs it when it is news.
    fn note(&self, peer: NodeId, fault: &PeerFault) {
        let sentence = fault.to_string();
        let known = self.known.lock().get(&peer).cloned();
        let news = known.is_none_or(|known| {
            let mut last = known.fault.lock();
            let news = last.as_ref() != Some(&sentence);
            *last = Some(sentence.clone());
            news
        });
        if news {
            tracing::warn!(node.id = %peer, "no link to node {peer}: {sentence}");
        }
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.0.end();
        self.0.endpoint.close(fault::CLOSE_LEAVING.into(), b"the node stopped");
    }
}

impl PeerBus for QuicTransport {
    fn this_node(&self) -> NodeId {
        self.0.me
    }

    fn cast(&self, to: NodeId, lane: Lane, envelope: Envelope) -> Result<(), SendError> {
        self.0.links.cast(to, lane, envelope)
    }

    fn ask(
        &self,
        to: NodeId,
        lane: Lane,
        envelope: Envelope,
        timeout: Duration,
    ) -> Eventually<Result<Envelope, AskError>> {
        self.0.links.ask(to, lane, envelope, timeout)
    }

    fn whisper(&self, to: NodeId, envelope: Envelope) -> Result<(), SendError> {
        self.0.links.whisper(to, envelope)
    }
}

#[async_trait]
impl Transport for QuicTransport {
    fn know(&self, peer: NodeId, addresses: Vec<SocketAddr>) {
        let mut known = self.0.known.lock();
        if peer == self.0.me {
            return;
        }
        if let Some(known) = known.get(&peer) {
            known.addresses.send_replace(addresses);
            return;
        }
        let (addresses, forgotten) = (watch::Sender::new(addresses), CancellationToken::new());
        let entry = Arc::new(Known { addresses, fault: Mutex::default(), forgotten });
        known.insert(peer, entry.clone());
        dial::keep_linked(&self.0, peer, &entry);
    }

    fn forget(&self, peer: NodeId) {
        if let Some(known) = self.0.known.lock().remove(&peer) {
            known.forgotten.cancel();
        }
        self.0.links.end(peer);
        self.0.links.forget(peer);
    }

    fn revoke(&self, peer: NodeId) {
        self.0.trust.revoke(peer);
        self.forget(peer);
    }

    async fn linked(&self, peer: NodeId, timeout: Duration) -> bool {
        self.0.links.wait_linked(peer, timeout).await
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let mut faults: BTreeMap<NodeId, Option<String>> =
            self.0.known.lock().iter().map(|(node, known)| (*node, known.fault.lock().clone())).collect();
        for node in self.0.links.peers() {
            faults.entry(node).or_default();
        }
        faults.into_iter().map(|(node, fault)| self.0.links.status(node, fault)).collect()
    }

    fn refused(&self) -> [u64; Class::ALL.len()] {
        self.0.links.refused()
    }

    async fn close(&self) {
        self.0.end();
        self.0.links.end_and_wait().await;
        self.0.endpoint.close(fault::CLOSE_LEAVING.into(), b"the node stopped");
        self.0.endpoint.wait_idle().await;
    }
}
