//! One WebSocket to a node: frames in, frames out, and the code it was closed with.

use futures_util::{SinkExt, StreamExt};
use hubbub_protocol::{frame::Format, op::Op};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

/// Largest frame taken from a node: a page of history with long texts.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a socket is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The node closed it, with this code.
    #[error("the node closed the connection with {0}")]
    Closed(u16),
    /// The connection broke, or could not be made.
    #[error("the connection to the node is broken")]
    Broken(#[source] Box<tungstenite::Error>),
    /// The node sent what is none of the contract.
    #[error("the node sent a frame that cannot be read")]
    Unreadable,
}

/// A connected WebSocket.
#[derive(Debug)]
pub struct Socket {
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
    pub async fn connect(base: &str, format: Format) -> Result<Self, SocketError> {
        let url = format!("{}/v1/ws", base.replacen("http", "ws", 1).trim_end_matches('/'));
        let mut request = url.into_client_request().map_err(broken)?;
        let name = HeaderValue::from_static(format.subprotocol());
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(4 * 1024)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let (stream, _) = connect_async_with_config(request, Some(config), true).await.map_err(broken)?;
        Ok(Self { stream, format })
    }

    /// Sends a request under `id`.
    ///
    /// # Errors
    /// [`SocketError::Broken`].
    pub async fn send(&mut self, id: u32, op: &Op) -> Result<(), SocketError> {
        let payload = self.format.write(&op.to_json(id));
        let message = match self.format {
            Format::Json => Message::text(String::from_utf8_lossy(&payload).into_owned()),
            Format::MessagePack => Message::binary(payload),
        };
        self.stream.send(message).await.map_err(broken)
    }

    /// The next frame, with its payload as JSON.
    ///
    /// # Errors
    /// [`SocketError`]: nothing more will come.
    pub async fn next(&mut self) -> Result<(Value, Vec<u8>), SocketError> {
        loop {
            let payload = match self.stream.next().await {
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                Some(Ok(Message::Close(frame))) => {
                    return Err(SocketError::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(SocketError::Closed(1006)),
            };
            let value = self.format.read(&payload).ok_or(SocketError::Unreadable)?;
            let json = match self.format {
                Format::Json => payload,
                Format::MessagePack => Format::Json.write(&value),
            };
            return Ok((value, json));
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        // The node may be gone already.
        let _ = self.stream.close(None).await;
    }
}
