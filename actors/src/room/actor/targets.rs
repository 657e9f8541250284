//! Requests about a message: its state is read first, and what waits goes on then.

use hubbub_protocol::{
    error::Refusal,
    event::{Event, EventBody},
    ids::Seq,
    message::MessageState,
    rest::{Changed, Thread},
};
use hubbub_storage::{Effect, StoreError};

use super::{Ask, Done, RoomMessage, RoomState, TARGETS_MAX, TargetRead, refuse};
use crate::{
    answer::unavailable,
    meter::Stamp,
    room::{
        Rooms,
        change::{self, Verdict},
        post::Change,
    },
    slots::Permit,
};

impl RoomState {
    /// Carries out an ask about a message, reading the message first when it is not known.
    pub(super) fn aim(&mut self, permit: Permit, seq: Seq, ask: Ask) {
        let wants_pins = matches!(ask, Ask::Change { change: Change::Pin, .. })
            && self.core.as_ref().is_some_and(|core| !core.knows_pins());
        if self.targets.contains_key(&seq) && !wants_pins {
            self.at_target(permit.since(), seq, ask);
            return;
        }
        let asked = self.targeted.entry(seq).or_default();
        asked.push((permit, ask));
        if asked.len() > 1 {
            return;
        }
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let read = async {
                let message = context.store.message(room, seq).await?;
                Ok((message, Some(context.store.pins(room).await?)))
            };
            let _ = me.cast(RoomMessage::Target { seq, read: Box::new(read.await) });
        });
    }

    pub(super) fn targeted(&mut self, seq: Seq, read: Result<TargetRead, StoreError>) {
        let asked = self.targeted.remove(&seq).unwrap_or_default();
        match read {
            Ok((Some(mut message), pins)) => {
                let flying = self.in_flight.iter().map(|flying| &flying.event);
                let flying: Vec<&Event> = flying.filter(|event| event.seq > seq).collect();
                flying.iter().for_each(|event| message.apply(event));
                if let (Some(core), Some(pins)) = (&mut self.core, pins) {
                    let mut pins: std::collections::BTreeSet<Seq> = pins.into_iter().collect();
                    flying.iter().for_each(|event| pin_or_not(&mut pins, &event.body));
                    core.learn_pins(pins);
                }
                self.remember(seq, message);
                asked.into_iter().for_each(|(permit, ask)| self.at_target(permit.since(), seq, ask));
            }
            Ok((None, _)) => asked.into_iter().for_each(|(_, ask)| refuse(ask, &Refusal::not_found("message"))),
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %hubbub_storage::ErrorChain(&error), "could not read message {seq}");
                asked.into_iter().for_each(|(_, ask)| refuse(ask, &unavailable()));
            }
        }
    }

    pub(super) fn remember(&mut self, seq: Seq, message: MessageState) {
        if self.targets.len() >= TARGETS_MAX {
            self.targets.clear();
        }
        self.targets.insert(seq, message);
    }

    pub(super) fn at_target(&mut self, asked: Stamp, seq: Seq, ask: Ask) {
        let (Some(core), Some(message)) = (&self.core, self.targets.get(&seq)) else {
            refuse(ask, &unavailable());
            return;
        };
        if let Err(refusal) = core.may_change() {
            refuse(ask, &refusal);
            return;
        }
        let now = self.context.now();
        match ask {
            Ask::Change { caller, access, seq, change, answer } => {
                let Some(rights) = self.context.directory.still(&access, caller.user) else {
                    // They are no longer in memory: judged anew, and asked again.
                    let rooms = Rooms::new(self.context.clone());
                    let room = self.room;
                    tokio::spawn(async move { rooms.change_in_order(caller, room, seq, change, answer).await });
                    return;
                };
                match change::decide(&change, caller.user, rights, message, core.pins()) {
                    Ok(Verdict::Store(body)) => {
                        let event = core.event(caller.user, None, body, now);
                        self.store(asked, vec![(event, Done::Changed(answer))], Vec::new());
                    }
                    Ok(Verdict::Repeat) => answer.give(Ok(Changed::Repeat { repeat: true })),
                    Err(refusal) => answer.give(Err(refusal)),
                }
            }
            Ask::Thread { thread, by, answer, .. } => match &message.thread {
                Some((room, _)) => answer.give(Ok(Thread { room: *room, created: false })),
                None if message.deleted => answer.give(Err(Refusal::not_found("message"))),
                None => {
                    let (room, title) = (thread.id, thread.name.clone());
                    let event = core.event(by, None, EventBody::ThreadCreated { target: seq, room, title }, now);
                    self.store(asked, vec![(event, Done::Thread(answer, room))], vec![Effect::PutRoom(thread)]);
                }
            },
            Ask::Post { .. } | Ask::Record { .. } | Ask::Archive { .. } | Ask::ArchiveAt { .. } => {
                refuse(ask, &unavailable())
            }
        }
    }
}

fn pin_or_not(pins: &mut std::collections::BTreeSet<Seq>, body: &EventBody) {
    match body {
        EventBody::MessagePinned { target } => {
            pins.insert(*target);
        }
        EventBody::MessageUnpinned { target } | EventBody::MessageDeleted { target, .. } => {
            pins.remove(target);
        }
        _ => {}
    }
}
