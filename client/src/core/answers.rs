//! Beginning a session, going on with one, and what becomes of answers.

use std::collections::BTreeMap;

use hubbub_protocol::{
    error::Refusal,
    ids::{RoomId, Seq},
    op::{Mode, Op},
    push::{Resumed, ResumedRoom},
};
use serde_json::Value;

use super::{Awaited, Core, Effect, Follow};
use crate::{error::RequestError, track::Track, update::Update};

impl Core {
    /// The first request of a connection.
    pub(crate) fn first(&self, token: String, device: String) -> Op {
        match self.session.clone() {
            Some(session) => {
                let cursors = self.live.iter().map(|(room, track)| (*room, track.seen())).collect();
                Op::Resume { token: token.into(), session: session.into(), cursors }
            }
            None => Op::Identify { token: token.into(), device, intents: self.intents },
        }
    }

    /// Takes in the answer to [`Core::first`].
    ///
    /// # Errors
    /// [`RequestError::Unreadable`], or the refusal.
    pub(crate) fn begun(&mut self, answer: &Value) -> Result<Vec<Effect>, RequestError> {
        let ok = ok_of(answer)?;
        let mut effects = vec![Effect::Tell(Update::Connected)];
        if self.session.is_some() {
            let Resumed { session, rooms } = serde_json::from_value(ok).map_err(|_| RequestError::Unreadable)?;
            self.session = Some(session);
            self.resumed(&rooms, &mut effects);
        } else {
            self.session = Some(ok["session"].as_str().ok_or(RequestError::Unreadable)?.to_owned());
            effects.insert(0, Effect::Identified(ok));
            self.follow_anew(|_| true);
        }
        self.pump(&mut effects);
        Ok(effects)
    }

    /// What the node left out of its answer is asked for by name: that is answered, if only with a refusal.
    fn resumed(&mut self, rooms: &BTreeMap<RoomId, ResumedRoom>, effects: &mut Vec<Effect>) {
        for (room, ResumedRoom { head, gap, .. }) in rooms {
            let cursor = self.live.get(room).map(Track::seen);
            self.told_head(*room, cursor, *head, *gap, effects);
            if !gap && !self.sparse() {
                self.promised.insert(*room, *head);
            }
        }
        self.follow_anew(|room| !rooms.contains_key(&room));
    }

    /// `resumed` has come: what was promised and did not come is fetched.
    pub(super) fn kept(&mut self, effects: &mut Vec<Effect>) {
        for (room, head) in std::mem::take(&mut self.promised) {
            if let Some(track) = self.live.get_mut(&room) {
                track.owe(head);
                self.heal(room, effects);
            }
        }
    }

    fn follow_anew(&mut self, wanted: impl Fn(RoomId) -> bool) {
        let live = self.live.iter().map(|(room, track)| (*room, Some(track.seen()), Mode::Live));
        let unread = self.unread.iter().map(|room| (*room, None, Mode::Unread));
        let rooms = live.chain(unread).filter(|(room, ..)| wanted(*room));
        self.queue.extend(rooms.map(|(room, after, mode)| Follow { room, after, mode, asked: false }));
    }

    /// Takes in the answer to any later request; numbers that are not ours are ignored.
    pub(crate) fn answer(&mut self, frame: &Value) -> Vec<Effect> {
        let id = frame.get("re").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        match id.and_then(|id| Some((id, self.awaited.remove(&id)?))) {
            Some((id, awaited)) => self.answered(id, awaited, ok_of(frame)),
            None => Vec::new(),
        }
    }

    /// Answers a request in the node's place: it cannot be sent.
    pub(crate) fn refuse(&mut self, id: u32, refusal: Refusal) -> Vec<Effect> {
        match self.awaited.remove(&id) {
            Some(awaited) => self.answered(id, awaited, Err(RequestError::Refused(refusal))),
            None => Vec::new(),
        }
    }

    fn answered(&mut self, id: u32, awaited: Awaited, answer: Result<Value, RequestError>) -> Vec<Effect> {
        let mut effects = Vec::new();
        match awaited {
            Awaited::Asked => effects.push(Effect::Answer(id, answer)),
            Awaited::Follow(follow) => self.followed(id, follow, answer, &mut effects),
            Awaited::Nothing => {}
        }
        self.pump(&mut effects);
        effects
    }

    /// Learns how far a room has got, and whether what came after `cursor` will not be sent. Only a head before the
    /// cursor that we named tells of a log that went back; events may overtake any other.
    pub(super) fn told_head(
        &mut self,
        room: RoomId,
        cursor: Option<Seq>,
        head: Seq,
        gap: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(track) = self.live.get_mut(&room).filter(|_| gap) else { return };
        if cursor.is_some_and(|cursor| cursor > head) {
            track.rewind(head);
            effects.push(Effect::Tell(Update::Rewound { room, head }));
        } else {
            track.owe(head);
            self.heal(room, effects);
        }
    }
}

fn ok_of(frame: &Value) -> Result<Value, RequestError> {
    if let Some(ok) = frame.get("ok") {
        return Ok(ok.clone());
    }
    let refusal = frame.get("error").and_then(|error| serde_json::from_value::<Refusal>(error.clone()).ok());
    Err(refusal.map_or(RequestError::Unreadable, RequestError::Refused))
}
