//! How single actors stand, as operators and tests ask for it: each is asked itself.
//!
//! # Failure
//!
//! An actor that does not answer within [`OBSERVE_WAIT`] is told apart from one that is not in memory:
//! it is at work on something that takes too long.

use std::time::Duration;

use futures_util::future::join_all;
use hubbub_protocol::{
    ids::{RoomId, UserId},
    shard::ShardId,
};
use ractor::{ActorRef, Message, RpcReplyPort, rpc::CallResult};

use crate::{
    Hub,
    relay::{RelayMessage, RelayStatus},
    room::{RoomMessage, RoomStatus},
    session::{Look, Mail, SessionMessage, SessionStatus},
    shard::{ShardMessage, ShardStatus},
    supervisor::{PeopleMessage, PeopleStatus},
    user::{UserStatus, observe as observe_user},
};

/// How long an actor is waited for; its handlers take micro- to milliseconds.
pub const OBSERVE_WAIT: Duration = Duration::from_secs(2);

/// What was found when an actor was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed<T> {
    /// It is not in the memory of this node.
    NotHere,
    /// It did not answer in time.
    Silent,
    /// It answered.
    Here(T),
}

/// The actors of a room on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomObserved {
    /// The room itself.
    pub room: Observed<RoomStatus>,
    /// Its relay.
    pub relay: Observed<RelayStatus>,
}

/// The actors of a user on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserObserved {
    /// The user itself.
    pub user: Observed<UserStatus>,
    /// The user's sessions, in any order.
    pub sessions: Vec<Observed<SessionStatus>>,
}

/// The supervisors of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorsObserved {
    /// That of users and sessions.
    pub people: Observed<PeopleStatus>,
    /// Those of the shards, by number.
    pub shards: Vec<(ShardId, Observed<ShardStatus>)>,
}

/// Asks one actor.
pub(crate) async fn ask<M: Message, T: Send + 'static>(
    actor: Option<ActorRef<M>>,
    observe: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Observed<T> {
    let Some(actor) = actor else {
        return Observed::NotHere;
    };
    match actor.call(observe, Some(OBSERVE_WAIT)).await {
        Ok(CallResult::Success(status)) => Observed::Here(status),
        Ok(CallResult::Timeout) => Observed::Silent,
        // It ended between being found and being asked.
        Ok(CallResult::SenderError) | Err(_) => Observed::NotHere,
    }
}

impl Hub {
    /// How a room's actors stand here.
    pub async fn observe_room(&self, room: RoomId) -> RoomObserved {
        let slots = &self.context().slots;
        let (actor, relay) = (slots.with_room(room, Clone::clone), slots.with_relay(room, Clone::clone));
        let (room, relay) = tokio::join!(ask(actor, RoomMessage::Observe), ask(relay, RelayMessage::Observe));
        RoomObserved { room, relay }
    }

    /// How a user's actors stand here.
    pub async fn observe_user(&self, user: UserId) -> UserObserved {
        let sessions = self.context().sessions.of_user(user);
        let sessions = sessions.into_iter().map(|session| self.observe_session(session));
        let (user, sessions) = tokio::join!(observe_user(self.context(), user), join_all(sessions));
        UserObserved { user, sessions }
    }

    async fn observe_session(&self, session: u64) -> Observed<SessionStatus> {
        let sessions = &self.context().sessions;
        match sessions.look(session) {
            None => return Observed::NotHere,
            Some(Look::Resting(status)) => return Observed::Here(status),
            Some(Look::Awake(actor)) => {
                let asked = ask(Some(actor), |reply| Mail::own(SessionMessage::Observe(reply))).await;
                if asked != Observed::NotHere {
                    return asked;
                }
            }
        }
        // It has ended, or gone to rest, while it was being asked.
        match sessions.look(session) {
            Some(Look::Resting(status)) => Observed::Here(status),
            Some(Look::Awake(_)) => Observed::Silent,
            None => Observed::NotHere,
        }
    }

    /// How the supervisors stand.
    pub async fn observe_supervisors(&self) -> SupervisorsObserved {
        let people = self.context().people.read().clone().map(ActorRef::<PeopleMessage>::from);
        let shards: Vec<_> =
            self.context().shards.read().iter().cloned().map(ActorRef::<ShardMessage>::from).collect();
        let shards = shards.into_iter().map(|shard| ask(Some(shard), ShardMessage::Observe));
        let (people, shards) = tokio::join!(ask(people, PeopleMessage::Observe), join_all(shards));
        SupervisorsObserved { people, shards: (0..).map(ShardId).zip(shards).collect() }
    }
}
