//! Somebody with one device: sends and tries again under the same key, reacts, follows every room, changes nodes.

use std::{sync::Arc, time::Duration};

use hubbub_actors::{Connection, session::SessionHandle};
use hubbub_protocol::{
    emoji::Emoji,
    ids::{MessageKey, RoomId, Seq},
    op::{Intents, Mode, Op},
};
use serde_json::Value;

use super::{
    Phase, Trial,
    tap::{Cursors, Tap},
};
use crate::dice::Dice;

/// How long an answer is waited for: what waits for a new owner is held for 8 s.
const ANSWER: Duration = Duration::from_secs(10);
/// Before anything is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// A connection that follows every room.
struct Line {
    node: u64,
    handle: SessionHandle,
    tap: Arc<Tap>,
}

/// A message that has no answer yet.
struct Pending {
    room: RoomId,
    key: MessageKey,
    text: String,
    tried: bool,
}

pub(super) struct Person {
    trial: Arc<Trial>,
    who: usize,
    dice: Dice,
    /// Stays with a node that is cut off, since it can be reached from here.
    stubborn: bool,
    cursors: Cursors,
    token: Option<String>,
    line: Option<Line>,
    sent: u32,
    requests: u32,
}

impl Person {
    pub(super) fn new(trial: Arc<Trial>, who: usize, mut dice: Dice) -> Self {
        let stubborn = dice.one_in(2);
        let cursors = Cursors::default();
        Self { trial, who, dice, stubborn, cursors, token: None, line: None, sent: 0, requests: 1 }
    }

    /// What this person has seen of each room.
    pub(super) fn cursors(&self) -> Cursors {
        self.cursors.clone()
    }

    pub(super) async fn live(mut self) {
        while self.trial.phase() == Phase::Broken {
            if self.dice.one_in(15) {
                self.hang_up();
            }
            if self.connected().await {
                match self.dice.below(10) {
                    0..=5 => self.send(1).await,
                    6 => {
                        let count = 2 + self.dice.below(4);
                        self.send(count).await;
                    }
                    7 => self.react().await,
                    _ => {}
                }
            }
            tokio::time::sleep(self.dice.ms(5, 400)).await;
        }
        // What had no answer has one by now; from here on it only listens.
        while !self.connected().await {
            tokio::time::sleep(AGAIN).await;
        }
        self.trial.settled(self.who);
        while self.trial.phase() != Phase::Over {
            let _ = self.connected().await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.tap.leave();
            if self.dice.one_in(2) {
                let connection: Arc<dyn Connection> = line.tap;
                line.handle.disconnected(&connection);
            }
        }
    }

    /// Connects if need be; false for who may not, or could not this time.
    async fn connected(&mut self) -> bool {
        if self.trial.is_barred(self.who) {
            self.hang_up_once_let_in().await;
            return false;
        }
        let gone = |line: &Line| line.tap.is_closed() || !self.stubborn && self.trial.is_isolated(line.node);
        if self.line.as_ref().is_some_and(gone) {
            self.hang_up();
        }
        if self.line.is_some() {
            return true;
        }
        let node = self.trial.any_node(&mut self.dice);
        let tap = Tap::new(self.trial.clone(), self.who, self.cursors.clone());
        let handle = match self.token.clone() {
            Some(token) => self.resume(node, &tap, &token).await,
            None => self.identify(node, &tap).await,
        };
        let Some(handle) = handle else {
            tap.leave();
            tokio::time::sleep(AGAIN).await;
            return false;
        };
        self.trial.note(|| format!("person {} is connected to {node}", self.who));
        self.line = Some(Line { node, handle, tap });
        true
    }

    /// Listens on, as somebody would who was thrown out and hopes to be told all the same.
    async fn hang_up_once_let_in(&mut self) {
        while self.trial.is_barred(self.who) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.hang_up();
    }

    async fn identify(&mut self, node: u64, tap: &Arc<Tap>) -> Option<SessionHandle> {
        let (connection, caller): (Arc<dyn Connection>, _) = (tap.clone(), self.trial.people[self.who]);
        let sessions = self.trial.node(node).hub.sessions();
        let handle = sessions.identify(connection, 0, caller, "simulated".into(), Intents::ALL).await.ok()?;
        let answer = tap.answer(0, ANSWER).await?;
        self.token = answer["ok"]["session"].as_str().map(str::to_owned);
        for room in self.trial.rooms.clone() {
            let id = self.next_request();
            handle.request(id, Op::Subscribe { room, after: Some(Seq(0)), mode: Mode::Live });
            let answer = tap.answer(id, ANSWER).await?;
            if !answer["ok"].is_object() {
                return None;
            }
        }
        Some(handle)
    }

    /// Goes on with the session at a node, from what was seen last.
    async fn resume(&mut self, node: u64, tap: &Arc<Tap>, token: &str) -> Option<SessionHandle> {
        let (connection, caller): (Arc<dyn Connection>, _) = (tap.clone(), self.trial.people[self.who]);
        let id = self.next_request();
        let seen = self.cursors.lock().clone();
        let cursors = self.trial.rooms.iter().map(|room| (*room, Seq(seen.get(room).copied().unwrap_or(0))));
        let sessions = self.trial.node(node).hub.sessions();
        let handle = sessions.resume(connection, id, caller, token, cursors.collect()).await.ok()?;
        let answer = tap.answer(id, ANSWER).await?;
        let rooms = answer["ok"]["rooms"].as_object()?;
        if let Some((room, _)) = rooms.iter().find(|(_, resumed)| resumed["gap"] == true) {
            let told = format!("person {} had {seen:?} of {room} and was told of a gap: {answer}", self.who);
            self.trial.oracle.lock().broken(told);
        }
        // A room whose relay did not answer in time is left out; then the client tries again.
        (rooms.len() == self.trial.rooms.len()).then_some(handle)
    }

    const fn next_request(&mut self) -> u32 {
        self.requests += 1;
        self.requests
    }

    /// Sends some messages at once, and tries on until each has an answer.
    async fn send(&mut self, count: u64) {
        let room = self.dice.pick(&self.trial.rooms.clone());
        let mut pending = Vec::new();
        for _ in 0..count {
            self.sent += 1;
            let text = format!("p{}-{}", self.who, self.sent);
            let key = self.trial.key(&mut self.dice);
            self.trial.oracle.lock().tries(&text);
            pending.push(Pending { room, key, text, tried: false });
        }
        while !pending.is_empty() && !self.trial.is_barred(self.who) {
            if self.connected().await {
                pending = self.attempt(pending).await;
            }
            if !pending.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Sends all that is pending, and gives back what has no answer yet.
    async fn attempt(&mut self, pending: Vec<Pending>) -> Vec<Pending> {
        let (first_id, store) = (self.requests + 1, self.trial.nodes.store.clone());
        let Some(Line { handle, tap, .. }) = &self.line else { return pending };
        let mut id = first_id;
        for Pending { room, key, text, tried } in &pending {
            let (room, key, text, retry) = (*room, *key, text.clone(), *tried);
            handle.request(id, Op::Send { room, key, text, reply_to: None, files: vec![], retry });
            id += 1;
        }
        self.requests = id;
        let (mut left, mut newest) = (Vec::new(), 0);
        for (id, mut message) in (first_id..).zip(pending) {
            let answer = tap.answer(id, ANSWER).await.unwrap_or(Value::Null);
            let Some(seq) = answer["ok"]["seq"].as_u64() else {
                self.trial.note(|| format!("{} has no place yet: {}", message.text, answer["error"]["code"]));
                message.tried = true;
                left.push(message);
                continue;
            };
            let mut oracle = self.trial.oracle.lock();
            oracle.acknowledged(&store, message.room, seq, &message.text);
            // Those that were never tried before were committed in the order in which they were sent.
            if !message.tried && seq <= newest {
                oracle.broken(format!("{} was sent after {newest} and is {seq}", message.text));
            }
            newest = if message.tried { newest } else { seq };
        }
        left
    }

    async fn react(&mut self) {
        let room = self.dice.pick(&self.trial.rooms.clone());
        let seen = self.cursors.lock().get(&room).copied().unwrap_or(0);
        let (id, seq) = (self.next_request(), Seq(1 + self.dice.below(seen.max(1))));
        let Some(Line { handle, tap, .. }) = &self.line else { return };
        handle.request(id, Op::React { room, seq, emoji: Emoji::parse("👍").expect("an emoji") });
        let answer = tap.answer(id, ANSWER).await.unwrap_or(Value::Null);
        self.trial.note(|| format!("person {} reacts to {room}/{}: {}", self.who, seq.0, answer["error"]["code"]));
    }
}
