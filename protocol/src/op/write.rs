//! Writes a request as a client sends it. Fields that say nothing are left out.

use serde_json::{Map, Value, json};

use super::{Op, Page, Watched};

impl Op {
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
                ("identify", json!({"token": &**token, "device": device, "intents": intents.names()}))
            }
            Self::Resume { token, session, cursors } => {
                let cursors: Map<_, _> =
                    cursors.iter().map(|(room, seq)| (room.to_string(), seq.0.into())).collect();
                ("resume", json!({"token": &**token, "session": &**session, "cursors": cursors}))
            }
            Self::Heartbeat => ("heartbeat", json!({})),
            Self::Reauth { token } => ("reauth", json!({"token": &**token})),
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
