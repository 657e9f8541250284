//! One connection: carries frames to the rules in `core`, and out what they say.
//!
//! # Order of effects
//!
//! The heartbeat goes first, then what is still to be told, then requests, then what comes. While the application has
//! updates to take, nothing is read: the node's bounds then take effect, and it closes a connection that stays behind.
//!
//! # Failure
//!
//! Whatever is wrong ends the connection; `task` decides what comes next. A node that says nothing for one and a half
//! heartbeats, or takes nothing for as long, counts as gone.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{RoomId, Seq},
    op::Op,
    push::Push,
};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    core::{Effect, Fetched},
    error::RequestError,
    fetch,
    incoming::Incoming,
    socket::{Socket, SocketError},
    task::{Command, Reply, Task},
};

/// How long a node may take from the connection to its answer: as long as it gives the client to identify.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Frames that may come before the first answer: pushes to the account's devices.
const EARLY_MAX: usize = 256;
/// Share of the heartbeat after which one is sent, so that a late timer is not a late heartbeat.
const BEAT_SHARE: f64 = 0.9;

/// Why one connection is over.
#[derive(Debug)]
pub(crate) enum Over {
    /// The handles are gone.
    Dropped,
    /// The node refused for good.
    Ended(u16),
    /// To be made again.
    Lost,
}

/// What was done beside.
enum Job {
    Page { room: RoomId, after: Seq, fetched: Fetched },
    Token(Result<String, RequestError>),
}

/// A connection that has begun.
pub(crate) struct Connection<'a> {
    task: &'a mut Task,
    socket: Socket,
    token: String,
    replies: HashMap<u32, Reply>,
    /// Pages on their way, as few as the rules allow, and one token.
    jobs: JoinSet<Job>,
    asks_token: bool,
    frame_bytes_max: usize,
    heartbeat: Duration,
    beat_at: Instant,
    heard_at: Instant,
    again_at: Option<Instant>,
}

impl<'a> Connection<'a> {
    /// Connects, and begins or resumes the session.
    pub(crate) async fn begin(task: &'a mut Task, token: String) -> Result<Self, SocketError> {
        timeout(BEGIN_WITHIN, Self::begin_unhurried(task, token)).await.unwrap_or(Err(SocketError::Silent))
    }

    async fn begin_unhurried(task: &'a mut Task, token: String) -> Result<Self, SocketError> {
        let mut socket = Socket::connect(&task.config.url, task.config.format).await?;
        let Incoming::Push(Push::Hello { heartbeat_ms, limits, .. }) = socket.next().await? else {
            return Err(SocketError::Unreadable);
        };
        let id = task.core.next_id();
        let first = task.core.first(token.clone(), task.config.device.clone());
        socket.feed(socket.encode(id, &first)).await?;
        socket.flush().await?;
        let mut early = VecDeque::new();
        let answer = loop {
            match socket.next().await? {
                Incoming::Answer(answer) if answer["re"] == id => break answer,
                _ if early.len() >= EARLY_MAX => return Err(SocketError::Unreadable),
                incoming => early.push_back(incoming),
            }
        };
        let effects = task.core.begun(&answer).map_err(|_| SocketError::Unreadable)?;
        let (now, heartbeat) = (Instant::now(), Duration::from_millis(heartbeat_ms.max(1)));
        let mut connection = Self {
            task,
            socket,
            token,
            replies: HashMap::new(),
            jobs: JoinSet::new(),
            asks_token: false,
            frame_bytes_max: limits.frame_bytes,
            heartbeat,
            beat_at: now + heartbeat.mul_f64(rand::random::<f64>() * BEAT_SHARE),
            heard_at: now,
            again_at: None,
        };
        connection.perform(effects).await?;
        for incoming in early {
            connection.incoming(incoming).await?;
        }
        Ok(connection)
    }

    /// Serves until the connection is over; `None` when the handles are gone.
    pub(crate) async fn serve(mut self) -> Option<SocketError> {
        let error = loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        if !matches!(error, Some(SocketError::Silent | SocketError::Broken(_))) {
            // A node that does not answer the goodbye is left all the same.
            drop(timeout(Duration::from_secs(1), self.socket.close()).await);
        }
        error
    }

    /// Waits for the next thing and sees to it; false when the handles are gone.
    async fn turn(&mut self) -> Result<bool, SocketError> {
        let idle = self.task.told.is_empty();
        let silent_at = self.heard_at + self.heartbeat.mul_f64(1.5);
        tokio::select! {
            biased;
            () = sleep_until(self.beat_at) => self.beat().await?,
            () = self.task.told.one(), if !idle => self.heard_at = Instant::now(),
            command = self.task.commands.recv(), if self.task.core.has_room() => match command {
                Some(command) => self.ask(command).await?,
                None => return Ok(false),
            },
            Some(job) = self.jobs.join_next(), if idle => self.done(job).await?,
            incoming = self.socket.next(), if idle => {
                self.heard_at = Instant::now();
                self.incoming(incoming?).await?;
            }
            () = at(self.again_at) => {
                self.again_at = None;
                let effects = self.task.core.again();
                self.perform(effects).await?;
            }
            () = sleep_until(silent_at), if idle => return Err(SocketError::Silent),
        }
        Ok(true)
    }

    async fn beat(&mut self) -> Result<(), SocketError> {
        self.beat_at = Instant::now() + self.heartbeat.mul_f64(BEAT_SHARE);
        if !std::mem::replace(&mut self.asks_token, true) {
            let source = self.task.config.token.clone();
            self.jobs.spawn(async move { Job::Token(source.token().await) });
        }
        let effect = self.task.core.mention(Op::Heartbeat);
        self.perform(vec![effect]).await
    }

    async fn ask(&mut self, Command { op, reply }: Command) -> Result<(), SocketError> {
        // Who asked may have stopped waiting while the connection was away.
        if reply.is_closed() {
            return Ok(());
        }
        let id = self.task.core.next_id();
        self.replies.insert(id, reply);
        let effects = self.task.core.ask(id, op);
        self.perform(effects).await
    }

    async fn incoming(&mut self, incoming: Incoming) -> Result<(), SocketError> {
        if let Incoming::Push(Push::Reconnect { after_ms }) = &incoming {
            self.task.come_back_after = Some(Duration::from_millis(*after_ms));
        }
        let effects = match incoming {
            Incoming::Event(came) => self.task.core.event(came),
            Incoming::Push(push) => self.task.core.push(push),
            Incoming::Answer(answer) => self.task.core.answer(&answer),
            Incoming::Later => Vec::new(),
        };
        self.perform(effects).await
    }

    async fn done(&mut self, job: Result<Job, tokio::task::JoinError>) -> Result<(), SocketError> {
        if let Ok(Job::Token(_)) = &job {
            self.asks_token = false;
        }
        let effects = match job {
            Ok(Job::Page { room, after, fetched }) => self.task.core.fetched(room, after, fetched),
            Ok(Job::Token(Ok(token))) if token != self.token => {
                self.token.clone_from(&token);
                vec![self.task.core.mention(Op::Reauth { token: token.into() })]
            }
            // The connection is closed as expired should it matter, and the source asked again.
            Ok(Job::Token(_)) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "a task of the client's has panicked");
                return Err(SocketError::Unreadable);
            }
        };
        self.perform(effects).await
    }

    /// Does what the rules say, in order.
    async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), SocketError> {
        let mut effects = VecDeque::from(effects);
        let mut fed = false;
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send(id, op) => {
                    let payload = self.socket.encode(id, &op);
                    if payload.len() > self.frame_bytes_max {
                        let refusal =
                            Refusal::new(ErrorCode::TooLarge, "the request is larger than a frame may be");
                        effects.extend(self.task.core.refuse(id, refusal));
                    } else {
                        self.said(Said::Payload(payload)).await?;
                        fed = true;
                    }
                }
                Effect::Tell(update) => self.task.told.push(update),
                Effect::Answer(id, answer) => self.reply(id, answer),
                Effect::Fetch { room, after, tries } => self.fetch(room, after, tries),
                Effect::Again(pause) => {
                    let at = Instant::now() + pause;
                    self.again_at = Some(self.again_at.map_or(at, |before| before.min(at)));
                }
                Effect::Identified(ok) => {
                    self.task.shared.send_modify(|shared| shared.identified = Some(Arc::new(ok)));
                }
            }
        }
        if fed { self.said(Said::All).await } else { Ok(()) }
    }

    /// Writes, unless the node takes nothing for too long.
    async fn said(&mut self, said: Said) -> Result<(), SocketError> {
        let work = async {
            match said {
                Said::Payload(payload) => self.socket.feed(payload).await,
                Said::All => self.socket.flush().await,
            }
        };
        timeout(self.heartbeat.mul_f64(1.5), work).await.unwrap_or(Err(SocketError::Silent))
    }

    fn reply(&mut self, id: u32, answer: Result<Value, RequestError>) {
        if let Some(reply) = self.replies.remove(&id) {
            // Who asked may have stopped waiting.
            drop(reply.send(answer));
        }
    }

    fn fetch(&mut self, room: RoomId, after: Seq, tries: u32) {
        let pause = match tries {
            0 => Duration::ZERO,
            tries => self.task.config.backoff.wait(tries - 1, rand::random()),
        };
        let (source, token) = (self.task.config.backfill(), self.task.config.token.clone());
        self.jobs.spawn(async move {
            tokio::time::sleep(pause).await;
            Job::Page { room, after, fetched: fetch::page(&*source, &*token, room, after).await }
        });
    }
}

enum Said {
    Payload(Vec<u8>),
    All,
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
