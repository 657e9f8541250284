//! The door of a member: where joiners knock, on the port that nodes use.
//!
//! A joiner has no certificate, and the links between nodes demand one. So that the one does not loosen the other,
//! a joiner marks its first packet: the connection id that it chooses for the server begins with [`MARK`]. What
//! bears the mark is shaken hands with by the door's TLS, which speaks the join protocol alone; everything else by
//! the nodes'. The mark protects nothing, and need not: each side speaks its own protocol only.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use hubbub_protocol::codec;
use parking_lot::Mutex;
use quinn::{
    Connection, ConnectionId, Incoming, RecvStream, SendStream, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::QuicServerConfig,
};
use rustls::{
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    answer::{JoinRefusal, Judged},
    desk::Desk,
    limits::{
        ANSWER_BYTES_MAX, APPLICATION_BYTES_MAX, AT_THE_DOOR_MAX, AT_THE_DOOR_PER_ADDRESS_MAX, KNOCK_TIMEOUT,
        READ_TIMEOUT, WRONG_TOKEN_PAUSE,
    },
    proof,
    request::{FORM, Knock, Knocked},
};
use crate::identity::Presented;

/// The protocol of joining.
pub(super) const ALPN: &[u8] = b"hubbub-join/1";
/// What the connection id of a joiner's first packet begins with.
pub(super) const MARK: &[u8; 8] = b"hubjoin1";
/// Most that a joiner sends: the application, its proof, and what frames them.
pub(super) const KNOCK_BYTES_MAX: usize = APPLICATION_BYTES_MAX + 128;

/// Whether it is a joiner.
pub(crate) fn knocks(incoming: &Incoming) -> bool {
    is_marked(&incoming.orig_dst_cid())
}

fn is_marked(id: &ConnectionId) -> bool {
    id.starts_with(MARK)
}

/// Shows the member's certificate and, behind it, the roots: the joiner knows its root by hash alone.
#[derive(Debug)]
struct Shown {
    presented: Arc<Presented>,
    desk: Weak<Desk>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.presented.current();
        let roots = self.desk.upgrade()?.roots().into_iter().map(CertificateDer::from);
        let chain = current.cert.iter().cloned().chain(roots).collect();
        Some(Arc::new(CertifiedKey::new(chain, current.key.clone())))
    }
}

/// Takes joiners in.
pub(crate) struct Door {
    /// The desk holds the transport, and the transport holds the door.
    desk: Weak<Desk>,
    config: Arc<ServerConfig>,
    places: Arc<Semaphore>,
    from: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({} free places)", self.places.available_permits())
    }
}

/// A place at the door; given up when dropped.
struct PlaceAtDoor {
    _place: OwnedSemaphorePermit,
    address: IpAddr,
    from: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Drop for PlaceAtDoor {
    fn drop(&mut self) {
        let mut from = self.from.lock();
        if let Some(count) = from.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                from.remove(&self.address);
            }
        }
    }
}

impl Door {
    /// A door where `desk` is asked, and `presented` is shown. `None` without a cipher that QUIC begins with.
    pub(crate) fn new(desk: &Arc<Desk>, presented: Arc<Presented>) -> Option<Arc<Self>> {
        let desk = Arc::downgrade(desk);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .ok()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown { presented, desk: desk.clone() }));
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.send_tls13_tickets = 0;
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).ok()?));
        config.transport_config(Arc::new(settings(KNOCK_TIMEOUT))).migration(false);
        Some(Arc::new(Self {
            desk,
            config: Arc::new(config),
            places: Arc::new(Semaphore::new(AT_THE_DOOR_MAX)),
            from: Arc::default(),
        }))
    }

    /// Takes a joiner, if there is a place for it.
    pub(crate) fn take(self: &Arc<Self>, incoming: Incoming) {
        if !incoming.remote_address_validated() {
            // A stranger proves its address before it costs us anything.
            drop(incoming.retry());
            return;
        }
        let Some(place) = self.place_for(incoming.remote_address().ip()) else {
            incoming.refuse();
            return;
        };
        let door = self.clone();
        tokio::spawn(async move {
            let port = incoming.remote_address().port();
            match tokio::time::timeout(KNOCK_TIMEOUT, door.serve(incoming)).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => tracing::info!(port, "turned a joiner away: {fault}"),
                Err(_) => tracing::info!(port, "turned a joiner away: it took longer than {KNOCK_TIMEOUT:?}"),
            }
            drop(place);
        });
    }

    fn place_for(&self, address: IpAddr) -> Option<PlaceAtDoor> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut from = self.from.lock();
        let count = from.entry(address).or_default();
        if *count >= AT_THE_DOOR_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(PlaceAtDoor { _place: place, address, from: self.from.clone() })
    }

    async fn serve(&self, incoming: Incoming) -> Result<(), String> {
        let text = |error: &dyn fmt::Display| error.to_string();
        let connecting = incoming.accept_with(self.config.clone()).map_err(|error| text(&error))?;
        let connection = connecting.await.map_err(|error| text(&error))?;
        let (mut says, mut hears) = connection.accept_bi().await.map_err(|error| text(&error))?;
        let judged = match hear(&mut hears).await {
            Some(knock) => self.judge(&connection, knock).await,
            None => Err(JoinRefusal::Wrong("application".into())),
        };
        if judged == Err(JoinRefusal::Token) {
            tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
        }
        let refused = judged.as_ref().err().map(ToString::to_string);
        say(&mut says, &Judged(judged)).await?;
        // Closing at once would overtake the answer.
        drop(tokio::time::timeout(READ_TIMEOUT, says.stopped()).await);
        connection.close(VarInt::from_u32(0), b"answered");
        refused.map_or(Ok(()), Err)
    }

    async fn judge(&self, connection: &Connection, knock: Knock) -> Result<super::Welcome, JoinRefusal> {
        let channel = proof::channel(connection).ok_or_else(|| JoinRefusal::Wrong("channel".into()))?;
        let desk = self.desk.upgrade().ok_or(JoinRefusal::NoLeader)?;
        desk.knock(Knocked { knock, channel }).await
    }
}

async fn hear(stream: &mut RecvStream) -> Option<Knock> {
    let bytes = stream.read_to_end(KNOCK_BYTES_MAX).await.ok()?;
    codec::decode::<KNOCK_BYTES_MAX, Knock>(FORM, &bytes).ok()
}

async fn say(stream: &mut SendStream, judged: &Judged) -> Result<(), String> {
    let bytes = codec::encode::<ANSWER_BYTES_MAX>(FORM, judged).map_err(|error| error.to_string())?;
    stream.write_all(&bytes).await.map_err(|error| error.to_string())?;
    stream.finish().map_err(|error| error.to_string())
}

/// Settings of a connection that carries one question and one answer.
pub(super) fn settings(silence_max: Duration) -> TransportConfig {
    let mut settings = TransportConfig::default();
    let silence_ms = u32::try_from(silence_max.as_millis()).unwrap_or(u32::MAX);
    let window = u32::try_from(ANSWER_BYTES_MAX).unwrap_or(u32::MAX);
    settings
        .max_idle_timeout(Some(VarInt::from_u32(silence_ms).into()))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(window.into())
        .receive_window(window.into())
        .send_window(window.into())
        .datagram_receive_buffer_size(None);
    settings
}
