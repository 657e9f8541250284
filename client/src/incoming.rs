//! What a node's frame says: an event, another push, or the answer to a request.

use bytes::Bytes;
use hubbub_protocol::{frame::Format, push::Push};
use serde::Deserialize;
use serde_json::Value;

use crate::track::Came;

/// A frame of the node's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Incoming {
    /// An event of a room.
    Event(Came),
    /// Any other push we know.
    Push(Push),
    /// An answer.
    Answer(Value),
    /// Something a later version added.
    Later,
}

/// As much of a frame as tells what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    re: Option<u32>,
    #[serde(default, borrow)]
    ev: Option<std::borrow::Cow<'a, str>>,
}

impl Incoming {
    /// Reads a payload; `None` for one that no version would send.
    pub(crate) fn read(format: Format, payload: Bytes) -> Option<Self> {
        match format {
            Format::Json => Self::read_json(payload),
            Format::MessagePack => {
                let value = format.read(&payload)?;
                let mut incoming = Self::read_json(Bytes::from(Format::Json.write(&value)))?;
                // The bytes of an event are those the node stores, whatever the format they came in.
                if let Self::Event(Came { event: Some(event), json, .. }) = &mut incoming {
                    *json = event.encode();
                }
                Some(incoming)
            }
        }
    }

    fn read_json(json: Bytes) -> Option<Self> {
        let head: Head<'_> = serde_json::from_slice(&json).ok()?;
        match (head.re, head.ev.as_deref()) {
            (Some(_), _) => serde_json::from_slice(&json).ok().map(Self::Answer),
            (None, Some("room")) => Came::read(json).map(Self::Event),
            (None, Some(_)) => Some(serde_json::from_slice(&json).map_or(Self::Later, Self::Push)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::{
        event::{Created, Event, EventBody},
        ids::{RoomId, Seq, UserId},
        time::Timestamp,
    };

    use super::*;

    fn json(text: &'static str) -> Option<Incoming> {
        Incoming::read(Format::Json, Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn each_kind_of_frame_is_told_from_the_others() {
        assert!(matches!(json(r#"{"re":7,"ok":{}}"#), Some(Incoming::Answer(_))));
        assert_eq!(json(r#"{"ev":"resumed"}"#), Some(Incoming::Push(Push::Resumed)));
        assert_eq!(json(r#"{"ev":"brand.new","x":1}"#), Some(Incoming::Later));
        assert_eq!(json("[]"), None);
        assert_eq!(json("{}"), None);
        assert_eq!(json(r#"{"ev":"room","room":"?"}"#), None);
    }

    #[test]
    fn an_event_has_the_same_bytes_in_both_formats() {
        let created = Created { text: "hi".into(), ..Created::default() };
        let body = EventBody::MessageCreated(Box::new(created));
        let (room, by) = (RoomId::from_raw(1), UserId::from_raw(2));
        let push = Event { room, seq: Seq(1), ts: Timestamp(0), by, key: None, body }.encode();
        let packed = Format::MessagePack.write(&Format::Json.read(&push).expect("JSON"));
        let read = Incoming::read(Format::MessagePack, packed.into());
        assert_eq!(read, Incoming::read(Format::Json, push.clone()));
        assert!(matches!(read, Some(Incoming::Event(Came { json, .. })) if json == push));
    }
}
