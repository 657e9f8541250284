//! The kinds of requests, by name: a fixed list, for what is counted by kind.

use super::Op;

macro_rules! kinds {
    ($($name:ident = $text:literal;)*) => {
        /// A kind of request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "they are those of [`Op`]")]
        pub enum OpKind {
            $($name,)*
        }

        impl OpKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        impl Op {
            /// What kind of request it is.
            #[must_use]
            pub const fn kind(&self) -> OpKind {
                match self {
                    $(Self::$name { .. } => OpKind::$name,)*
                }
            }
        }
    };
}

kinds! {
    Identify = "identify";
    Resume = "resume";
    Heartbeat = "heartbeat";
    Reauth = "reauth";
    Subscribe = "subscribe";
    Unsubscribe = "unsubscribe";
    Send = "send";
    Edit = "edit";
    Delete = "delete";
    React = "react";
    Unreact = "unreact";
    Pin = "pin";
    Unpin = "unpin";
    History = "history";
    Thread = "thread";
    Typing = "typing";
    Read = "read";
    Presence = "presence";
    Watch = "watch";
}
