//! The socket and QUIC's settings. Its defaults are made for the internet; ours for nodes of one region.

use std::{net::SocketAddr, sync::Arc};

use quinn::{
    AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::{
    limits::{
        INITIAL_RTT, KEEP_ALIVE, LINK_SILENCE_MAX, LINK_WINDOW_BYTES, PACKETS_UNACKNOWLEDGED, SOCKET_BUFFER_BYTES,
        STREAM_WINDOW_BYTES, STREAMS_MAX, WHISPER_BUFFER_BYTES,
    },
    track::Purpose,
};
use super::TransportError;
use crate::identity::{self, Presented, Trust};

/// How to dial, for each purpose.
#[derive(Debug)]
pub(super) struct Clients {
    main: ClientConfig,
    bulk: ClientConfig,
}

impl Clients {
    pub(super) fn of(&self, purpose: Purpose) -> ClientConfig {
        match purpose {
            Purpose::Main => self.main.clone(),
            Purpose::Bulk => self.bulk.clone(),
        }
    }
}

pub(super) const fn alpn(purpose: Purpose) -> &'static [u8] {
    match purpose {
        Purpose::Main => identity::ALPN_NODE,
        Purpose::Bulk => identity::ALPN_BULK,
    }
}

pub(super) fn open(
    listen: SocketAddr,
    trust: &Arc<Trust>,
    presented: &Arc<Presented>,
) -> Result<(Endpoint, Clients), TransportError> {
    let transport = Arc::new(settings());
    let tls = identity::server(trust, presented).map_err(TransportError::Tls)?;
    let tls = QuicServerConfig::try_from(tls).map_err(|_| TransportError::NoCipher)?;
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server.transport_config(transport.clone()).migration(false);
    let client = |purpose| {
        let tls = identity::client(trust, presented, alpn(purpose)).map_err(TransportError::Tls)?;
        let tls = QuicClientConfig::try_from(tls).map_err(|_| TransportError::NoCipher)?;
        let mut client = ClientConfig::new(Arc::new(tls));
        client.transport_config(transport.clone());
        Ok::<_, TransportError>(client)
    };
    let clients = Clients { main: client(Purpose::Main)?, bulk: client(Purpose::Bulk)? };
    let failed = |source| TransportError::Listen { listen, source };
    let runtime = Arc::new(quinn::TokioRuntime);
    let socket = socket(listen).map_err(failed)?;
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime).map_err(failed)?;
    Ok((endpoint, clients))
}

fn socket(listen: SocketAddr) -> std::io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel cuts what it does not allow (net.core.rmem_max) without a word; `doctor` compares.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

fn settings() -> TransportConfig {
    let mut settings = TransportConfig::default();
    let mut acknowledging = AckFrequencyConfig::default();
    acknowledging.ack_eliciting_threshold(PACKETS_UNACKNOWLEDGED.into());
    let silence_ms = u32::try_from(LINK_SILENCE_MAX.as_millis()).unwrap_or(u32::MAX);
    settings
        .max_idle_timeout(Some(VarInt::from_u32(silence_ms).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .ack_frequency_config(Some(acknowledging))
        .max_concurrent_uni_streams(STREAMS_MAX.into())
        // The greeting's.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(LINK_WINDOW_BYTES.into())
        .send_window(LINK_WINDOW_BYTES.into())
        .datagram_send_buffer_size(WHISPER_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(WHISPER_BUFFER_BYTES));
    settings
}
