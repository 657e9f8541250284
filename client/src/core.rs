//! The rules of one client, from its first connection to its last: what is asked, followed, missing and told.
//!
//! Values in, values out: [`Core`] is told what came, and answers with [`Effect`]s in the order they have to happen.
//! It knows no socket, no clock and no task; those are in `task` and `connection`.
//!
//! # Invariants
//!
//! * At most [`IN_FLIGHT_MAX`] requests await an answer, so the node refuses none for their number.
//! * A room that was followed is followed until `unsubscribe`, [`Update::Unfollowed`] or the end, over any number of
//!   connections and sessions. Each is resumed, or subscribed to anew, after the last event handed on.
//! * Answers and events keep the order in which the node sent them.
//!
//! # Failure
//!
//! A lost connection forgets what was asked and not answered, and keeps what is followed.

mod answers;
mod follow;
mod healing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use hubbub_protocol::{
    event::EventClass,
    ids::{RoomId, Seq},
    limits,
    op::{Intents, Mode, Op},
    push::Push,
};
use serde_json::Value;

pub(crate) use self::healing::Fetched;
use crate::{
    error::RequestError,
    track::{Came, Step, Track},
    update::Update,
};

/// Requests that may await an answer: what a session may have, less two for heartbeats and fresh tokens.
pub(crate) const IN_FLIGHT_MAX: usize = limits::IN_FLIGHT_MAX - 2;

/// What has to be done, by whoever holds the socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Send `op` under this number.
    Send(u32, Op),
    /// Tell the application.
    Tell(Update),
    /// Tell who asked under this number.
    Answer(u32, Result<Value, RequestError>),
    /// Fetch a page of a room's log, after a pause that grows with `tries`.
    Fetch { room: RoomId, after: Seq, tries: u32 },
    /// Call [`Core::again`] after this long.
    Again(Duration),
    /// A session has begun; this is what the node told of it.
    Identified(Value),
}

/// A room to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Follow {
    room: RoomId,
    after: Option<Seq>,
    mode: Mode,
    /// Whether the application awaits the answer.
    asked: bool,
}

/// What an answer is awaited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The application asked.
    Asked,
    /// A room is to be followed.
    Follow(Follow),
    /// Nobody reads the answer: a heartbeat, a fresh token.
    Nothing,
}

/// The state of one client.
#[derive(Debug)]
pub(crate) struct Core {
    intents: Intents,
    session: Option<String>,
    live: BTreeMap<RoomId, Track>,
    unread: BTreeSet<RoomId>,
    /// Rooms to subscribe to as soon as answers leave room for it.
    queue: VecDeque<Follow>,
    /// Rooms that were refused for now.
    later: Vec<Follow>,
    awaited: BTreeMap<u32, Awaited>,
    healing: healing::Healing,
    /// How far the rooms of a `resume` will have got when the node says `resumed`.
    promised: BTreeMap<RoomId, Seq>,
    last_id: u32,
}

impl Core {
    pub(crate) fn new(intents: Intents) -> Self {
        Self {
            intents,
            session: None,
            live: BTreeMap::new(),
            unread: BTreeSet::new(),
            queue: VecDeque::new(),
            later: Vec::new(),
            awaited: BTreeMap::new(),
            healing: healing::Healing::default(),
            promised: BTreeMap::new(),
            last_id: 0,
        }
    }

    /// A number for a request.
    pub(crate) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// Whether one more request may be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.awaited.len() < IN_FLIGHT_MAX
    }

    /// Asks for the application under `id`.
    pub(crate) fn ask(&mut self, id: u32, op: Op) -> Vec<Effect> {
        let awaited = match &op {
            Op::Subscribe { room, after, mode } => {
                Awaited::Follow(Follow { room: *room, after: *after, mode: *mode, asked: true })
            }
            Op::Unsubscribe { room } => {
                self.let_go(*room);
                Awaited::Asked
            }
            _ => Awaited::Asked,
        };
        self.awaited.insert(id, awaited);
        vec![Effect::Send(id, op)]
    }

    /// Asks something whose answer nobody reads.
    pub(crate) fn mention(&mut self, op: Op) -> Effect {
        let id = self.next_id();
        self.awaited.insert(id, Awaited::Nothing);
        Effect::Send(id, op)
    }

    /// Takes in an event.
    pub(crate) fn event(&mut self, came: Came) -> Vec<Effect> {
        let room = came.room;
        let Some(track) = self.live.get_mut(&room) else { return Vec::new() };
        let steps = track.take(came);
        let mut effects = self.tell(room, steps);
        self.heal(room, &mut effects);
        effects
    }

    /// Takes in any other push.
    pub(crate) fn push(&mut self, push: Push) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Push::Gap { room, to, .. } = push
            && let Some(track) = self.live.get_mut(&room)
        {
            track.owe(to);
            self.heal(room, &mut effects);
        }
        if push == Push::Resumed {
            self.kept(&mut effects);
        }
        effects.push(Effect::Tell(Update::Push(push)));
        effects
    }

    /// The connection is lost.
    pub(crate) fn lost(&mut self) {
        self.awaited.clear();
        self.queue.clear();
        self.later.clear();
        self.promised.clear();
        self.healing = healing::Healing::default();
    }

    /// The session is not known to the node: the next connection begins another.
    pub(crate) fn forget_session(&mut self) {
        self.session = None;
    }

    fn let_go(&mut self, room: RoomId) {
        self.live.remove(&room);
        self.unread.remove(&room);
        self.queue.retain(|follow| follow.room != room);
        self.later.retain(|follow| follow.room != room);
    }

    /// Whether a track of this session has holes where events were not asked for.
    fn sparse(&self) -> bool {
        !(self.intents.has(Intents::MESSAGES)
            && self.intents.has(Intents::REACTIONS)
            && self.intents.has(Intents::MEMBERS))
    }

    fn wants(&self, came: &Came) -> bool {
        came.event.as_ref().is_none_or(|event| {
            self.intents.has(match event.body.kind().class() {
                EventClass::Messages => Intents::MESSAGES,
                EventClass::Reactions => Intents::REACTIONS,
                EventClass::Members => Intents::MEMBERS,
            })
        })
    }

    fn tell(&self, room: RoomId, steps: Vec<Step>) -> Vec<Effect> {
        let wanted = |step: &Step| match step {
            Step::Event(came) => self.wants(came),
            Step::Lost { .. } => true,
        };
        let update = |step| match step {
            Step::Event(Came { event: Some(event), json, .. }) => Update::Event(event, json),
            Step::Event(Came { room, seq, json, .. }) => Update::LaterEvent { room, seq, json },
            Step::Lost { from, to } => Update::Lost { room, from, to },
        };
        steps.into_iter().filter(wanted).map(|step| Effect::Tell(update(step))).collect()
    }
}

#[cfg(test)]
mod tests;
