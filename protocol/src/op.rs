//! What a client asks over its socket.
//!
//! A frame that names no `id` and `op` cannot be answered and closes the connection
//! ([`Unanswerable`]); everything else is answered, if only with a refusal that names the field.

use serde_json::{Map, Value, json};

use crate::{
    emoji::Emoji,
    error::Refusal,
    fields::Fields,
    frame::Format,
    ids::{MessageKey, RoomId, Seq, UserId},
    limits::{
        DEVICE_CHARS_MAX, FILES_MAX, NAME_CHARS_MAX, PAGE_DEFAULT, PAGE_MAX, REASON_CHARS_MAX, STATUS_CHARS_MAX,
        SUBSCRIPTIONS_MAX, WATCH_USERS_MAX,
    },
    push::Status,
    text::{line, optional_line},
};

/// A frame that cannot be answered; the connection is closed with 4001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame is no object with a number `id` and a string `op`")]
pub struct Unanswerable;

/// A request, with the number its answer will carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The client's number.
    pub id: u32,
    /// What is asked, or why it cannot be.
    pub op: Result<Op, Refusal>,
}

/// Which pushes a session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intents(u8);

impl Intents {
    const NAMES: [&'static str; 6] = ["messages", "reactions", "members", "typing", "presence", "unread"];
    /// Messages, edits, deletions, pins, threads.
    pub const MESSAGES: Self = Self(1);
    /// Reactions.
    pub const REACTIONS: Self = Self(2);
    /// Members.
    pub const MEMBERS: Self = Self(4);
    /// Who is typing.
    pub const TYPING: Self = Self(8);
    /// Presence.
    pub const PRESENCE: Self = Self(16);
    /// Unread counts.
    pub const UNREAD: Self = Self(32);
    /// All, the default.
    pub const ALL: Self = Self(63);

    /// Whether `wanted` is among them.
    #[must_use]
    pub const fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Those named; names of later versions count for nothing.
    #[must_use]
    pub fn named(names: &[String]) -> Self {
        let bit = |name: &String| Self::NAMES.iter().position(|known| known == name).map_or(0, |at| 1 << at);
        Self(names.iter().map(bit).fold(0, |bits, bit| bits | bit))
    }

    /// Their names.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        (0..Self::NAMES.len()).filter(|at| self.0 & (1 << at) != 0).map(|at| Self::NAMES[at]).collect()
    }
}

/// How a session follows a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every event.
    #[default]
    Live,
    /// Only how far the room has got.
    Unread,
}

impl Mode {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Unread => "unread",
        }
    }
}

/// Which page of history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Newest,
    /// Before a seq.
    Before(Seq),
    /// After a seq.
    After(Seq),
    /// Around a seq.
    Around(Seq),
}

/// Whose presence is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// These people.
    Users(Vec<UserId>),
    /// A stretch of a room's member list.
    Members {
        /// The room.
        room: RoomId,
        /// First place, from 0.
        from: u64,
        /// Place after the last.
        to: u64,
    },
}

/// What a client may ask.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the contract, docs/protocol.md")]
pub enum Op {
    /// Begins a session.
    Identify { token: String, device: String, intents: Intents },
    /// Goes on with a session.
    Resume { token: String, session: String, cursors: Vec<(RoomId, Seq)> },
    /// Says that the client is there.
    Heartbeat,
    /// Brings a fresh access token.
    Reauth { token: String },
    /// Follows a room.
    Subscribe { room: RoomId, after: Option<Seq>, mode: Mode },
    /// Stops following a room.
    Unsubscribe { room: RoomId },
    /// Sends a message.
    Send { room: RoomId, key: MessageKey, text: String, reply_to: Option<Seq>, files: Vec<String>, retry: bool },
    /// Changes the text of one's message.
    Edit { room: RoomId, seq: Seq, text: String },
    /// Deletes a message.
    Delete { room: RoomId, seq: Seq, reason: Option<String> },
    /// Reacts.
    React { room: RoomId, seq: Seq, emoji: Emoji },
    /// Takes a reaction back.
    Unreact { room: RoomId, seq: Seq, emoji: Emoji },
    /// Pins a message.
    Pin { room: RoomId, seq: Seq },
    /// Unpins a message.
    Unpin { room: RoomId, seq: Seq },
    /// Reads a page of messages.
    History { room: RoomId, page: Page, limit: usize },
    /// Begins a thread, or finds it.
    Thread { room: RoomId, seq: Seq, title: Option<String> },
    /// Says that the user is typing.
    Typing { room: RoomId },
    /// Moves the read marker.
    Read { room: RoomId, seq: Seq },
    /// Sets one's presence.
    Presence { status: Status, text: Option<String>, emoji: Option<Emoji> },
    /// Asks for the presence of people, and to be told of changes.
    Watch(Watched),
}

impl Request {
    /// Reads a client's frame, JSON or MessagePack.
    ///
    /// # Errors
    /// [`Unanswerable`].
    pub fn decode(payload: &[u8], format: Format) -> Result<Self, Unanswerable> {
        let value = format.read(payload).ok_or(Unanswerable)?;
        let object = value.as_object().ok_or(Unanswerable)?;
        let id =
            object.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()).ok_or(Unanswerable)?;
        let op = object.get("op").and_then(Value::as_str).ok_or(Unanswerable)?;
        Ok(Self { id, op: Op::read(op, Fields(object)) })
    }
}

impl Op {
    fn read(op: &str, fields: Fields<'_>) -> Result<Self, Refusal> {
        Ok(match op {
            "identify" => {
                let device = fields.maybe_text("device")?.unwrap_or_default();
                let intents = fields.texts("intents", 64)?;
                Self::Identify {
                    token: fields.text("token")?,
                    device: optional_line("device", device, DEVICE_CHARS_MAX)?,
                    intents: intents.map_or(Intents::ALL, |names| Intents::named(&names)),
                }
            }
            "resume" => Self::Resume {
                token: fields.text("token")?,
                session: fields.text("session")?,
                cursors: fields.cursors("cursors", SUBSCRIPTIONS_MAX)?,
            },
            "heartbeat" => Self::Heartbeat,
            "reauth" => Self::Reauth { token: fields.text("token")? },
            "subscribe" => {
                Self::Subscribe { room: fields.room()?, after: fields.maybe_seq("after")?, mode: mode(fields)? }
            }
            "unsubscribe" => Self::Unsubscribe { room: fields.room()? },
            "send" => Self::Send {
                room: fields.room()?,
                key: fields.key()?,
                text: fields.text("text")?,
                reply_to: fields.maybe_seq("reply_to")?,
                files: fields.texts("files", FILES_MAX)?.unwrap_or_default(),
                retry: fields.flag("retry")?,
            },
            "edit" => Self::Edit { room: fields.room()?, seq: fields.seq("seq")?, text: fields.text("text")? },
            "delete" => {
                let reason = fields.maybe_text("reason")?;
                let reason = reason.map(|text| optional_line("reason", text, REASON_CHARS_MAX)).transpose()?;
                Self::Delete { room: fields.room()?, seq: fields.seq("seq")?, reason }
            }
            "react" => Self::React { room: fields.room()?, seq: fields.seq("seq")?, emoji: emoji(fields)? },
            "unreact" => Self::Unreact { room: fields.room()?, seq: fields.seq("seq")?, emoji: emoji(fields)? },
            "pin" => Self::Pin { room: fields.room()?, seq: fields.seq("seq")? },
            "unpin" => Self::Unpin { room: fields.room()?, seq: fields.seq("seq")? },
            "history" => Self::History {
                room: fields.room()?,
                page: page(fields)?,
                limit: fields.limit(PAGE_DEFAULT, PAGE_MAX)?,
            },
            "thread" => {
                let title = fields.maybe_text("title")?;
                let title = title.map(|text| line("title", text, NAME_CHARS_MAX)).transpose()?;
                Self::Thread { room: fields.room()?, seq: fields.seq("seq")?, title }
            }
            "typing" => Self::Typing { room: fields.room()? },
            "read" => Self::Read { room: fields.room()?, seq: fields.seq("seq")? },
            "presence" => {
                let text = fields.maybe_text("text")?;
                Self::Presence {
                    status: status(fields)?,
                    text: text.map(|text| optional_line("text", text, STATUS_CHARS_MAX)).transpose()?,
                    emoji: fields.maybe_text("emoji")?.map(|text| Emoji::parse(&text)).transpose()?,
                }
            }
            "watch" => Self::Watch(watched(fields)?),
            other => {
                let other: String = other.chars().take(32).collect();
                return Err(Refusal::field("op", format!("there is no op `{other}`")));
            }
        })
    }

    /// The request as a client sends it under `id`.
    #[must_use]
    pub fn to_json(&self, id: u32) -> Value {
        let (op, fields) = self.parts();
        let mut object = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        object.retain(|_, value| !value.is_null());
        object.insert("id".into(), id.into());
        object.insert("op".into(), op.into());
        Value::Object(object)
    }

    fn parts(&self) -> (&'static str, Value) {
        match self {
            Self::Identify { token, device, intents } => {
                ("identify", json!({"token": token, "device": device, "intents": intents.names()}))
            }
            Self::Resume { token, session, cursors } => {
                let cursors: Map<_, _> =
                    cursors.iter().map(|(room, seq)| (room.to_string(), seq.0.into())).collect();
                ("resume", json!({"token": token, "session": session, "cursors": cursors}))
            }
            Self::Heartbeat => ("heartbeat", json!({})),
            Self::Reauth { token } => ("reauth", json!({"token": token})),
            Self::Subscribe { room, after, mode } => {
                ("subscribe", json!({"room": room, "after": after, "mode": mode.as_str()}))
            }
            Self::Unsubscribe { room } => ("unsubscribe", json!({"room": room})),
            Self::Send { room, key, text, reply_to, files, retry } => {
                let files = (!files.is_empty()).then_some(files);
                let retry = retry.then_some(true);
                let fields = json!({"room": room, "key": key, "text": text, "reply_to": reply_to, "files": files, "retry": retry});
                ("send", fields)
            }
            Self::Edit { room, seq, text } => ("edit", json!({"room": room, "seq": seq, "text": text})),
            Self::Delete { room, seq, reason } => ("delete", json!({"room": room, "seq": seq, "reason": reason})),
            Self::React { room, seq, emoji } => ("react", json!({"room": room, "seq": seq, "emoji": emoji})),
            Self::Unreact { room, seq, emoji } => ("unreact", json!({"room": room, "seq": seq, "emoji": emoji})),
            Self::Pin { room, seq } => ("pin", json!({"room": room, "seq": seq})),
            Self::Unpin { room, seq } => ("unpin", json!({"room": room, "seq": seq})),
            Self::History { room, page, limit } => {
                let (before, after, around) = match page {
                    Page::Newest => (None, None, None),
                    Page::Before(seq) => (Some(seq), None, None),
                    Page::After(seq) => (None, Some(seq), None),
                    Page::Around(seq) => (None, None, Some(seq)),
                };
                let fields =
                    json!({"room": room, "before": before, "after": after, "around": around, "limit": limit});
                ("history", fields)
            }
            Self::Thread { room, seq, title } => ("thread", json!({"room": room, "seq": seq, "title": title})),
            Self::Typing { room } => ("typing", json!({"room": room})),
            Self::Read { room, seq } => ("read", json!({"room": room, "seq": seq})),
            Self::Presence { status, text, emoji } => {
                ("presence", json!({"status": status, "text": text, "emoji": emoji}))
            }
            Self::Watch(Watched::Users(users)) => ("watch", json!({"users": users})),
            Self::Watch(Watched::Members { room, from, to }) => {
                ("watch", json!({"room": room, "window": [from, to]}))
            }
        }
    }
}

fn mode(fields: Fields<'_>) -> Result<Mode, Refusal> {
    match fields.maybe_text("mode")?.as_deref() {
        None | Some("live") => Ok(Mode::Live),
        Some("unread") => Ok(Mode::Unread),
        Some(_) => Err(Refusal::field("mode", "`mode` is `live` or `unread`")),
    }
}

fn emoji(fields: Fields<'_>) -> Result<Emoji, Refusal> {
    fields.text("emoji").and_then(|text| Emoji::parse(&text))
}

fn status(fields: Fields<'_>) -> Result<Status, Refusal> {
    let wrong = || Refusal::field("status", "`status` is `online`, `idle`, `dnd` or `invisible`");
    Status::settable(&fields.text("status")?).ok_or_else(wrong)
}

/// The window that `before`, `after` or `around` asks for.
///
/// # Errors
/// `bad_request` when more than one is given.
pub fn page(fields: Fields<'_>) -> Result<Page, Refusal> {
    let given = (fields.maybe_seq("before")?, fields.maybe_seq("after")?, fields.maybe_seq("around")?);
    match given {
        (None, None, None) => Ok(Page::Newest),
        (Some(seq), None, None) => Ok(Page::Before(seq)),
        (None, Some(seq), None) => Ok(Page::After(seq)),
        (None, None, Some(seq)) => Ok(Page::Around(seq)),
        (None, ..) => Err(Refusal::field("around", "only one of `before`, `after` and `around` may be given")),
        _ => Err(Refusal::field("before", "only one of `before`, `after` and `around` may be given")),
    }
}

fn watched(fields: Fields<'_>) -> Result<Watched, Refusal> {
    if let Some(users) = fields.users("users", WATCH_USERS_MAX)? {
        return Ok(Watched::Users(users));
    }
    let wrong = || {
        Refusal::field("window", format!("`window` is [from, to] with from < to, at most {WATCH_USERS_MAX} apart"))
    };
    let room = fields.room()?;
    let window = fields.0.get("window").and_then(Value::as_array).ok_or_else(wrong)?;
    let [from, to] = window.as_slice() else {
        return Err(wrong());
    };
    let (from, to) = (from.as_u64().ok_or_else(wrong)?, to.as_u64().ok_or_else(wrong)?);
    if from >= to || to - from > WATCH_USERS_MAX as u64 {
        return Err(wrong());
    }
    Ok(Watched::Members { room, from, to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn decode(json: &str) -> Result<Request, Unanswerable> {
        Request::decode(json.as_bytes(), Format::Json)
    }

    #[test]
    fn a_frame_without_id_or_op_cannot_be_answered() {
        for json in
            ["", "[]", "{", r#"{"op":"send"}"#, r#"{"id":1}"#, r#"{"id":-1,"op":"send"}"#, r#"{"id":1,"op":2}"#]
        {
            assert_eq!(decode(json), Err(Unanswerable), "{json}");
        }
        assert_eq!(decode(r#"{"id":4294967296,"op":"heartbeat"}"#), Err(Unanswerable));
        assert_eq!(decode(r#"{"id":1,"op":"send","text":"\ud800"}"#), Err(Unanswerable));
        assert_eq!(Request::decode(b"\xff\xfe", Format::Json), Err(Unanswerable));
    }

    #[test]
    fn an_unknown_op_is_answered() {
        let request = decode(r#"{"id":7,"op":"dance"}"#).expect("answerable");
        assert_eq!(request.id, 7);
        assert_eq!(request.op.expect_err("unknown").code, ErrorCode::BadRequest);
    }

    #[test]
    fn every_op_reads_back_in_both_formats() {
        let (room, seq) = (RoomId::from_raw(5), Seq(9));
        let thumb = Emoji::parse("👍").expect("an emoji");
        let ops = [
            Op::Identify { token: "t".into(), device: "d".into(), intents: Intents::TYPING },
            Op::Resume { token: "t".into(), session: "s".into(), cursors: vec![(room, seq)] },
            Op::Heartbeat,
            Op::Reauth { token: "t".into() },
            Op::Subscribe { room, after: Some(Seq(0)), mode: Mode::Unread },
            Op::Unsubscribe { room },
            Op::Send {
                room,
                key: MessageKey(uuid::Uuid::from_u128(7)),
                text: "hi".into(),
                reply_to: Some(seq),
                files: vec!["f".into()],
                retry: true,
            },
            Op::Edit { room, seq, text: "x".into() },
            Op::Delete { room, seq, reason: Some("spam".into()) },
            Op::React { room, seq, emoji: thumb.clone() },
            Op::Unreact { room, seq, emoji: thumb },
            Op::Pin { room, seq },
            Op::Unpin { room, seq },
            Op::History { room, page: Page::Around(seq), limit: 20 },
            Op::Thread { room, seq, title: Some("t".into()) },
            Op::Typing { room },
            Op::Read { room, seq },
            Op::Presence { status: Status::Dnd, text: Some("busy".into()), emoji: None },
            Op::Watch(Watched::Users(vec![UserId::from_raw(3)])),
            Op::Watch(Watched::Members { room, from: 0, to: 100 }),
        ];
        for op in ops {
            for format in [Format::Json, Format::MessagePack] {
                let payload = format.write(&op.to_json(3));
                assert_eq!(Request::decode(&payload, format), Ok(Request { id: 3, op: Ok(op.clone()) }));
            }
        }
    }

    #[test]
    fn two_windows_at_once_are_refused() {
        let request = decode(r#"{"id":1,"op":"history","room":"0000000000001","before":1,"after":2}"#);
        assert_eq!(request.expect("answerable").op.expect_err("two").code, ErrorCode::BadRequest);
    }
}
