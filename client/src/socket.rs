//! One WebSocket to a node: frames in, frames out, and the code it was closed with.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hubbub_protocol::{frame::Format, op::Op};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::HeaderValue,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{incoming::Incoming, rest::install_provider, trust};

/// Largest frame taken from a node: a page of 100 messages of 32 KiB, four times over.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that may wait to be written: the requests in flight, each as long as a frame may be (32 × 64 KiB = 2 MiB),
/// and the one being written.
const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a socket is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// The node closed it, with this code.
    #[error("the node closed the connection with {0}")]
    Closed(u16),
    /// The connection broke, or could not be made.
    #[error("the connection to the node is broken")]
    Broken(#[source] Box<tungstenite::Error>),
    /// Nothing was heard, or nothing could be said, for too long.
    #[error("the node is silent")]
    Silent,
    /// The node sent what is none of the contract.
    #[error("the node sent a frame that cannot be read")]
    Unreadable,
}

/// A connected WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    format: Format,
}

fn broken(error: tungstenite::Error) -> SocketError {
    SocketError::Broken(Box::new(error))
}

impl Socket {
    /// Connects to the node at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`SocketError::Broken`].
    pub(crate) async fn connect(base: &str, format: Format) -> Result<Self, SocketError> {
        install_provider();
        let url = format!("{}/v1/ws", base.replacen("http", "ws", 1).trim_end_matches('/'));
        let mut request = url.into_client_request().map_err(broken)?;
        let name = HeaderValue::from_static(format.subprotocol());
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(4 * 1024)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let connector = trust::configured().map(|config| Connector::Rustls(Arc::new(config)));
        let connected = connect_async_tls_with_config(request, Some(config), true, connector).await;
        let (stream, _) = connected.map_err(broken)?;
        Ok(Self { stream, format })
    }

    /// A request under `id`, as it goes over the line.
    pub(crate) fn encode(&self, id: u32, op: &Op) -> Vec<u8> {
        self.format.write(&op.to_json(id))
    }

    /// Takes a payload on; [`Socket::flush`] sends what was taken on.
    pub(crate) async fn feed(&mut self, payload: Vec<u8>) -> Result<(), SocketError> {
        let message = match self.format {
            Format::Json => Message::text(String::from_utf8(payload).map_err(|_| SocketError::Unreadable)?),
            Format::MessagePack => Message::binary(payload),
        };
        self.stream.feed(message).await.map_err(broken)
    }

    /// Sends what was taken on.
    pub(crate) async fn flush(&mut self) -> Result<(), SocketError> {
        self.stream.flush().await.map_err(broken)
    }

    /// The next frame. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`SocketError`]: nothing more will come.
    pub(crate) async fn next(&mut self) -> Result<Incoming, SocketError> {
        loop {
            let payload = match self.stream.next().await {
                Some(Ok(Message::Text(text))) => Bytes::from(text),
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Close(frame))) => {
                    return Err(SocketError::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(SocketError::Closed(1006)),
            };
            return Incoming::read(self.format, payload).ok_or(SocketError::Unreadable);
        }
    }

    /// Says goodbye; the node may be gone already.
    pub(crate) async fn close(mut self) {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "goodbye".into() };
        drop(self.stream.close(Some(goodbye)).await);
    }
}
