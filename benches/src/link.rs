//! One client's connection: joined by a conversation, then read by a task and written by whoever has something.
//!
//! # Invariants
//! - Frames never interleave: every write holds the link's lock until the frame is out.
//! - What arrived during the conversation and is not an answer stays in `inbox` for the reader.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::scratch;
use crate::wire::{self, Wire};
use crate::ws::{self, Inbox, client_frame, handshake};

/// Longest wait for one answer while joining; a connect storm queues behind itself.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The mask of every client frame. A mask protects proxies from chosen bytes; here it only has to cost what it costs.
const MASK: [u8; 4] = [0x3C, 0x5A, 0x96, 0xE1];

/// The close code 4007 of a Hubbub node, as a close frame begins.
const SESSION_UNKNOWN: [u8; 2] = 4_007_u16.to_be_bytes();

/// Loopback addresses that connections come from, each with some 28,000 ports of its own.
const SOURCES_MAX: u8 = 100;

/// How many of them are used up.
static SOURCES_USED_UP: AtomicU8 = AtomicU8::new(0);

/// The server does not know the session that was to be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server does not know the session any more")]
pub(crate) struct SessionUnknown;

/// Connects; on loopback from the next address where the last one has no port left.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    loop {
        let used_up = SOURCES_USED_UP.load(Ordering::Relaxed);
        let connected = match used_up {
            0 => TcpStream::connect(address).await,
            _ => connect_from(Ipv4Addr::new(127, 0, 0, 1 + used_up), address).await,
        };
        let no_port = matches!(&connected, Err(error)
            if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse));
        if !no_port || !address.ip().is_loopback() || used_up >= SOURCES_MAX {
            return connected;
        }
        // Whoever comes second finds it raised already.
        let _ = SOURCES_USED_UP.compare_exchange(used_up, used_up + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect(address).await
}

#[derive(Debug)]
pub(crate) struct Link {
    stream: Wire,
    writing: Mutex<()>,
}

impl Link {
    /// Connects and upgrades. The inbox holds what the server said at once.
    pub(crate) async fn open(address: SocketAddr, path: &str, subprotocol: Option<&str>) -> Result<(Self, Inbox)> {
        Self::open_under(None, address, path, subprotocol).await
    }

    /// The same, under TLS where there is a configuration for it.
    pub(crate) async fn open_under(
        tls: Option<&Arc<ClientConfig>>,
        address: SocketAddr,
        path: &str,
        subprotocol: Option<&str>,
    ) -> Result<(Self, Inbox)> {
        let mut tcp = connect(address).await.with_context(|| format!("connecting to {address}"))?;
        tcp.set_nodelay(true)?;
        let upgraded = timeout(ANSWER_MAX, async {
            let Some(config) = tls else {
                let rest = handshake::ask(&mut tcp, address, path, subprotocol).await?;
                return Ok::<_, anyhow::Error>((rest, Wire::from(tcp)));
            };
            let mut secured = wire::secure(tcp, address, Arc::clone(config)).await?;
            let rest = handshake::ask(&mut secured, address, path, subprotocol).await?;
            Ok((rest, Wire::from(secured)))
        });
        let (rest, stream) = upgraded.await.context("the upgrade was not answered in time")??;
        let mut inbox = Inbox::default();
        inbox.absorb(&rest);
        let writing = Mutex::new(());
        Ok((Self { stream, writing }, inbox))
    }

    pub(crate) fn stream(&self) -> &Wire {
        &self.stream
    }

    pub(crate) async fn send(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let frame = client_frame(opcode, payload, MASK);
        let _one_at_a_time = self.writing.lock().await;
        self.stream.write_all(&frame).await
    }

    /// Sends `request` and waits for the reply to `id`; frames before it are dropped.
    pub(crate) async fn request(&self, inbox: &mut Inbox, id: u32, request: &str) -> Result<Value> {
        self.send(ws::TEXT, request.as_bytes()).await?;
        self.heard(inbox, |frame| frame["re"] == id).await
    }

    /// Waits for the first frame that `is_it`; those before it are dropped.
    pub(crate) async fn heard(&self, inbox: &mut Inbox, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        timeout(ANSWER_MAX, async {
            loop {
                let frame: Value = serde_json::from_slice(&self.next_text(inbox).await?)?;
                if let Some(error) = frame.get("error") {
                    bail!("the server refused: {error}");
                }
                if is_it(&frame) {
                    return Ok(frame);
                }
            }
        })
        .await
        .context("no answer in time")?
    }

    pub(crate) async fn send_text(&self, text: &str) -> io::Result<()> {
        self.send(ws::TEXT, text.as_bytes()).await
    }

    /// Waits for the first text frame that `is_it`, of a server that speaks no JSON; those before it are dropped.
    ///
    /// # Errors
    /// With the last of what was dropped, since that may be the server's reason.
    pub(crate) async fn heard_text(&self, inbox: &mut Inbox, is_it: impl Fn(&[u8]) -> bool) -> Result<BytesMut> {
        let mut last = BytesMut::new();
        let heard = timeout(ANSWER_MAX, async {
            loop {
                let text = self.next_text(inbox).await?;
                if is_it(&text) {
                    return Ok(text);
                }
                last = text;
            }
        });
        let heard = heard.await.context("no answer in time").flatten();
        heard.with_context(|| format!("waiting for an answer after `{}`", String::from_utf8_lossy(&last)))
    }

    async fn next_text(&self, inbox: &mut Inbox) -> Result<BytesMut> {
        loop {
            match inbox.next()? {
                Some((ws::TEXT, text)) => return Ok(text),
                Some((ws::CLOSE, reason)) if reason.starts_with(&SESSION_UNKNOWN) => {
                    return Err(SessionUnknown.into());
                }
                Some((ws::CLOSE, reason)) => bail!("the server closed: {}", close_reason(&reason)),
                Some((ws::PING, payload)) => self.send(ws::PONG, &payload).await?,
                Some(_) => {}
                None => {
                    self.stream.readable().await?;
                    scratch::read(&self.stream, |fresh| inbox.absorb(fresh))?;
                }
            }
        }
    }
}

/// Code and text of a close frame's payload.
pub(crate) fn close_reason(payload: &[u8]) -> String {
    match payload {
        [high, low, text @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("{code} {}", String::from_utf8_lossy(text))
        }
        _ => "without a code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_can_come_from_any_loopback_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stream = connect_from(Ipv4Addr::new(127, 0, 0, 9), address).await.expect("it listens");
        let (_, from) = listener.accept().await.expect("a client");
        assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 9));
        assert_eq!(stream.local_addr().expect("bound"), from);
        let plain = connect(address).await.expect("it listens");
        assert_eq!(plain.peer_addr().expect("connected"), address);
    }

    #[test]
    fn a_close_frame_tells_its_code() {
        assert_eq!(close_reason(&[0x0F, 0xA8, b'x']), "4008 x");
        assert_eq!(close_reason(&[]), "without a code");
    }
}
