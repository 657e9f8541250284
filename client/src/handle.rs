//! What an application holds: [`Client`] asks, and sends until it is answered.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use hubbub_protocol::{
    ids::{MessageKey, RoomId, Seq},
    op::{Mode, Op},
    push::{RoomState, Subscribed},
    rest::Sent,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use uuid::Uuid;

use crate::{
    config::Config,
    error::RequestError,
    retry,
    task::{Command, Shared, Task},
    update::Updates,
};

/// Requests that may wait for the task; as many as a session may have in flight. The next waits in its caller.
const REQUESTS_MAX: usize = 32;
/// Updates that may wait for the application: 1,024 events of about 1 KB with what they are read into are 1 MB.
const UPDATES_MAX: usize = 1_024;
/// The close code of a client whose task is gone without one.
const GONE: u16 = 1006;

/// Asks and sends. Clones share one connection, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    shared: watch::Receiver<Shared>,
    answer_within: Duration,
    send_within: Duration,
}

/// A message that is to be sent, under a key that stays the same however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The room.
    pub room: RoomId,
    /// Its key.
    pub key: MessageKey,
    /// Its text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// Ids of its files, at most 10.
    pub files: Vec<String>,
}

impl Draft {
    /// A message of nothing but text, with a key of its own.
    #[must_use]
    pub fn new(room: RoomId, text: &str) -> Self {
        Self { room, key: MessageKey(Uuid::now_v7()), text: text.to_owned(), reply_to: None, files: Vec::new() }
    }
}

impl Client {
    /// Connects and identifies; returns once that is done. A node that cannot be reached is tried again for as long as
    /// a request may take.
    ///
    /// # Errors
    /// [`RequestError::Ended`] when the node refuses for good, [`RequestError::Late`] when it does not answer in time.
    pub async fn connect(config: Config) -> Result<(Self, Updates), RequestError> {
        let (commands, queue) = mpsc::channel(REQUESTS_MAX);
        let (updates, receiver) = mpsc::channel(UPDATES_MAX);
        let (sender, shared) = watch::channel(Shared::default());
        let Config { answer_within, send_within, .. } = config;
        tokio::spawn(Task::new(config.with_backfill(), queue, updates, sender).run());
        let mut client = Self { commands, shared, answer_within, send_within };
        let decided = client.shared.wait_for(|shared| shared.identified.is_some() || shared.ended.is_some());
        let begun = match timeout(answer_within, decided).await {
            Ok(decided) => decided.is_ok_and(|shared| shared.identified.is_some()),
            Err(_) => return Err(RequestError::Late),
        };
        if !begun {
            return Err(client.ended());
        }
        Ok((client, Updates(receiver)))
    }

    /// The answer to the last `identify`: the account, its communities and its rooms as they stood then.
    #[must_use]
    pub fn identified(&self) -> Arc<Value> {
        static NOTHING: OnceLock<Arc<Value>> = OnceLock::new();
        let known = self.shared.borrow().identified.clone();
        known.unwrap_or_else(|| NOTHING.get_or_init(Arc::default).clone())
    }

    /// The account's rooms as they stood at the last `identify`.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomState> {
        let identified = self.identified();
        identified.get("rooms").and_then(|rooms| Vec::deserialize(rooms).ok()).unwrap_or_default()
    }

    fn ended(&self) -> RequestError {
        RequestError::Ended(self.shared.borrow().ended.unwrap_or(GONE))
    }

    /// Asks, and returns the `ok` of the answer. Dropping the future does not take back what was sent.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, op: Op) -> Result<Value, RequestError> {
        self.request_within(op, self.answer_within).await
    }

    async fn request_within(&self, op: Op, within: Duration) -> Result<Value, RequestError> {
        let (reply, wait) = oneshot::channel();
        let asked = async {
            self.commands.send(Command { op, reply }).await.map_err(|_| self.ended())?;
            wait.await.unwrap_or_else(|_| {
                Err(if self.shared.borrow().ended.is_some() { self.ended() } else { RequestError::Disconnected })
            })
        };
        timeout(within, asked).await.unwrap_or(Err(RequestError::Late))
    }

    /// The same, read into the shape that the contract promises.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, op: Op) -> Result<T, RequestError> {
        serde_json::from_value(self.request(op).await?).map_err(|_| RequestError::Unreadable)
    }

    /// Follows a room over any number of connections: live, every event after `after` (or after its head) comes by
    /// [`Updates`]. A connection that is lost meanwhile is waited for.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe(
        &self,
        room: RoomId,
        after: Option<Seq>,
        mode: Mode,
    ) -> Result<Subscribed, RequestError> {
        let op = Op::Subscribe { room, after, mode };
        let answer = self.until_answered(self.answer_within, |_| op.clone()).await?;
        serde_json::from_value(answer).map_err(|_| RequestError::Unreadable)
    }

    /// Sends a message, and sends it again under the same key until it is answered.
    ///
    /// # Errors
    /// As [`Client::send_draft`].
    pub async fn send(&self, room: RoomId, text: &str, reply_to: Option<Seq>) -> Result<Sent, RequestError> {
        self.send_draft(&Draft { reply_to, ..Draft::new(room, text) }, self.send_within).await
    }

    /// The same under a key of the caller's.
    ///
    /// # Errors
    /// As [`Client::send_draft`].
    pub async fn send_as(
        &self,
        room: RoomId,
        key: MessageKey,
        text: &str,
        reply_to: Option<Seq>,
    ) -> Result<Sent, RequestError> {
        self.send_draft(&Draft { key, reply_to, ..Draft::new(room, text) }, self.send_within).await
    }

    /// Sends `draft`, and sends it again until it is answered or `within` is over. A draft that came to nothing may be
    /// sent again later: it never makes a second message.
    ///
    /// # Errors
    /// The refusal, when the node says no for good or until the end. [`RequestError::Late`] and
    /// [`RequestError::Disconnected`]: it may have been sent.
    pub async fn send_draft(&self, draft: &Draft, within: Duration) -> Result<Sent, RequestError> {
        let Draft { room, key, text, reply_to, files } = draft;
        let op = |retry| Op::Send {
            room: *room,
            key: *key,
            text: text.clone(),
            reply_to: *reply_to,
            files: files.clone(),
            retry,
        };
        let answer = self.until_answered(within, op).await?;
        serde_json::from_value(answer).map_err(|_| RequestError::Unreadable)
    }

    /// Asks until there is an answer that stands, or `within` is over; `op` is told whether it is a try after the first.
    async fn until_answered(&self, within: Duration, op: impl Fn(bool) -> Op) -> Result<Value, RequestError> {
        let until = Instant::now() + within;
        for tries in 0.. {
            let left = until.saturating_duration_since(Instant::now());
            let error = match self.request_within(op(tries > 0), self.answer_within.min(left)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let left = until.saturating_duration_since(Instant::now());
            match retry::pause(&error, tries, left, rand::random()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
        Err(RequestError::Late)
    }
}
