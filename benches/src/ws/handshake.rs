//! The HTTP upgrade of both ends.
//!
//! The client always sends RFC 6455's example nonce, so the answer it must get is known beforehand and neither end
//! hashes anything. The nonce only keeps caches from answering; a benchmark on one machine has none.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Longest head of a request or answer: a few hundred bytes here, 8 KiB is what common servers allow.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Asks for `path` as a WebSocket and returns the bytes that came behind the answer.
pub(crate) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: SocketAddr,
    path: &str,
    subprotocol: Option<&str>,
) -> Result<BytesMut> {
    let wish = protocol_line(subprotocol);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {NONCE}\r\n{wish}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (head, rest) = read_head(stream).await?;
    ensure!(
        head.starts_with("HTTP/1.1 101"),
        "the upgrade was refused: {}",
        head.lines().next().unwrap_or_default()
    );
    ensure!(
        header(&head, "sec-websocket-accept") == Some(ACCEPT),
        "the upgrade was answered with a wrong Sec-WebSocket-Accept"
    );
    ensure!(header(&head, "sec-websocket-protocol") == subprotocol, "the subprotocol asked for was not taken");
    Ok(rest)
}

/// Answers a client's [`ask`], takes up `subprotocol`, and returns the bytes that came behind the request.
pub(crate) async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    subprotocol: Option<&str>,
) -> Result<BytesMut> {
    let (head, rest) = read_head(stream).await?;
    if header(&head, "sec-websocket-key") != Some(NONCE) {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
        bail!("the floor takes only its own clients");
    }
    let taken = protocol_line(subprotocol);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{taken}\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(rest)
}

fn protocol_line(subprotocol: Option<&str>) -> String {
    subprotocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<(String, BytesMut)> {
    let mut buffer = BytesMut::with_capacity(1024);
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            return Ok((String::from_utf8(head.to_vec())?, buffer));
        }
        ensure!(buffer.len() < HEAD_BYTES_MAX, "the head is too long");
        let read = stream.read_buf(&mut buffer).await.context("reading the head")?;
        ensure!(read > 0, "the connection ended within the head");
    }
}

/// Value of the header `name` (given in lower case), without the white space around it.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_header_is_found_whatever_its_case() {
        let head = "HTTP/1.1 101 x\r\nSec-WebSocket-ACCEPT:  abc \r\n\r\n";
        assert_eq!(header(head, "sec-websocket-accept"), Some("abc"));
        assert_eq!(header(head, "upgrade"), None);
    }

    #[tokio::test]
    async fn both_ends_agree_and_lose_nothing_sent_early() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            answer(&mut stream, None).await.expect("our own client is taken");
            stream.write_all(b"early").await.expect("written");
            stream
        });
        let mut client = TcpStream::connect(address).await.expect("listening");
        let mut rest = ask(&mut client, address, "/", None).await.expect("upgraded");
        while rest.len() < 5 {
            let read = client.read_buf(&mut rest).await.expect("readable");
            assert!(read > 0, "the server sent five bytes and closed too early");
        }
        assert_eq!(&rest[..], b"early");
        drop(server);
    }

    #[tokio::test]
    async fn a_stranger_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            answer(&mut stream, None).await.is_err()
        });
        let mut client = TcpStream::connect(address).await.expect("listening");
        client.write_all(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: other\r\n\r\n").await.expect("written");
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.expect("text");
        assert!(reply.starts_with("HTTP/1.1 400"), "got {reply}");
        assert!(server.await.expect("no panic"));
    }
}
