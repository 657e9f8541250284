//! Somebody who sends through a trouble of the store and writes down what came of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{MessageKey, RoomId, Seq},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Node, Person,
    raw::{Raw, get},
};

/// Longest until a send is answered: a lane asks for 5 s what became of a batch, and a room may be loaded first, for
/// which reads wait 3 s for a store that is away, more than once.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// How long a node may take to notice a trouble, and its end.
const NOTICES_WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// A sender in a room of its own, and what was said of each send.
#[derive(Debug)]
pub struct Diary {
    room: RoomId,
    raw: Raw,
    acknowledged: Vec<(MessageKey, Seq)>,
    refused: Vec<MessageKey>,
}

/// `bytes` that no compression makes much smaller, as text.
#[must_use]
pub fn noise(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    while text.len() < bytes {
        text.push_str(&Uuid::new_v4().simple().to_string());
    }
    text.truncate(bytes);
    text
}

impl Diary {
    /// Of `person`, who makes a community.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn of(node: &Node, person: &Person) -> Self {
        let community = person.rest.create_community("c", true).await.expect("anyone may");
        let room = person.rest.rooms(community.id).await.expect("one's own")[0].id;
        let raw = Raw::identified(node, person);
        Self { room, raw, acknowledged: Vec::new(), refused: Vec::new() }
    }

    /// How many sends were acknowledged, and how many were not.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.acknowledged.len(), self.refused.len())
    }

    fn ask(&mut self, key: MessageKey, text: &str) -> Value {
        let begun = Instant::now();
        self.raw.ask(&json!({"id": 9, "op": "send", "room": self.room, "key": key.0, "text": text, "retry": true}));
        let answer = self.raw.answer(9);
        assert!(begun.elapsed() < ANSWERED_WITHIN, "answered after {:?}: {answer}", begun.elapsed());
        if let Some(seq) = answer["ok"]["seq"].as_u64() {
            self.acknowledged.push((key, Seq(seq)));
        }
        answer
    }

    /// Sends a text; whether it was acknowledged.
    ///
    /// # Panics
    /// When it is neither that nor refused for now, or hangs.
    pub fn sends(&mut self, text: &str) -> bool {
        let key = MessageKey(Uuid::now_v7());
        let answer = self.ask(key, text);
        if answer["ok"].is_object() {
            return true;
        }
        assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
        assert_eq!(answer["error"]["retryable"], true, "{answer}");
        self.refused.push(key);
        false
    }

    /// Sends until `refusals` were refused, and sees at most `max` acknowledged on the way.
    ///
    /// # Panics
    /// When more are.
    pub fn sends_until_refused(&mut self, text: &str, refusals: usize, max: usize) {
        let before = self.acknowledged.len();
        let wanted = self.refused.len() + refusals;
        while self.refused.len() < wanted {
            assert!(self.acknowledged.len() - before <= max, "{max} sends went well in a trouble");
            self.sends(text);
        }
    }

    /// Repeats what was refused, each until it is acknowledged.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn repeats_the_refused(&mut self, text: &str) {
        let begun = Instant::now();
        for key in std::mem::take(&mut self.refused) {
            loop {
                let answer = self.ask(key, text);
                if answer["ok"].is_object() {
                    break;
                }
                assert!(begun.elapsed() < NOTICES_WITHIN, "sends go on again, not {answer}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Whether the room holds every acknowledged message once, and no other of this sender's; its log has no hole.
    ///
    /// # Panics
    /// When it does not.
    pub async fn assert_all_there(&self, person: &Person) {
        let mut stored: BTreeMap<MessageKey, Vec<Seq>> = BTreeMap::new();
        let mut after = Seq(0);
        loop {
            let (pushes, next) = person.rest.events(self.room, after, 100).await.expect("a member may");
            for push in pushes {
                let event = Event::decode(&push).expect("our own form");
                assert_eq!(event.seq, after.next(), "a hole in the log");
                after = event.seq;
                if let (EventBody::MessageCreated(_), Some(key)) = (&event.body, event.key) {
                    stored.entry(key).or_default().push(event.seq);
                }
            }
            if next.is_none() {
                break;
            }
        }
        assert!(self.refused.is_empty(), "what was refused is repeated first");
        let wanted: BTreeMap<_, _> = self.acknowledged.iter().map(|(key, seq)| (*key, vec![*seq])).collect();
        assert_eq!(wanted.len(), self.acknowledged.len(), "each key is acknowledged once");
        assert_eq!(stored, wanted, "stored and acknowledged");
    }
}

/// Waits until the node says that it does not serve, and of the store what `remedy` says.
///
/// # Panics
/// When it does not.
pub async fn says_what_to_do(node: &Node, remedy: &str) {
    let begun = Instant::now();
    loop {
        let (head, body) = get(node.admin(), "/readyz", "");
        if head.starts_with("HTTP/1.1 503") && body.contains(remedy) {
            return;
        }
        assert!(begun.elapsed() < NOTICES_WITHIN, "no 503 with {remedy:?} but {head} {body}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the node says that it serves.
///
/// # Panics
/// When it does not.
pub async fn serves_again(node: &Node) {
    let begun = Instant::now();
    loop {
        let (head, body) = get(node.admin(), "/readyz", "");
        if head.starts_with("HTTP/1.1 200") {
            return;
        }
        assert!(begun.elapsed() < NOTICES_WITHIN, "it serves again, not {body}");
        tokio::time::sleep(PAUSE).await;
    }
}
