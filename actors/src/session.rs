//! A session: one device's stay, which outlives its connections.
//!
//! * [`actor`] takes a client's requests in order and keeps what it follows.
//! * [`sessions`] [`Sessions`], which begins, takes up and ends sessions.
//! * [`saved`] what is written behind, so that a session can be taken up after its node has died.

pub mod actor;
pub mod begin;
pub mod holding;
pub mod saved;
pub mod sessions;

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use hubbub_protocol::ids::{SessionId, UserId};
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};

pub use self::{
    actor::SessionMessage,
    begin::{Begin, Resume},
    sessions::{SessionHandle, Sessions},
};

/// Makes and opens the opaque tokens by which a session is resumed.
pub trait SessionTokens: Send + Sync + Debug {
    /// A token that only this installation can make.
    fn mint(&self, session: u64, user: UserId) -> String;
    /// What a token says, if this installation made it.
    fn open(&self, token: &str) -> Option<(u64, UserId)>;
}

/// A session that is in memory.
#[derive(Debug, Clone)]
pub struct ActiveSession {
    /// Its actor.
    pub actor: ActorRef<SessionMessage>,
    /// Whose it is.
    pub user: UserId,
    /// The device it signed in from.
    pub sid: SessionId,
}

/// The sessions in memory, by raw id.
#[derive(Debug, Default)]
pub struct SessionSlots(pub(crate) Mutex<HashMap<u64, ActiveSession>>);

impl SessionSlots {
    /// A session that is in memory.
    #[must_use]
    pub fn get(&self, session: u64) -> Option<ActiveSession> {
        self.0.lock().get(&session).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Every session in memory.
    #[must_use]
    pub fn all(&self) -> Vec<ActiveSession> {
        self.0.lock().values().cloned().collect()
    }

    /// Clears away an actor that has ended.
    pub fn ended(&self, actor: ActorId) {
        self.0.lock().retain(|_, active| active.actor.get_id() != actor);
    }

    /// Sends a message to every session of a user.
    pub fn to_user(&self, user: UserId, message: impl Fn() -> SessionMessage) {
        for active in self.0.lock().values().filter(|active| active.user == user) {
            let _ = active.actor.cast(message());
        }
    }

    /// Sends a message to every session of a signed-in device.
    pub fn to_device(&self, sid: SessionId, message: impl Fn() -> SessionMessage) {
        for active in self.0.lock().values().filter(|active| active.sid == sid) {
            let _ = active.actor.cast(message());
        }
    }
}

/// Shares the sessions' context without naming its insides.
pub(crate) type Shared = Arc<crate::context::Context>;
