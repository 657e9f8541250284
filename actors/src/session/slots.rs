//! The sessions in memory, and the way messages reach them.
//!
//! A session whose client is connected and asks for nothing *rests*: its state stays, and its actor, which is by far
//! the larger part, leaves. The next message starts an actor with that state. Others see no difference.
//!
//! # Invariants
//!
//! * A session has at most one actor: it is spawned, sent to and put to rest under its slot's lock.
//! * Messages of one sender arrive in the order in which they were sent.
//! * A session rests only while nothing is queued for it, so no message is sent to an actor that has decided to leave.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use hubbub_protocol::ids::{SessionId, UserId};
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};
use smallvec::SmallVec;

use crate::budget::QUIET_ROUNDS;

use super::{
    Away, SessionMessage, Shared,
    actor::{Mail, SessionState, SessionStatus},
};

/// Locks over the slots; a sender rarely meets another in one of 64.
const STRIPES: usize = 64;

/// A message counted as queued until it is handled.
#[derive(Debug)]
pub(super) struct Queued(Arc<AtomicUsize>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The session is not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHere;

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: UserId,
    /// The device it signed in from.
    pub sid: SessionId,
}

#[derive(Debug)]
struct Active {
    actor: ActorRef<Mail>,
    queued: Arc<AtomicUsize>,
}

/// A session in memory: either its actor is there, or its state rests.
#[derive(Debug)]
struct Slot {
    owner: Owner,
    away: Away,
    active: Option<Active>,
    resting: Option<Box<SessionState>>,
    /// The round in which it was sent to last.
    used: u32,
}

type Stripe = HashMap<u64, Slot>;

/// The sessions in memory, by raw id.
#[derive(Debug)]
pub struct SessionSlots {
    stripes: Vec<Mutex<Stripe>>,
    /// Taken after a stripe's lock, never before.
    index: Mutex<Index>,
    round: AtomicU32,
}

/// Finds sessions by what they are not filed under.
#[derive(Debug, Default)]
struct Index {
    of_user: HashMap<UserId, SmallVec<[u64; 2]>>,
    of_actor: HashMap<ActorId, u64>,
}

impl Index {
    fn forget(&mut self, session: u64, slot: &Slot) {
        if let Some(sessions) = self.of_user.get_mut(&slot.owner.user) {
            sessions.retain(|other| *other != session);
            if sessions.is_empty() {
                self.of_user.remove(&slot.owner.user);
            }
        }
        if let Some(active) = &slot.active {
            self.of_actor.remove(&active.actor.get_id());
        }
    }
}

impl Default for SessionSlots {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { stripes, index: Mutex::default(), round: AtomicU32::new(0) }
    }
}

impl SessionSlots {
    fn stripe(&self, session: u64) -> &Mutex<Stripe> {
        // The counter of a TSID lies in its low bits, so neighbours fall into different stripes.
        &self.stripes[usize::try_from(session % STRIPES as u64).unwrap_or(0)]
    }

    /// Whose a session is, if it is in memory.
    #[must_use]
    pub fn owner(&self, session: u64) -> Option<Owner> {
        self.stripe(session).lock().get(&session).map(|slot| slot.owner)
    }

    /// Puts a session in unless it is there, and says whether it did; its actor is started by the first message.
    #[must_use]
    pub(super) fn insert(&self, session: u64, owner: Owner, away: Away, state: Box<SessionState>) -> bool {
        let mut stripe = self.stripe(session).lock();
        // Who restores a session at the same time as another finds it there.
        let Entry::Vacant(place) = stripe.entry(session) else { return false };
        self.index.lock().of_user.entry(owner.user).or_default().push(session);
        place.insert(Slot { owner, away, active: None, resting: Some(state), used: 0 });
        true
    }

    /// Takes a session out that is over.
    pub(super) fn remove(&self, session: u64) {
        let mut stripe = self.stripe(session).lock();
        if let Some(slot) = stripe.remove(&session) {
            self.index.lock().forget(session, &slot);
        }
    }

    /// Sends to a session, whose actor is started first when it rests.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn send(&self, context: &Shared, session: u64, message: SessionMessage) -> Result<(), NotHere> {
        let mut stripe = self.stripe(session).lock();
        let slot = stripe.get_mut(&session).ok_or(NotHere)?;
        slot.used = self.round.load(Ordering::Relaxed);
        if let Some(state) = slot.resting.take() {
            let actor = super::actor::spawn(context, state);
            self.index.lock().of_actor.insert(actor.get_id(), session);
            slot.active = Some(Active { actor, queued: Arc::default() });
        }
        let active = slot.active.as_ref().ok_or(NotHere)?;
        active.queued.fetch_add(1, Ordering::AcqRel);
        let queued = Some(Queued(active.queued.clone()));
        // It fails only when the actor has just died: its supervisor clears the slot.
        active.actor.cast(Mail { queued, message }).map_err(|_| NotHere)
    }

    /// Lets the actor of a session leave, whose state stays, if nothing is queued for it but what it handles now;
    /// gives the state back otherwise.
    pub(super) fn rest(&self, session: u64, state: Box<SessionState>) -> Result<(), Box<SessionState>> {
        let mut stripe = self.stripe(session).lock();
        let Some(slot) = stripe.get_mut(&session) else { return Err(state) };
        match slot.active.take_if(|active| active.queued.load(Ordering::Acquire) <= 1) {
            Some(active) => {
                self.index.lock().of_actor.remove(&active.actor.get_id());
                slot.resting = Some(state);
                Ok(())
            }
            None => Err(state),
        }
    }

    /// Has sessions rest that were not sent to for some rounds; called once a round.
    pub fn rest_quiet(&self, context: &Shared) {
        let round = self.round.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for stripe in &self.stripes {
            let quiet: Vec<u64> = {
                let stripe = stripe.lock();
                let quiet = stripe.iter().filter(|(_, slot)| {
                    slot.active.is_some()
                        && slot.away.at().is_none()
                        && round.wrapping_sub(slot.used) >= QUIET_ROUNDS
                });
                quiet.map(|(session, _)| *session).collect()
            };
            for session in quiet {
                // One that has ended meanwhile needs no rest.
                let _ = self.send(context, session, SessionMessage::Rest);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    /// How many of them have an actor.
    #[must_use]
    pub fn awake(&self) -> usize {
        self.index.lock().of_actor.len()
    }

    /// Every session in memory.
    #[must_use]
    pub fn all(&self) -> Vec<u64> {
        self.stripes.iter().flat_map(|stripe| stripe.lock().keys().copied().collect::<Vec<_>>()).collect()
    }

    /// The users with a session here, each once.
    #[must_use]
    pub fn users(&self) -> Vec<UserId> {
        self.index.lock().of_user.keys().copied().collect()
    }

    /// Clears away an actor that has failed.
    pub fn ended(&self, actor: ActorId) {
        let session = self.index.lock().of_actor.get(&actor).copied();
        let Some(session) = session else { return };
        let mut stripe = self.stripe(session).lock();
        let is_it = |slot: &Slot| slot.active.as_ref().is_some_and(|active| active.actor.get_id() == actor);
        if stripe.get(&session).is_some_and(is_it)
            && let Some(slot) = stripe.remove(&session)
        {
            self.index.lock().forget(session, &slot);
        }
    }

    /// At most `sessions` of those whose client is away, longest away first.
    #[must_use]
    pub fn longest_away(&self, sessions: usize) -> Vec<u64> {
        let mut away: Vec<_> = Vec::new();
        for stripe in &self.stripes {
            let stripe = stripe.lock();
            away.extend(stripe.iter().filter_map(|(session, slot)| Some((slot.away.at()?, *session))));
        }
        away.sort_unstable_by_key(|(since, _)| *since);
        away.into_iter().take(sessions).map(|(_, session)| session).collect()
    }

    /// The sessions of a user.
    #[must_use]
    pub fn of_user(&self, user: UserId) -> Vec<u64> {
        self.index.lock().of_user.get(&user).map(|sessions| sessions.to_vec()).unwrap_or_default()
    }

    /// Sends a message to every session of a user.
    pub fn to_user(&self, context: &Shared, user: UserId, message: impl Fn() -> SessionMessage) {
        for session in self.of_user(user) {
            let _ = self.send(context, session, message());
        }
    }

    /// Sends a message to every session of a signed-in device.
    pub fn to_device(&self, context: &Shared, sid: SessionId, message: impl Fn() -> SessionMessage) {
        for stripe in &self.stripes {
            let sessions: Vec<u64> = {
                let stripe = stripe.lock();
                stripe.iter().filter(|(_, slot)| slot.owner.sid == sid).map(|(session, _)| *session).collect()
            };
            for session in sessions {
                let _ = self.send(context, session, message());
            }
        }
    }

    /// How a session stands, of which the state rests; else the actor to ask.
    pub(crate) fn look(&self, session: u64) -> Option<Look> {
        let stripe = self.stripe(session).lock();
        let slot = stripe.get(&session)?;
        match (&slot.resting, &slot.active) {
            (Some(state), _) => Some(Look::Resting(state.status())),
            (None, Some(active)) => Some(Look::Awake(active.actor.clone())),
            (None, None) => None,
        }
    }
}

/// What is seen of a session from outside.
#[derive(Debug)]
pub(crate) enum Look {
    /// Its state rests, and says this.
    Resting(SessionStatus),
    /// Its actor is to be asked.
    Awake(ActorRef<Mail>),
}
