//! The events of a room's log: the one thing that is stored, sent and folded.
//!
//! An event's stored form is its push: the JSON object that a subscriber is sent. So history and
//! fan-out copy bytes, and nothing is transcoded on the way.
//!
//! # Invariants
//!
//! * `Event::decode(&event.encode()) == event` for every event, of every kind.
//! * A kind, once numbered, keeps its number and its name for ever.

mod body;
mod class;
mod created;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::{
    body::{EventBody, EventKind},
    class::EventClass,
    created::{Created, Imported},
};
use crate::{
    ids::{MessageKey, RoomId, Seq, UserId},
    time::Timestamp,
};

/// Stored bytes that no version of ours wrote.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not the JSON of a push.
    #[error("the stored event is not the JSON we write")]
    Json(#[from] serde_json::Error),
    /// A kind of a later version.
    #[error("the stored event is of the unknown kind `{0}`")]
    Kind(String),
}

/// One durable change of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The room.
    pub room: RoomId,
    /// Its place in the room.
    pub seq: Seq,
    /// When the owner of the room took it in.
    pub ts: Timestamp,
    /// Who did it.
    pub by: UserId,
    /// For `message.created`, the client's key.
    pub key: Option<MessageKey>,
    /// What happened.
    pub body: EventBody,
}

#[derive(Serialize)]
struct PushOut<'a> {
    ev: &'static str,
    room: RoomId,
    seq: Seq,
    ts: Timestamp,
    r#type: &'static str,
    by: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<MessageKey>,
    data: &'a EventBody,
}

#[derive(Deserialize)]
struct PushIn<'a> {
    room: RoomId,
    seq: Seq,
    ts: Timestamp,
    #[serde(borrow)]
    r#type: std::borrow::Cow<'a, str>,
    by: UserId,
    #[serde(default)]
    key: Option<MessageKey>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Event {
    /// The push, as it is stored and sent.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let push = PushOut {
            ev: "room",
            room: self.room,
            seq: self.seq,
            ts: self.ts,
            r#type: self.body.kind().as_str(),
            by: self.by,
            key: self.key,
            data: &self.body,
        };
        Bytes::from(serde_json::to_vec(&push).expect("an event has string keys and no failing parts"))
    }

    /// Reads a push back.
    ///
    /// # Errors
    /// [`EventError`]: other bytes than ours, or a kind of a later version.
    pub fn decode(push: &[u8]) -> Result<Self, EventError> {
        let PushIn { room, seq, ts, r#type, by, key, data } = serde_json::from_slice(push)?;
        Ok(Self { room, seq, ts, by, key, body: EventBody::decode(&r#type, data.get())? })
    }

    /// The message this event changes, for kinds that change one.
    #[must_use]
    pub const fn target(&self) -> Option<Seq> {
        self.body.target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{emoji::Emoji, text::Mentions};

    fn event(body: EventBody) -> Event {
        Event {
            room: RoomId::from_raw(5),
            seq: Seq(1042),
            ts: Timestamp(1_795_435_200_007),
            by: UserId::from_raw(9),
            key: None,
            body,
        }
    }

    #[test]
    fn a_message_is_stored_as_the_push_of_the_contract() {
        let created = Created { text: "hi **all**".into(), reply_to: Some(Seq(1040)), ..Created::default() };
        let key = MessageKey(uuid::Uuid::from_u128(1));
        let event = Event { key: Some(key), ..event(EventBody::MessageCreated(Box::new(created))) };
        let wanted = concat!(
            r#"{"ev":"room","room":"0000000000005","seq":1042,"ts":"2026-11-23T12:00:00.007Z","#,
            r#""type":"message.created","by":"0000000000009","key":"00000000-0000-0000-0000-000000000001","#,
            r#""data":{"text":"hi **all**","reply_to":1040,"files":[],"#,
            r#""mentions":{"users":[],"roles":[],"everyone":false}}}"#
        );
        assert_eq!(std::str::from_utf8(&event.encode()).expect("JSON"), wanted);
        assert_eq!(Event::decode(wanted.as_bytes()).expect("our own form"), event);
    }

    #[test]
    fn every_kind_reads_back() {
        let (user, target) = (UserId::from_raw(3), Seq(7));
        let emoji = Emoji::parse("👍").expect("an emoji");
        let changed: serde_json::Map<_, _> = [("topic".to_owned(), "new".into())].into_iter().collect();
        let bodies = [
            EventBody::MessageCreated(Box::default()),
            EventBody::MessageEdited { target, text: "b\n\"".into(), mentions: Mentions::default() },
            EventBody::MessageDeleted { target, reason: Some("spam".into()) },
            EventBody::MessagesPurged { user: Some(user), from: Seq(1), to: Seq(2) },
            EventBody::ReactionAdded { target, emoji: emoji.clone(), count: Some(3) },
            EventBody::ReactionRemoved { target, emoji },
            EventBody::MessagePinned { target },
            EventBody::MessageUnpinned { target },
            EventBody::ThreadCreated { target, room: RoomId::from_raw(6), title: "t".into() },
            EventBody::MemberJoined { user },
            EventBody::MemberLeft { user },
            EventBody::MemberRemoved { user, reason: None, by: user },
            EventBody::MemberUpdated { user, roles: vec!["a".into()] },
            EventBody::RoomUpdated { changed: changed.clone() },
            EventBody::RoomCreated {
                room: RoomId::from_raw(6),
                name: "n".into(),
                kind: crate::room::RoomKind::Text,
            },
            EventBody::RoomDeleted { room: RoomId::from_raw(6), name: "n".into() },
            EventBody::CommunityUpdated { changed },
            EventBody::InviteUpdated { code: "c".into(), revoked: true },
        ];
        assert_eq!(bodies.len(), EventKind::ALL.len(), "a kind is missing from this test");
        for body in bodies {
            let event = event(body);
            assert_eq!(EventKind::from_number(event.body.kind() as u8), Some(event.body.kind()));
            assert_eq!(Event::decode(&event.encode()).expect("our own form"), event);
        }
    }

    #[test]
    fn foreign_bytes_are_an_error_and_no_panic() {
        for bytes in [&b""[..], b"{}", b"\xff\xfe", br#"{"ev":"room"}"#] {
            assert!(Event::decode(bytes).is_err());
        }
    }
}
