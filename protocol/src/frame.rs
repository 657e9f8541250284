//! What a client is sent, encoded once and shared by everyone who is sent it.
//!
//! A frame holds the WebSocket header and the payload in one piece, because a server's frames are
//! not masked: the same bytes go to every member of a room. The MessagePack form is made when the
//! first client of that kind needs it.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{ErrorCode, Refusal},
    event::Event,
};

/// The subprotocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `hubbub.v1.json`: text frames.
    Json,
    /// `hubbub.v1.msgpack`: binary frames of the same shapes.
    MessagePack,
}

impl Format {
    /// The name of the subprotocol.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "hubbub.v1.json",
            Self::MessagePack => "hubbub.v1.msgpack",
        }
    }

    /// The first of ours among those a client offers, separated by commas.
    #[must_use]
    pub fn negotiate(offered: &str) -> Option<Self> {
        let known = [Self::Json, Self::MessagePack];
        offered.split(',').find_map(|name| known.into_iter().find(|format| format.subprotocol() == name.trim()))
    }

    /// Reads one payload; `None` for anything but exactly one value of this format.
    #[must_use]
    pub fn read(self, payload: &[u8]) -> Option<Value> {
        match self {
            Self::Json => serde_json::from_slice(payload).ok(),
            Self::MessagePack => {
                let mut rest = payload;
                let value = {
                    let mut reader = rmp_serde::Deserializer::new(&mut rest);
                    reader.set_max_depth(128);
                    serde::Deserialize::deserialize(&mut reader).ok()
                };
                value.filter(|_| rest.is_empty())
            }
        }
    }

    /// Writes one payload.
    #[must_use]
    pub fn write(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Json => value.to_string().into_bytes(),
            Self::MessagePack => rmp_serde::to_vec_named(value).expect("JSON values fit MessagePack"),
        }
    }

    const fn opcode(self) -> u8 {
        match self {
            Self::Json => 0x1,
            Self::MessagePack => 0x2,
        }
    }
}

/// One frame to a client, header and all, in each format.
#[derive(Debug)]
pub struct Frame {
    json: Bytes,
    header_bytes: usize,
    packed: OnceLock<Bytes>,
    /// The moment from which its delivery is timed, as whoever times it counts; 0 for none.
    since: AtomicU64,
    answers: Option<Answers>,
}

/// Which request a frame answers, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// The client's number of the request.
    pub re: u32,
    /// Why it was refused, if it was.
    pub refused: Option<ErrorCode>,
}

impl Frame {
    /// A frame whose JSON payload is `payload`.
    #[must_use]
    pub fn new(payload: &[u8]) -> Self {
        let (json, header_bytes) = with_header(Format::Json.opcode(), payload);
        Self { json, header_bytes, packed: OnceLock::new(), since: AtomicU64::new(0), answers: None }
    }

    /// A frame of anything that can be written as JSON.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        Self::new(&serde_json::to_vec(value).expect("wire types have string keys and no failing parts"))
    }

    /// The answer `ok` to request `re`.
    #[must_use]
    pub fn ok(re: u32, ok: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Reply<'a, T> {
            re: u32,
            ok: &'a T,
        }
        Self { answers: Some(Answers { re, refused: None }), ..Self::of(&Reply { re, ok }) }
    }

    /// The answer `error` to request `re`.
    #[must_use]
    pub fn refused(re: u32, error: &Refusal) -> Self {
        #[derive(Serialize)]
        struct Reply<'a> {
            re: u32,
            error: &'a Refusal,
        }
        Self { answers: Some(Answers { re, refused: Some(error.code) }), ..Self::of(&Reply { re, error }) }
    }

    /// The push of an event.
    #[must_use]
    pub fn event(event: &Event) -> Self {
        Self::new(&event.encode())
    }

    /// The request that it answers, if it is an answer.
    #[must_use]
    pub const fn answers(&self) -> Option<Answers> {
        self.answers
    }

    /// Sets the moment from which its delivery is timed.
    pub fn set_since(&self, since: u64) {
        self.since.store(since, Ordering::Relaxed);
    }

    /// The moment from which its delivery is timed; 0 for none.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }

    /// Header and payload for a connection of `format`.
    #[must_use]
    pub fn wire(&self, format: Format) -> &Bytes {
        match format {
            Format::Json => &self.json,
            Format::MessagePack => self.packed.get_or_init(|| {
                let value = Format::Json.read(self.payload()).unwrap_or(Value::Null);
                with_header(format.opcode(), &format.write(&value)).0
            }),
        }
    }

    /// The JSON payload, sharing the frame's memory.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.json.slice(self.header_bytes..)
    }

    /// The JSON payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.json[self.header_bytes..]
    }
}

/// A whole, unmasked WebSocket message in one frame; with the length of its header.
fn with_header(opcode: u8, payload: &[u8]) -> (Bytes, usize) {
    let mut wire = Vec::with_capacity(payload.len() + 10);
    wire.push(0x80 | opcode);
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        wire.push(length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        wire.push(126);
        wire.extend(length.to_be_bytes());
    } else {
        wire.push(127);
        wire.extend((payload.len() as u64).to_be_bytes());
    }
    let header_bytes = wire.len();
    wire.extend(payload);
    (Bytes::from(wire), header_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_length_in_one_two_or_eight_bytes() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = Frame::new(&vec![b' '; length]);
            assert_eq!(frame.wire(Format::Json).len(), length + header);
            assert_eq!(frame.payload().len(), length);
        }
    }

    #[test]
    fn both_formats_say_the_same() {
        let frame = Frame::ok(7, &serde_json::json!({"seq": 1042, "text": "hé", "none": null}));
        assert_eq!(frame.wire(Format::Json)[0], 0x81);
        let packed = frame.wire(Format::MessagePack);
        assert_eq!(packed[0], 0x82);
        assert_eq!(Format::MessagePack.read(&packed[2..]), Format::Json.read(frame.payload()));
    }

    #[test]
    fn what_follows_a_value_makes_the_payload_unreadable() {
        assert_eq!(Format::MessagePack.read(&[0x01, 0x02]), None);
        assert_eq!(Format::MessagePack.read(&[0xc4, 0x01, 0x00]), None);
        assert_eq!(Format::Json.read(b"1 2"), None);
    }

    #[test]
    fn the_first_subprotocol_we_know_is_taken() {
        assert_eq!(Format::negotiate("x, hubbub.v1.msgpack, hubbub.v1.json"), Some(Format::MessagePack));
        assert_eq!(Format::negotiate("graphql-ws"), None);
    }
}
