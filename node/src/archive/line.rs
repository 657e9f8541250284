//! The form of an archive's lines.
//!
//! # Invariants
//!
//! * A line that was written by [`Entry::write`] reads back as itself, and the other way round: keys in
//!   the order of the fields below, nothing between them, no character escaped that need not be.

use hubbub_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest line, in bytes; the longest of any archive we know has 11 KB.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most reactions on one message of an archive, so that a message and all about it is one commit.
pub const REACTIONS_MAX: usize = 10_000;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its id, unique in the community.
    pub id: String,
    /// Name of its room.
    pub room: String,
    /// Name of its author.
    pub user: String,
    /// When, RFC 3339 in UTC, with as many digits as are known.
    pub ts: String,
    /// The text, Markdown-ish.
    pub text: String,
    /// Id of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Id of its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Reactions in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    /// `join`, `system`, `action` or `deleted`; none for a plain message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether a bot wrote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Whether it was edited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
}

/// A reaction: of somebody, or of so many who are not named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reaction {
    /// A shortcode without colons, or the emoji itself.
    pub emoji: String,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// The title of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// Id of the thread.
    pub thread: String,
    /// Name of its room.
    pub room: String,
    /// The title.
    pub title: String,
}

/// A line, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A message.
    Message(Box<Line>),
    /// A thread's title.
    Title(Title),
}

/// Why a line was refused.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No JSON, or not these fields.
    #[error("not a line of an archive: {0}")]
    Json(#[from] serde_json::Error),
    /// A time that cannot be read.
    #[error("`ts` is `{0}`: write it as 2015-06-06T10:00:00Z")]
    Time(String),
    /// A field that must say something says nothing.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// A room's name of more than one line.
    #[error("`room` holds a line break")]
    RoomBreaks,
    /// A reaction that names nobody and counts nobody, or does both.
    #[error("a reaction has either `user` or `count`")]
    Reaction,
    /// Too many reactions.
    #[error("more than {REACTIONS_MAX} reactions on one message")]
    Reactions,
    /// Too long.
    #[error("longer than {LINE_BYTES_MAX} bytes")]
    Long,
}

impl Line {
    /// Names of its author and of who reacted to it; one may come twice.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        let reacted = self.reactions.iter().filter_map(|reaction| reaction.user.as_deref());
        std::iter::once(self.user.as_str()).chain(reacted)
    }
}

impl Entry {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, LineError> {
        let entry = match serde_json::from_slice::<Line>(bytes) {
            Ok(line) => Self::Message(Box::new(line)),
            Err(error) => match serde_json::from_slice::<Title>(bytes) {
                Ok(title) => Self::Title(title),
                Err(_) => return Err(error.into()),
            },
        };
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), LineError> {
        let line = match self {
            Self::Message(line) => line,
            Self::Title(title) => {
                filled("thread", &title.thread)?;
                return one_line(&title.room);
            }
        };
        filled("id", &line.id)?;
        one_line(&line.room)?;
        Timestamp::parse(&line.ts).map_err(|_| LineError::Time(line.ts.clone()))?;
        if line.reactions.iter().any(|reaction| reaction.user.is_some() == reaction.count.is_some()) {
            return Err(LineError::Reaction);
        }
        if line.reactions.len() > REACTIONS_MAX {
            return Err(LineError::Reactions);
        }
        line.thread.as_deref().map_or(Ok(()), |thread| filled("thread", thread))
    }

    /// Appends the line and its end to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Message(line) => serde_json::to_writer(&mut *out, line),
            Self::Title(title) => serde_json::to_writer(&mut *out, title),
        };
        written.expect("strings and numbers can always be written to memory");
        out.push(b'\n');
    }
}

fn filled(field: &'static str, value: &str) -> Result<(), LineError> {
    if value.is_empty() { Err(LineError::Empty(field)) } else { Ok(()) }
}

/// Judges the name of a room.
pub(crate) fn one_line(room: &str) -> Result<(), LineError> {
    if room.contains('\n') {
        return Err(LineError::RoomBreaks);
    }
    filled("room", room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let mut out = Vec::new();
        Entry::read(text.as_bytes()).expect(text).write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn a_line_is_written_as_it_was_read() {
        for line in [
            r#"{"id":"a:1","room":"開発/#1","user":"ア ダ","ts":"2015-06-06T10:00Z","text":""}"#.replace("00Z", "00:00Z"),
            r#"{"id":"a:2","room":"r","user":"u","ts":"2015-06-06T10:00:00.000001Z","text":"a\n\"\u0001é/","reply_to":"a:1","thread":"t","reactions":[{"emoji":"+1","user":"u"},{"emoji":"x","count":3}],"kind":"action","bot":true,"edited":true}"#.to_owned(),
            r#"{"thread":"t","room":"r","title":"T"}"#.to_owned(),
        ] {
            assert_eq!(again(&line), format!("{line}\n"));
        }
    }

    #[test]
    fn a_malformed_line_is_refused_with_what_is_wrong() {
        let with = |field: &str, value: &str| {
            let whole =
                serde_json::json!({"id": "a", "room": "r", "user": "u", "ts": "2015-06-06T10:00:00Z", "text": ""});
            let serde_json::Value::Object(mut whole) = whole else { unreachable!("an object was written above") };
            whole.insert(field.to_owned(), serde_json::from_str(value).expect("JSON"));
            Entry::read(serde_json::Value::Object(whole).to_string().as_bytes()).map_err(|error| error.to_string())
        };
        assert!(with("text", "\"ok\"").is_ok());
        for (field, value, wrong) in [
            ("ts", "\"yesterday\"", "`ts` is `yesterday`"),
            ("id", "\"\"", "`id` is empty"),
            ("room", "\"a\\nb\"", "line break"),
            ("colour", "1", "unknown field `colour`"),
            ("reactions", r#"[{"emoji":"x"}]"#, "either `user` or `count`"),
            ("reactions", r#"[{"emoji":"x","user":"u","count":1}]"#, "either `user` or `count`"),
            ("text", "7", "invalid type"),
        ] {
            let refused = with(field, value).expect_err(value);
            assert!(refused.contains(wrong), "{refused}");
        }
        assert!(Entry::read(b"{\"id\":").is_err());
        assert!(Entry::read(b"\xff").is_err());
    }
}
