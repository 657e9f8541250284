//! Somebody who talks over a connection, and remembers what was heard.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hubbub_protocol::{ids::RoomId, rest::SignedIn};
use hubbub_tests::raw::{Raw, Said};
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody on a connection, with all events that were heard.
pub(super) struct Talker<'a> {
    raw: Raw,
    next: u64,
    pub(super) heard: Vec<String>,
    names: &'a BTreeMap<String, String>,
    pub(super) longest: Duration,
}

/// A value without ids, times and keys; people by name.
pub(super) fn plain(value: &Value, names: &BTreeMap<String, String>) -> Value {
    const DROPPED: [&str; 7] = ["room", "ts", "key", "id", "edited_at", "last_ts", "re"];
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value, names))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| plain(item, names)).collect()),
        Value::String(text) => Value::String(names.get(text).unwrap_or(text).clone()),
        other => other.clone(),
    }
}

impl<'a> Talker<'a> {
    pub(super) fn at(port: u16, names: &'a BTreeMap<String, String>) -> Self {
        Self { raw: Raw::greeted_at(port), next: 2, heard: Vec::new(), names, longest: Duration::ZERO }
    }

    fn hear(&mut self) -> Value {
        let Said::Json(value) = self.raw.hear() else { panic!("the node ended the connection") };
        if value["ev"] == "room" {
            self.heard.push(plain(&value, self.names).to_string());
        }
        value
    }

    pub(super) fn ask(&mut self, mut request: Value) -> Value {
        self.next += 1;
        request["id"] = self.next.into();
        let begun = Instant::now();
        self.raw.ask(&request);
        loop {
            let value = self.hear();
            if value["re"] == self.next {
                self.longest = self.longest.max(begun.elapsed());
                return value;
            }
        }
    }

    pub(super) fn identify(&mut self, signed: &SignedIn) -> String {
        let answer = self.ask(json!({"op": "identify", "token": signed.access_token, "device": "test"}));
        answer["ok"]["session"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub(super) fn says(&mut self, room: RoomId, text: &str) -> u64 {
        let key = Uuid::now_v7();
        let answer = self.ask(json!({"op": "send", "room": room, "key": key, "text": text}));
        answer["ok"]["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    pub(super) fn page(&mut self, room: RoomId, limit: u64) -> String {
        let answer = self.ask(json!({"op": "history", "room": room, "limit": limit}));
        plain(&answer, self.names).to_string()
    }

    /// Hears everything up to an event.
    pub(super) fn until(&mut self, seq: u64) {
        let has = |line: &String| line.contains(&format!("\"seq\":{seq},"));
        while !self.heard.iter().any(has) {
            self.hear();
        }
    }
}
