//! Which users are active on this node, and the way messages reach them.
//!
//! A user to whom nothing happens *rests*: the state stays, and the actor, which is by far the larger part, leaves. The
//! next message starts an actor with that state, but for those that a resting state takes by itself, as pushes are.
//!
//! # Invariants
//!
//! * A user has at most one actor here: it is spawned, sent to, put to rest and retired under its slot's lock.
//! * Messages of one sender arrive in the order in which they were sent.
//! * A user rests only while nothing is queued and no timer runs, so nothing is sent to an actor that has decided to
//!   leave.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use hubbub_protocol::ids::UserId;
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};

use super::{UserMessage, UserState, UserStatus, actor, resting::Asleep};
use crate::{budget::QUIET_ROUNDS, context::Context};

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

/// A user here: either the actor is there, or the state rests.
#[derive(Debug)]
struct Slot {
    active: Option<Active>,
    resting: Option<Box<UserState>>,
    /// The round in which the user was sent to last.
    used: u32,
}

impl Slot {
    const fn of(state: Box<UserState>) -> Self {
        Self { active: None, resting: Some(state), used: 0 }
    }

    /// Sends to the actor, which is started first when the state rests. Gives what a resting state has done about the
    /// message instead.
    fn send(&mut self, round: u32, message: UserMessage) -> Option<Asleep> {
        if let Some(state) = self.resting.take_if(|state| !state.sleeps_through(&message)) {
            self.active = Some(Active { actor: actor::spawn(state), queued: Arc::default() });
        }
        self.used = round;
        match (&self.active, &self.resting) {
            (Some(active), _) => active.send(message),
            (None, Some(state)) => return state.take_asleep(message),
            (None, None) => {}
        }
        None
    }

    /// Whether this is the slot of an actor.
    fn is_of(&self, actor: ActorId) -> bool {
        self.active.as_ref().is_some_and(|active| active.actor.get_id() == actor)
    }
}

type Stripe = HashMap<UserId, Slot>;

/// Active users.
#[derive(Debug)]
pub struct UserSlots {
    stripes: Vec<Mutex<Stripe>>,
    round: AtomicU32,
}

impl Default for UserSlots {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { stripes, round: AtomicU32::new(0) }
    }
}

impl UserSlots {
    fn stripe(&self, user: UserId) -> &Mutex<Stripe> {
        // The counter of a TSID lies in its low bits, so neighbours fall into different stripes.
        &self.stripes[usize::try_from(user.raw() % STRIPES as u64).unwrap_or(0)]
    }

    fn round(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Sends to a user's actor, spawning it first when there is none.
    pub fn send(&self, context: &Arc<Context>, user: UserId, message: UserMessage) {
        let fresh = || Slot::of(UserState::new(context.clone(), user));
        let asleep = self.stripe(user).lock().entry(user).or_insert_with(fresh).send(self.round(), message);
        // Nothing is queued before it, so it overtakes nothing.
        asleep.into_iter().for_each(Asleep::carry_out);
    }

    /// Sends to a user who is here.
    pub fn send_if_here(&self, user: UserId, message: UserMessage) {
        let asleep = match self.stripe(user).lock().get_mut(&user) {
            Some(slot) => slot.send(self.round(), message),
            None => None,
        };
        asleep.into_iter().for_each(Asleep::carry_out);
    }

    /// Clears away an actor that has failed.
    pub fn ended(&self, actor: ActorId) {
        self.stripes.iter().for_each(|stripe| stripe.lock().retain(|_, slot| !slot.is_of(actor)));
    }

    /// Takes a user's actor out if nothing is queued for it; says whether it did.
    pub(super) fn retire(&self, user: UserId) -> bool {
        let mut stripe = self.stripe(user).lock();
        let queued = |slot: &Slot| slot.active.as_ref().map_or(0, |active| active.queued.load(Ordering::Acquire));
        if stripe.get(&user).map_or(0, queued) > 0 {
            return false;
        }
        stripe.remove(&user);
        true
    }

    /// Lets the actor of a user leave, whose state stays, if nothing is queued for it but what it handles now; gives
    /// the state back otherwise.
    pub(super) fn rest(&self, user: UserId, state: Box<UserState>) -> Result<(), Box<UserState>> {
        let mut stripe = self.stripe(user).lock();
        let Some(slot) = stripe.get_mut(&user) else { return Err(state) };
        match slot.active.take_if(|active| active.queued.load(Ordering::Acquire) <= 1) {
            Some(_) => {
                slot.resting = Some(state);
                Ok(())
            }
            None => Err(state),
        }
    }

    /// Has users rest to whom nothing was sent for some rounds; called once a round.
    pub fn rest_quiet(&self) {
        let round = self.round.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for stripe in &self.stripes {
            for slot in stripe.lock().values_mut() {
                if slot.active.is_some() && round.wrapping_sub(slot.used) >= QUIET_ROUNDS {
                    slot.send(round, UserMessage::Rest);
                }
            }
        }
    }

    /// How a user stands, of whom the state rests; else the actor to ask.
    pub(super) fn look(&self, user: UserId) -> Option<Look> {
        let stripe = self.stripe(user).lock();
        let slot = stripe.get(&user)?;
        match (&slot.resting, &slot.active) {
            (Some(state), _) => Some(Look::Resting(state.status())),
            (None, Some(active)) => Some(Look::Awake(active.actor.clone())),
            (None, None) => None,
        }
    }

    /// The users who are here.
    pub(crate) fn all(&self) -> Vec<UserId> {
        self.stripes.iter().flat_map(|stripe| stripe.lock().keys().copied().collect::<Vec<_>>()).collect()
    }

    /// How many users are here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    /// How many of them have an actor.
    #[must_use]
    pub fn awake(&self) -> usize {
        let awake = |stripe: &Mutex<Stripe>| stripe.lock().values().filter(|slot| slot.active.is_some()).count();
        self.stripes.iter().map(awake).sum()
    }
}

/// What is seen of a user from outside.
#[derive(Debug)]
pub(super) enum Look {
    /// The state rests, and says this.
    Resting(UserStatus),
    /// The actor is to be asked.
    Awake(ActorRef<Mail>),
}
