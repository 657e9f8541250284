//! A session: one device's stay, which outlives its connections.
//!
//! * [`actor`] keeps what a client follows, while its connections come and go.
//! * [`requests`] what a client asks, taken in order.
//! * [`resuming`] a client that comes back, and what it missed.
//! * [`sessions`] [`Sessions`], which begins, takes up and ends sessions.
//! * `slots` which are in memory, and how messages reach them; a quiet one rests without an actor.
//! * [`hints`] the same in the cache, to read ahead by.
//! * [`saved`] what is written behind, so that a session can be taken up after its node has died.

pub mod actor;
pub mod begin;
pub(crate) mod hints;
pub mod holding;
mod pages;
mod requests;
mod resuming;
pub mod saved;
pub mod sessions;
mod slots;

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use hubbub_protocol::{ids::UserId, time::Timestamp};

pub use self::{
    actor::{SessionMessage, SessionStatus},
    begin::{Begin, Resume},
    sessions::{SessionHandle, Sessions},
    slots::SessionSlots,
};

/// Makes and opens the opaque tokens by which a session is resumed.
pub trait SessionTokens: Send + Sync + Debug {
    /// A token that only this installation can make.
    fn mint(&self, session: u64, user: UserId) -> String;
    /// What a token says, if this installation made it.
    fn open(&self, token: &str) -> Option<(u64, UserId)>;
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

pub(crate) use self::{actor::Mail, slots::Look};

/// Shares the sessions' context without naming its insides.
pub(crate) type Shared = Arc<crate::context::Context>;
