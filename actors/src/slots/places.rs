//! Places in the queue of an active actor: what bounds it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hubbub_protocol::{ids::Epoch, limits::ROOM_QUEUE_MAX};
use ractor::ActorRef;

use crate::meter::Stamp;

/// A place in an actor's queue; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    queued: Arc<AtomicUsize>,
    since: Stamp,
}

impl Permit {
    /// The same, with the moment at which it was taken.
    #[must_use]
    pub const fn at(mut self, since: Stamp) -> Self {
        self.since = since;
        self
    }

    /// The moment at which it was taken.
    #[must_use]
    pub const fn since(&self) -> Stamp {
        self.since
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The queue of one actor is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// An active actor, and how much is queued for it. Ractor's mailboxes have no bound of their own.
#[derive(Debug)]
pub struct Active<M> {
    pub(super) actor: ActorRef<M>,
    queued: Arc<AtomicUsize>,
    /// The turn in which it was sent to last; turns count up for all actors together.
    pub(super) used: u64,
    /// For a room that is loaded: the activation of its shard.
    pub(super) epoch: Option<Epoch>,
}

impl<M> Active<M> {
    /// A fresh actor with nothing queued.
    #[must_use]
    pub fn new(actor: ActorRef<M>) -> Self {
        Self { actor, queued: Arc::new(AtomicUsize::new(0)), used: 0, epoch: None }
    }

    /// How many places of the queue are taken.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    pub(super) fn permit(&self) -> Result<Permit, Full> {
        if self.queued.fetch_add(1, Ordering::AcqRel) >= ROOM_QUEUE_MAX {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            return Err(Full);
        }
        Ok(Permit { queued: self.queued.clone(), since: Stamp::NONE })
    }
}
