//! Which users are active on this node, and the way messages reach them.
//!
//! # Invariants
//!
//! * A user has at most one actor here: it is spawned, sent to and retired under one lock.
//! * Messages of one sender arrive in the order in which they were sent.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hubbub_protocol::ids::UserId;
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};

use super::{UserMessage, spawn};
use crate::context::Context;

/// A message counted as queued until it is handled.
#[derive(Debug)]
pub(super) struct Queued(Arc<AtomicUsize>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What stands in a user's mailbox.
#[derive(Debug)]
pub struct Mail {
    /// Nothing for what keeps no actor in memory: its own timers, and who observes it.
    pub(super) queued: Option<Queued>,
    pub(super) message: UserMessage,
}

impl Mail {
    /// What an actor sends itself.
    pub(super) const fn own(message: UserMessage) -> Self {
        Self { queued: None, message }
    }
}

#[derive(Debug)]
struct Active {
    actor: ActorRef<Mail>,
    queued: Arc<AtomicUsize>,
}

impl Active {
    fn send(&self, message: UserMessage) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        let queued = Some(Queued(self.queued.clone()));
        // An actor that has just died is cleared away by its supervisor; presence is not promised.
        let _ = self.actor.cast(Mail { queued, message });
    }
}

/// Active users.
#[derive(Debug, Default)]
pub struct UserSlots(Mutex<HashMap<UserId, Active>>);

impl UserSlots {
    /// Sends to a user's actor, spawning it first when there is none.
    pub fn send(&self, context: &Arc<Context>, user: UserId, message: UserMessage) {
        let mut users = self.0.lock();
        let fresh = || Active { actor: spawn(context, user), queued: Arc::default() };
        users.entry(user).or_insert_with(fresh).send(message);
    }

    /// Sends to a user's actor if there is one.
    pub fn send_if_here(&self, user: UserId, message: UserMessage) {
        if let Some(active) = self.0.lock().get(&user) {
            active.send(message);
        }
    }

    /// The actor of a user who is here.
    pub(crate) fn get(&self, user: UserId) -> Option<ActorRef<Mail>> {
        self.0.lock().get(&user).map(|active| active.actor.clone())
    }

    /// Clears away an actor that has ended.
    pub fn ended(&self, actor: ActorId) {
        self.0.lock().retain(|_, active| active.actor.get_id() != actor);
    }

    /// Takes a user's actor out if nothing is queued for it; says whether it did.
    pub(super) fn retire(&self, user: UserId) -> bool {
        let mut users = self.0.lock();
        if users.get(&user).is_some_and(|active| active.queued.load(Ordering::Acquire) > 0) {
            return false;
        }
        users.remove(&user);
        true
    }

    /// The users who are active.
    pub(crate) fn all(&self) -> Vec<UserId> {
        self.0.lock().keys().copied().collect()
    }

    /// How many users are active.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}
