//! The task behind a client: connects, goes on or begins anew, and comes back until it must not.
//!
//! # Failure
//!
//! A lost connection fails what was asked and not answered ([`RequestError::Disconnected`]) and is made again after a
//! jittered wait, or after the time that the node's `reconnect` named.
//!
//! # Supervision
//!
//! The task ends when the last [`crate::Client`] is dropped, or when the node refuses for good. Its fetches end with the
//! connection that needed them.

use std::{sync::Arc, time::Duration};

use hubbub_protocol::op::Op;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    config::Config,
    connection::{Connection, Over},
    core::Core,
    error::RequestError,
    told::Told,
    update::Update,
    verdict::{Verdict, verdict},
};

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Value, RequestError>>;

/// A request of a handle.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) op: Op,
    pub(crate) reply: Reply,
}

/// What handles can look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// The answer to the last `identify`.
    pub(crate) identified: Option<Arc<Value>>,
    /// The code with which the node refused for good.
    pub(crate) ended: Option<u16>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) config: Config,
    pub(crate) core: Core,
    pub(crate) told: Told,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) shared: watch::Sender<Shared>,
    /// What `reconnect` asked for.
    pub(crate) come_back_after: Option<Duration>,
}

impl Task {
    pub(crate) fn new(
        config: Config,
        commands: mpsc::Receiver<Command>,
        updates: mpsc::Sender<Update>,
        shared: watch::Sender<Shared>,
    ) -> Self {
        let core = Core::new(config.intents);
        Self { config, core, told: Told::new(updates), commands, shared, come_back_after: None }
    }

    /// Runs until the handles are gone or the node refuses for good.
    pub(crate) async fn run(mut self) {
        let mut failures = 0_u32;
        while !self.commands.is_closed() || !self.commands.is_empty() {
            let started = Instant::now();
            match self.connection().await {
                Over::Dropped => return,
                Over::Ended(code) => return self.end(code).await,
                Over::Lost => {}
            }
            self.core.lost();
            failures = self.config.backoff.failures(failures, started.elapsed());
            let wait = self.config.backoff.wait(failures.saturating_sub(1), rand::random());
            tokio::time::sleep(self.come_back_after.take().unwrap_or(wait)).await;
        }
    }

    /// One connection, from the token to its end.
    async fn connection(&mut self) -> Over {
        let token = match self.config.token.token().await {
            Ok(token) => token,
            Err(RequestError::Ended(code)) => return Over::Ended(code),
            Err(error) => {
                tracing::warn!(%error, "no access token");
                return Over::Lost;
            }
        };
        let error = match Connection::begin(self, token.clone()).await {
            Ok(connection) => match connection.serve().await {
                Some(error) => {
                    self.told.push(Update::Disconnected);
                    error
                }
                None => return Over::Dropped,
            },
            Err(error) => error,
        };
        tracing::debug!(%error, "the connection is over");
        match verdict(&error) {
            Verdict::Resume => {}
            Verdict::Identify => self.core.forget_session(),
            Verdict::RenewToken => self.config.token.expired(&token).await,
            Verdict::End(code) => return Over::Ended(code),
        }
        self.told.all().await;
        Over::Lost
    }

    async fn end(mut self, code: u16) {
        self.shared.send_modify(|shared| shared.ended = Some(code));
        self.commands.close();
        self.told.push(Update::Ended(code));
        self.told.all().await;
    }
}
