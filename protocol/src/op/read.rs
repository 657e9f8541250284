//! Reads a request's fields; each refusal names the field that is wrong.

use serde_json::Value;

use super::{Intents, Mode, Op, Page, Watched};
use crate::{
    emoji::Emoji,
    error::Refusal,
    fields::Fields,
    limits::{
        DEVICE_CHARS_MAX, FILES_MAX, NAME_CHARS_MAX, PAGE_DEFAULT, PAGE_MAX, REASON_CHARS_MAX, STATUS_CHARS_MAX,
        SUBSCRIPTIONS_MAX, WATCH_USERS_MAX,
    },
    push::Status,
    text::{line, optional_line},
};

impl Op {
    pub(super) fn read(op: &str, fields: Fields<'_>) -> Result<Self, Refusal> {
        Ok(match op {
            "identify" => {
                let device = fields.maybe_text("device")?.unwrap_or_default();
                let intents = fields.texts("intents", 64)?;
                Self::Identify {
                    token: fields.text("token")?.into(),
                    device: optional_line("device", device, DEVICE_CHARS_MAX)?,
                    intents: intents.map_or(Intents::ALL, |names| Intents::named(&names)),
                }
            }
            "resume" => Self::Resume {
                token: fields.text("token")?.into(),
                session: fields.text("session")?.into(),
                cursors: fields.cursors("cursors", SUBSCRIPTIONS_MAX)?,
            },
            "heartbeat" => Self::Heartbeat,
            "reauth" => Self::Reauth { token: fields.text("token")?.into() },
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
