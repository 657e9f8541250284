//! The events of a room's log: the one thing that is stored, sent and folded.
//!
//! An event's stored form is its push: the JSON object that a subscriber is sent. So history and
//! fan-out copy bytes, and nothing is transcoded on the way.
//!
//! # Invariants
//!
//! * `Event::decode(&event.encode()) == event` for every event, of every kind.
//! * A kind, once numbered, keeps its number and its name for ever.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    emoji::Emoji,
    ids::{MessageKey, RoomId, Seq, UserId},
    text::Mentions,
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

/// Where a message of an archive came from: what an export needs to write it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// The id it had.
    pub id: String,
    /// Its time, to the digit.
    pub ts: String,
    /// Name of its author there, when an account could not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id there of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Its thread there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// `join`, `system`, `action` or `deleted`; none for a plain message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether a bot wrote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Whether it had been edited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
}

/// The content of `message.created`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Created {
    /// The text as it was sent.
    pub text: String,
    /// The message it answers, in the same room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Ids of its files.
    #[serde(default)]
    pub files: Vec<String>,
    /// Whom it mentions.
    #[serde(default)]
    pub mentions: Mentions,
    /// Where it came from, for a message of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal {
        $($(#[$fattr:meta])* $field:ident: $type:ty),* $(,)?
    };)*) => {
        /// The number of a kind of event in the database.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum EventKind {
            /// `message.created`.
            MessageCreated = 1,
            $($(#[$doc])* $name = $number,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[Self::MessageCreated, $(Self::$name),*];

            /// The `type` of the push.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::MessageCreated => "message.created",
                    $(Self::$name => $text,)*
                }
            }

            /// The kind with that number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
            }
        }

        /// What happened.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum EventBody {
            /// A message was sent.
            MessageCreated(Box<Created>),
            $($(#[$doc])* $name {
                $($(#[$fattr])* #[doc = concat!("`", stringify!($field), "` of the push's `data`.")] $field: $type,)*
            },)*
        }

        impl EventBody {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> EventKind {
                match self {
                    Self::MessageCreated(_) => EventKind::MessageCreated,
                    $(Self::$name { .. } => EventKind::$name,)*
                }
            }

            fn decode(kind: &str, data: &str) -> Result<Self, EventError> {
                match kind {
                    "message.created" => Ok(Self::MessageCreated(serde_json::from_str(data)?)),
                    $($text => {
                        #[derive(Deserialize)]
                        struct Data { $($(#[$fattr])* $field: $type,)* }
                        let Data { $($field),* } = serde_json::from_str(data)?;
                        Ok(Self::$name { $($field),* })
                    })*
                    other => Err(EventError::Kind(other.to_owned())),
                }
            }
        }
    };
}

bodies! {
    /// The author changed a message's text.
    MessageEdited = 2, "message.edited" { target: Seq, text: String, mentions: Mentions };
    /// A message was deleted; its place stays.
    MessageDeleted = 3, "message.deleted" {
        target: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
    };
    /// Many messages were deleted at once.
    MessagesPurged = 4, "messages.purged" {
        #[serde(default, skip_serializing_if = "Option::is_none")] user: Option<UserId>,
        from: Seq,
        to: Seq,
    };
    /// Somebody reacted. `count` stands for so many people unnamed by an archive.
    ReactionAdded = 5, "reaction.added" {
        target: Seq,
        emoji: Emoji,
        #[serde(default, skip_serializing_if = "Option::is_none")] count: Option<u32>,
    };
    /// Somebody took a reaction back.
    ReactionRemoved = 6, "reaction.removed" { target: Seq, emoji: Emoji };
    /// A message was pinned.
    MessagePinned = 7, "message.pinned" { target: Seq };
    /// A message was unpinned.
    MessageUnpinned = 8, "message.unpinned" { target: Seq };
    /// A thread grew out of a message; `room` is the thread's own room.
    ThreadCreated = 9, "thread.created" { target: Seq, room: RoomId, title: String };
    /// Somebody became a member.
    MemberJoined = 10, "member.joined" { user: UserId };
    /// A member left.
    MemberLeft = 11, "member.left" { user: UserId };
    /// A member was removed by somebody else.
    MemberRemoved = 12, "member.removed" {
        user: UserId,
        #[serde(default, skip_serializing_if = "Option::is_none")] reason: Option<String>,
        by: UserId,
    };
    /// A member's roles changed.
    MemberUpdated = 13, "member.updated" { user: UserId, roles: Vec<String> };
    /// The room's settings changed; the fields that did, with their new values.
    RoomUpdated = 14, "room.updated" { #[serde(flatten)] changed: serde_json::Map<String, serde_json::Value> };
    /// In a community's log: a room was made.
    RoomCreated = 15, "room.created" { room: RoomId, name: String, kind: crate::room::RoomKind };
    /// In a community's log: a room was deleted.
    RoomDeleted = 16, "room.deleted" { room: RoomId, name: String };
    /// In a community's log: its settings changed; the fields that did, with their new values.
    CommunityUpdated = 17, "community.updated" {
        #[serde(flatten)] changed: serde_json::Map<String, serde_json::Value>
    };
    /// In a community's log: an invite was made or revoked.
    InviteUpdated = 18, "invite.updated" { code: String, revoked: bool };
}

/// Groups of events that a client may ask for or leave out (`intents` of `identify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// Messages, edits, deletions, pins, threads and the room's own settings.
    Messages,
    /// Reactions.
    Reactions,
    /// Members coming and going.
    Members,
}

impl EventKind {
    /// The class a client asks for it by.
    #[must_use]
    pub const fn class(self) -> EventClass {
        match self {
            Self::ReactionAdded | Self::ReactionRemoved => EventClass::Reactions,
            Self::MemberJoined | Self::MemberLeft | Self::MemberRemoved | Self::MemberUpdated => {
                EventClass::Members
            }
            Self::MessageCreated
            | Self::MessageEdited
            | Self::MessageDeleted
            | Self::MessagesPurged
            | Self::MessagePinned
            | Self::MessageUnpinned
            | Self::ThreadCreated
            | Self::RoomUpdated
            | Self::RoomCreated
            | Self::RoomDeleted
            | Self::CommunityUpdated
            | Self::InviteUpdated => EventClass::Messages,
        }
    }
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

impl EventBody {
    /// The message this changes, for kinds that change one.
    #[must_use]
    pub const fn target(&self) -> Option<Seq> {
        match self {
            Self::MessageEdited { target, .. }
            | Self::MessageDeleted { target, .. }
            | Self::ReactionAdded { target, .. }
            | Self::ReactionRemoved { target, .. }
            | Self::MessagePinned { target }
            | Self::MessageUnpinned { target }
            | Self::ThreadCreated { target, .. } => Some(*target),
            Self::MessageCreated(_)
            | Self::MessagesPurged { .. }
            | Self::MemberJoined { .. }
            | Self::MemberLeft { .. }
            | Self::MemberRemoved { .. }
            | Self::MemberUpdated { .. }
            | Self::RoomUpdated { .. }
            | Self::RoomCreated { .. }
            | Self::RoomDeleted { .. }
            | Self::CommunityUpdated { .. }
            | Self::InviteUpdated { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
