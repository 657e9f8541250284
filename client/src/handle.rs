//! What an application holds: [`Client`] to ask, [`Updates`] to be told.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::{
    error::Refusal,
    event::Event,
    frame::Format,
    ids::{MessageKey, RoomId, Seq},
    op::{Intents, Mode, Op},
    push::{Push, Subscribed},
    rest::Sent,
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::{rest::Rest, task};

/// Requests that may wait for the task; as many as a session may have in flight.
const REQUESTS_MAX: usize = 32;
/// Updates that may wait for the application; beyond them the socket is not read, and the node's own
/// bounds take effect.
const UPDATES_MAX: usize = 1_024;
/// How long a request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a send is tried again.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// Pause before a send is tried again, where the node names none.
const SEND_PAUSE: Duration = Duration::from_millis(250);

/// Where access tokens come from.
#[async_trait]
pub trait TokenSource: Send + Sync + Debug {
    /// A token that is good now.
    async fn token(&self) -> Result<String, RequestError>;
}

#[async_trait]
impl TokenSource for String {
    async fn token(&self) -> Result<String, RequestError> {
        Ok(self.clone())
    }
}

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Where access tokens come from.
    pub token: Arc<dyn TokenSource>,
    /// What this device is called.
    pub device: String,
    /// What is wanted.
    pub intents: Intents,
    /// The subprotocol.
    pub format: Format,
}

impl Config {
    /// A client of the node at `url` with one token, and the usual settings.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        Self {
            url: url.to_owned(),
            token: Arc::new(token.to_owned()),
            device: "hubbub-client".to_owned(),
            intents: Intents::ALL,
            format: Format::Json,
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The node said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection was lost before the answer came.
    #[error("the connection was lost before the answer came")]
    Disconnected,
    /// No answer came in time.
    #[error("no answer came in time")]
    Late,
    /// The client has ended: the node refused it for good, with this code.
    #[error("the node ended this client with {0}")]
    Ended(u16),
    /// No token could be had.
    #[error("no access token could be had: {0}")]
    NoToken(String),
    /// An answer of another shape than documented.
    #[error("the node's answer cannot be read")]
    Unreadable,
}

/// What comes.
#[derive(Debug, Clone)]
pub enum Update {
    /// An event of a room that is followed: once, in order, without holes; with its bytes.
    Event(Box<Event>, Bytes),
    /// Anything else.
    Push(Push),
    /// Connected, for the first time or again.
    Connected,
    /// The connection was lost; the client comes back by itself.
    Disconnected,
    /// The client has ended, with this code. Nothing more comes.
    Ended(u16),
}

/// What comes, in order.
#[derive(Debug)]
pub struct Updates(mpsc::Receiver<Update>);

impl Updates {
    /// The next update; `None` once the client has ended.
    pub async fn next(&mut self) -> Option<Update> {
        self.0.recv().await
    }
}

/// Asks and sends. Clones share one connection, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<task::Command>,
    identified: watch::Receiver<Option<Value>>,
}

impl Client {
    /// Connects and identifies; returns once that is done.
    ///
    /// # Errors
    /// [`RequestError::Ended`] when the node refuses for good, [`RequestError::Late`] when it cannot
    /// be reached in 15 s.
    pub async fn connect(config: Config) -> Result<(Self, Updates), RequestError> {
        let (commands, queue) = mpsc::channel(REQUESTS_MAX);
        let (updates, receiver) = mpsc::channel(UPDATES_MAX);
        let (told, identified) = watch::channel(None);
        let rest = Rest::new(&config.url);
        tokio::spawn(task::run(config, rest, queue, updates, told));
        let mut client = Self { commands, identified };
        let mut updates = Updates(receiver);
        let begun = async {
            tokio::select! {
                known = client.identified.wait_for(Option::is_some) => known.map(drop).map_err(|_| ()),
                () = client.commands.closed() => Err(()),
            }
        };
        match tokio::time::timeout(ANSWER_WITHIN, begun).await {
            Ok(Ok(())) => Ok((client, updates)),
            Ok(Err(())) => {
                while let Some(update) = updates.next().await {
                    if let Update::Ended(code) = update {
                        return Err(RequestError::Ended(code));
                    }
                }
                Err(RequestError::Disconnected)
            }
            Err(_) => Err(RequestError::Late),
        }
    }

    /// The answer to the last `identify`.
    #[must_use]
    pub fn identified(&self) -> Value {
        self.identified.borrow().clone().unwrap_or_default()
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> task::Command,
    ) -> Result<T, RequestError> {
        let (reply, wait) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| RequestError::Ended(1006))?;
        match tokio::time::timeout(ANSWER_WITHIN, wait).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(RequestError::Disconnected),
            Err(_) => Err(RequestError::Late),
        }
    }

    /// Asks, and returns the `ok` of the answer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, op: Op) -> Result<Value, RequestError> {
        self.command(|reply| task::Command::Ask(op, reply)).await
    }

    /// Follows a room: live, every event after `after` (or after its head) comes by [`Updates`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe(
        &self,
        room: RoomId,
        after: Option<Seq>,
        mode: Mode,
    ) -> Result<Subscribed, RequestError> {
        let answer = self.command(|reply| task::Command::Follow { room, after, mode, reply }).await?;
        serde_json::from_value(answer).map_err(|_| RequestError::Unreadable)
    }

    /// Sends a message, and sends it again under the same key until it is answered.
    ///
    /// # Errors
    /// The refusal, when the node says no for good; [`RequestError::Late`] after a minute.
    pub async fn send(&self, room: RoomId, text: &str, reply_to: Option<Seq>) -> Result<Sent, RequestError> {
        self.send_as(room, MessageKey(Uuid::now_v7()), text, reply_to).await
    }

    /// The same under a key of the caller's.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_as(
        &self,
        room: RoomId,
        key: MessageKey,
        text: &str,
        reply_to: Option<Seq>,
    ) -> Result<Sent, RequestError> {
        let until = Instant::now() + SEND_WITHIN;
        let mut retry = false;
        loop {
            let op = Op::Send { room, key, text: text.to_owned(), reply_to, files: Vec::new(), retry };
            let pause = match self.request(op).await {
                Ok(sent) => return serde_json::from_value(sent).map_err(|_| RequestError::Unreadable),
                Err(RequestError::Refused(refusal)) if refusal.retryable => {
                    refusal.retry_after_ms.map_or(SEND_PAUSE, Duration::from_millis)
                }
                Err(RequestError::Disconnected | RequestError::Late) => SEND_PAUSE,
                Err(error) => return Err(error),
            };
            retry = true;
            if Instant::now() + pause >= until {
                return Err(RequestError::Late);
            }
            tokio::time::sleep(pause).await;
        }
    }
}
