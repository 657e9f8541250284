//! The documented errors: codes of answers, and codes with which a connection is closed.
//!
//! Each [`ErrorCode`] has a section in `docs/errors.md`; a test holds the two together.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $retryable:literal;)*) => {
        /// Why a request was not carried out, in a word a program can act on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
            /// A code this version does not know; clients treat it as final.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl ErrorCode {
            /// Every code the server gives.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it stands on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown => "unknown",
                }
            }

            /// The HTTP status that goes with the code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Unknown => 500,
                }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self {
                    $(Self::$name => $retryable,)*
                    Self::Unknown => false,
                }
            }
        }
    };
}

codes! {
    /// A field is missing, of the wrong type or out of range; `field` names it.
    BadRequest = "bad_request", 400, false;
    /// No valid token came with the request.
    Unauthorized = "unauthorized", 401, false;
    /// The caller may know of the thing but not do this to it.
    Forbidden = "forbidden", 403, false;
    /// Nothing there, or nothing the caller may know of.
    NotFound = "not_found", 404, false;
    /// The caller is not a member of the room.
    NotMember = "not_member", 403, false;
    /// It collides with what is there already.
    Conflict = "conflict", 409, false;
    /// Too many requests; `retry_after_ms` says when to try again.
    RateLimited = "rate_limited", 429, true;
    /// The request is larger than the limit.
    TooLarge = "too_large", 413, false;
    /// The room is changing node; repeat with the same key.
    Moving = "moving", 503, true;
    /// The node has too much to do; repeat later.
    Busy = "busy", 503, true;
    /// The store does not answer; repeat with the same key.
    Unavailable = "unavailable", 503, true;
    /// A fault of the server's, told in its log.
    Internal = "internal", 500, false;
    /// The room lets a member send again after `retry_after_ms`.
    SlowMode = "slow_mode", 429, true;
    /// The room takes no more messages.
    Archived = "archived", 409, false;
    /// The text is longer than a message may be.
    TooLong = "too_long", 422, false;
    /// The text is empty, or white space only.
    Empty = "empty", 422, false;
    /// A rule of the community refused the text.
    BlockedByAutomod = "blocked_by_automod", 422, false;
    /// Only a message's author may edit it.
    NotAuthor = "not_author", 403, false;
    /// The message has as many different reactions as one may have.
    TooManyReactions = "too_many_reactions", 409, false;
    /// The room has as many pins as it may have.
    TooManyPins = "too_many_pins", 409, false;
    /// Accounts are not open to everyone here; ask for an invite.
    RegistrationClosed = "registration_closed", 403, false;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A documented "no": an answer to the caller, not a failure of the server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, utoipa::ToSchema)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code, to act on.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// When to try again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The field that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Refusal {
    /// A refusal with `code`, said to a person as `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: code.retryable(), retry_after_ms: None, field: None }
    }

    /// `bad_request` for `field`.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut refusal = Self::new(ErrorCode::BadRequest, message);
        refusal.field = Some(field.into());
        refusal
    }

    /// `not_found`, worded for a `what` that may or may not exist.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// `forbidden`, naming the right that is missing.
    #[must_use]
    pub fn forbidden(right: &str) -> Self {
        Self::new(ErrorCode::Forbidden, format!("this needs the right to {right}"))
    }

    /// The same with a time after which to try again.
    #[must_use]
    pub const fn after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

/// Why the server closes a connection; the WebSocket close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The client said goodbye first.
    Normal = 1000,
    /// The WebSocket protocol itself was broken.
    Protocol = 1002,
    /// A frame that cannot be answered.
    BadFrame = 4001,
    /// A frame beyond the announced size.
    TooLarge = 4002,
    /// No `identify` or `resume` in time, or another op before it.
    NotIdentified = 4003,
    /// The token was refused.
    TokenRefused = 4004,
    /// The token has expired: get a new one, then resume.
    TokenExpired = 4005,
    /// The session is not known: identify anew.
    SessionUnknown = 4007,
    /// The client reads too slowly: resume.
    TooSlow = 4008,
    /// No heartbeat in time: resume.
    HeartbeatMissed = 4009,
    /// Signed out elsewhere.
    SignedOut = 4010,
    /// A newer connection took up the session.
    TakenUp = 4011,
    /// The server is going away: resume after the time told by `reconnect`.
    GoingAway = 4012,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// A few words for the close frame; at most 123 bytes as the WebSocket protocol demands.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "goodbye",
            Self::Protocol => "websocket protocol error",
            Self::BadFrame => "bad frame",
            Self::TooLarge => "frame too large",
            Self::NotIdentified => "not identified",
            Self::TokenRefused => "token refused",
            Self::TokenExpired => "token expired",
            Self::SessionUnknown => "session unknown",
            Self::TooSlow => "too slow",
            Self::HeartbeatMissed => "heartbeat missed",
            Self::SignedOut => "signed out elsewhere",
            Self::TakenUp => "session taken up by a newer connection",
            Self::GoingAway => "server going away",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_documented_shape() {
        let refusal = Refusal::new(ErrorCode::RateLimited, "slow down").after_ms(1200);
        let json = serde_json::to_string(&refusal).expect("plain data");
        let wanted = r#"{"code":"rate_limited","message":"slow down","retryable":true,"retry_after_ms":1200}"#;
        assert_eq!(json, wanted);
    }

    #[test]
    fn a_code_from_a_later_version_is_read_as_unknown() {
        let code: ErrorCode = serde_json::from_str("\"brand_new\"").expect("any text");
        assert_eq!(code, ErrorCode::Unknown);
    }
}
