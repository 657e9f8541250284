//! A session: one device's stay, which outlives its connections.
//!
//! * [`actor`] keeps what a client follows, while its connections come and go.
//! * [`requests`] what a client asks, taken in order.
//! * [`resuming`] a client that comes back, and what it missed.
//! * [`sessions`] [`Sessions`], which begins, takes up and ends sessions.
//! * [`saved`] what is written behind, so that a session can be taken up after its node has died.

pub mod actor;
pub mod begin;
pub mod holding;
mod pages;
mod requests;
mod resuming;
pub mod saved;
pub mod sessions;

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use hubbub_protocol::{
    ids::{SessionId, UserId},
    time::Timestamp,
};
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};

pub use self::{
    actor::{SessionMessage, SessionStatus},
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
    /// Since when its client is away.
    pub away: Away,
}

/// Since when a session's client is away, as its actor says and others read.
#[derive(Debug, Clone, Default)]
pub struct Away(Arc<AtomicI64>);

impl Away {
    /// The client went at `now`.
    pub(crate) fn since(&self, now: Timestamp) {
        self.0.store(now.0.max(1), Ordering::Release);
    }

    /// The client is here.
    pub(crate) fn no_more(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn at(&self) -> Option<Timestamp> {
        Some(Timestamp(self.0.load(Ordering::Acquire))).filter(|since| since.0 != 0)
    }
}

/// The sessions in memory, by raw id.
#[derive(Debug, Default)]
pub struct SessionSlots(Mutex<HashMap<u64, ActiveSession>>);

impl SessionSlots {
    /// A session that is in memory.
    #[must_use]
    pub fn get(&self, session: u64) -> Option<ActiveSession> {
        self.0.lock().get(&session).cloned()
    }

    /// Puts a session that was just spawned in.
    pub(crate) fn insert(&self, session: u64, active: ActiveSession) {
        self.0.lock().insert(session, active);
    }

    /// Takes a session out that is over.
    pub(crate) fn remove(&self, session: u64) {
        self.0.lock().remove(&session);
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

    /// At most `sessions` of those whose client is away, longest away first.
    #[must_use]
    pub fn longest_away(&self, sessions: usize) -> Vec<ActiveSession> {
        let mut away: Vec<_> = {
            let all = self.0.lock();
            all.values().filter_map(|active| Some((active.away.at()?, active.clone()))).collect()
        };
        away.sort_unstable_by_key(|(since, _)| *since);
        away.into_iter().take(sessions).map(|(_, active)| active).collect()
    }

    /// The sessions of a user.
    #[must_use]
    pub fn of_user(&self, user: UserId) -> Vec<ActiveSession> {
        self.0.lock().values().filter(|active| active.user == user).cloned().collect()
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
