//! A WebSocket spoken by hand, so that anything can be sent, well-formed or not, read or left unread.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::{Node, Person};

/// How long the node may take to say something.
const SAYS_WITHIN: Duration = Duration::from_secs(20);
/// What a client with little room lets the system keep for it, in bytes.
const NARROW_BYTES: u32 = 4_096;

/// A connection to a node.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    bytes: Vec<u8>,
}

/// What the node said.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A text message.
    Json(Value),
    /// A binary message.
    Binary(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// Goodbye.
    Close(u16),
    /// The connection ended without a goodbye.
    End,
}

/// A frame of a client. The mask is nought, so the payload stands in it as it is.
///
/// # Panics
/// Never: each arm has the lengths it writes.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).expect("short")),
        long if long <= 65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(long).expect("long").to_be_bytes());
        }
        huge => {
            bytes.push(0x80 | 127);
            bytes.extend((huge as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// A request as a text frame.
#[must_use]
pub fn asking(request: &Value) -> Vec<u8> {
    frame(0x81, request.to_string().as_bytes())
}

/// The head of a good upgrade.
#[must_use]
pub fn upgrade(node: &Node, subprotocol: &str) -> String {
    upgrade_at(node.port(), subprotocol)
}

fn upgrade_at(port: u16, subprotocol: &str) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n",
        port
    )
}

/// Head and body of what is at `path` of `address`, asked with one more header line, or none.
///
/// # Panics
/// When nobody answers there.
#[must_use]
pub fn get(address: &str, path: &str, header: &str) -> (String, String) {
    let stream = TcpStream::connect(address).expect("somebody listens");
    let mut raw = Raw::over(stream);
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n").as_bytes());
    let head = raw.head();
    while raw.fill() {}
    (head, String::from_utf8_lossy(&raw.bytes).into_owned())
}

impl Raw {
    /// A TCP connection on which nothing has been said.
    ///
    /// # Panics
    /// When the node does not listen.
    #[must_use]
    pub fn silent(node: &Node) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", node.port())).expect("the node listens"))
    }

    /// The same, of a client whose system keeps next to nothing for it.
    ///
    /// # Panics
    /// When the node does not listen.
    pub async fn narrow(node: &Node) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("a socket");
        let address = SocketAddr::from(([127, 0, 0, 1], node.port()));
        let stream = socket.connect(address).await.expect("the node listens").into_std().expect("a socket");
        stream.set_nonblocking(false).expect("a socket");
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(SAYS_WITHIN)).expect("a socket");
        Self { stream, bytes: Vec::new() }
    }

    /// Upgrades with a subprotocol.
    ///
    /// # Panics
    /// When the node refuses.
    #[must_use]
    pub fn connect(node: &Node, subprotocol: &str) -> Self {
        let mut raw = Self::silent(node);
        raw.send(upgrade(node, subprotocol).as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        raw
    }

    /// The same with whoever listens on a port of loopback, by JSON.
    ///
    /// # Panics
    /// When nobody does, or no hello comes.
    #[must_use]
    pub fn greeted_at(port: u16) -> Self {
        let mut raw = Self::over(TcpStream::connect(("127.0.0.1", port)).expect("somebody listens"));
        raw.send(upgrade_at(port, "hubbub.v1.json").as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        raw.hello();
        raw
    }

    /// Connects and reads the hello.
    ///
    /// # Panics
    /// When it does not come.
    #[must_use]
    pub fn greeted(node: &Node) -> Self {
        let mut raw = Self::connect(node, "hubbub.v1.json");
        raw.hello();
        raw
    }

    /// Reads the hello.
    ///
    /// # Panics
    /// When something else comes.
    pub fn hello(&mut self) {
        let Said::Json(hello) = self.hear() else { panic!("no hello") };
        assert_eq!(hello["ev"], "hello");
    }

    /// Connects and identifies.
    ///
    /// # Panics
    /// When the node refuses.
    #[must_use]
    pub fn identified(node: &Node, person: &Person) -> Self {
        let mut raw = Self::greeted(node);
        raw.identify(person);
        raw
    }

    /// Identifies, as request 1; returns the session's token.
    ///
    /// # Panics
    /// When the node refuses.
    pub fn identify(&mut self, person: &Person) -> String {
        self.ask(&json!({"id": 1, "op": "identify", "token": person.signed.access_token, "device": "raw"}));
        let answer = self.answer(1);
        assert_eq!(answer["ok"]["user"]["id"], person.signed.user.id.to_string());
        let session = answer["ok"]["session"].as_str().expect("a session").to_owned();
        crate::canary::plant("session", &session);
        session
    }

    /// The head of an HTTP answer.
    ///
    /// # Panics
    /// When the connection ends before it.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.bytes.drain(..at + 4).collect();
                return String::from_utf8_lossy(&head).into_owned();
            }
            assert!(self.fill(), "the connection ended within a head");
        }
    }

    /// The body of an HTTP answer, of `length` bytes.
    ///
    /// # Panics
    /// When the connection ends before it.
    pub fn body(&mut self, length: usize) -> Vec<u8> {
        while self.bytes.len() < length {
            assert!(self.fill(), "the connection ended within a body");
        }
        self.bytes.drain(..length).collect()
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk) {
            Ok(read) => {
                self.bytes.extend(&chunk[..read]);
                read > 0
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the node said nothing for {SAYS_WITHIN:?}")
            }
            Err(_) => false,
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        // The node may have closed already, which the test hears.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request.
    pub fn ask(&mut self, request: &Value) {
        self.send(&asking(request));
    }

    /// The next thing the node says.
    ///
    /// # Panics
    /// When it does not speak JSON in a text message.
    pub fn hear(&mut self) -> Said {
        loop {
            if let Some((opcode, payload)) = self.whole() {
                return match opcode {
                    0x8 => Said::Close(u16::from_be_bytes([payload[0], payload[1]])),
                    0xA => Said::Pong(payload),
                    0x1 => Said::Json(serde_json::from_slice(&payload).expect("the node speaks JSON")),
                    _ => Said::Binary(payload),
                };
            }
            if !self.fill() {
                return Said::End;
            }
        }
    }

    fn whole(&mut self) -> Option<(u8, Vec<u8>)> {
        let (start, length) = match *self.bytes.get(1)? {
            126 => (4, u64::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(self.bytes.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        let end = start + usize::try_from(length).ok()?;
        if self.bytes.len() < end {
            return None;
        }
        let whole: Vec<u8> = self.bytes.drain(..end).collect();
        Some((whole[0] & 0xF, whole[start..].to_vec()))
    }

    /// The answer to request `re`; everything before it is passed over.
    ///
    /// # Panics
    /// When it does not come.
    pub fn answer(&mut self, re: u64) -> Value {
        loop {
            match self.hear() {
                Said::Json(value) if value["re"] == re => return value,
                Said::Json(_) => {}
                other => panic!("no answer to {re} but {other:?}"),
            }
        }
    }

    /// The next push named `ev`; everything before it is passed over.
    ///
    /// # Panics
    /// When it does not come.
    pub fn push(&mut self, ev: &str) -> Value {
        loop {
            match self.hear() {
                Said::Json(value) if value["ev"] == ev => return value,
                Said::Json(_) => {}
                other => panic!("no push {ev} but {other:?}"),
            }
        }
    }

    /// The close code; everything before it is passed over. None when there was none.
    pub fn code(&mut self) -> Option<u16> {
        loop {
            match self.hear() {
                Said::Close(code) => return Some(code),
                Said::End => return None,
                Said::Json(_) | Said::Binary(_) | Said::Pong(_) => {}
            }
        }
    }
}
