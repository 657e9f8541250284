//! From a decision to the disk, and from there to the followers and the authors.

use std::{sync::Arc, time::Instant};

use hubbub_protocol::{
    event::{Event, EventBody},
    frame::Frame,
    ids::{Seq, UserId},
    rest::Sent,
};
use hubbub_storage::Effect;

use super::{Build, Done, InFlight, RoomMessage, RoomState};
use crate::{
    answer::{Answer, busy},
    lane::Append,
    meter::Stamp,
    relay::{Delivery, RelayMessage},
    room::{RoomRef, post::Archived},
};

impl RoomState {
    pub(super) fn record(&mut self, by: UserId, body: EventBody, effects: Vec<Effect>, answer: Answer<Seq>) {
        let Some(core) = &self.core else { return };
        let event = core.event(by, None, body, self.context.now());
        let seq = event.seq;
        self.store(Stamp::NONE, vec![(event, Done::Seq(answer, seq))], effects);
    }

    pub(super) fn archive(&mut self, Build(build): Build, answer: Answer<Seq>) {
        let Some(core) = &self.core else { return };
        let first = core.head().next();
        let (events, effects) = build(first);
        let mut numbered = Vec::with_capacity(events.len());
        let mut newest = core.last_ts();
        for (seq, Archived { by, ts, key, body }) in (first.0..).zip(events) {
            newest = newest.max(ts);
            let event = Event { room: self.room, seq: Seq(seq), ts: newest, by, key, body };
            numbered.push((event, Done::Nothing));
        }
        match numbered.last_mut() {
            Some(last) => last.1 = Done::Seq(answer, first),
            None => {
                answer.give(Ok(first));
                return;
            }
        }
        // Whoever takes an archive in waits for each part.
        self.hand_in(Stamp::NONE, numbered, effects, false);
    }

    /// Stores an archive that another node built for the place `first`, or refuses.
    pub(super) fn archive_at(
        &mut self,
        first: Seq,
        events: Vec<Archived>,
        effects: Vec<Effect>,
        answer: Answer<Seq>,
    ) {
        let Some(core) = &self.core else { return };
        let next = core.head().next();
        if events.is_empty() {
            answer.give(Ok(next));
        } else if next == first {
            self.archive(Build(Box::new(move |_| (events, effects))), answer);
        } else {
            // Somebody else was faster; the archive is built anew.
            answer.give(Err(busy()));
        }
    }

    /// Takes events in that were `asked` for at that moment, and hands them to the appender.
    pub(super) fn store(&mut self, asked: Stamp, events: Vec<(Event, Done)>, effects: Vec<Effect>) {
        self.hand_in(asked, events, effects, true);
    }

    fn hand_in(&mut self, asked: Stamp, events: Vec<(Event, Done)>, effects: Vec<Effect>, may_wait: bool) {
        let Some(core) = &mut self.core else { return };
        let lane = self.context.lane(self.context.shard_of(self.room)).clone();
        if lane.is_full() {
            events.into_iter().for_each(|(_, done)| done.refuse(&busy()));
            return;
        }
        let mut append = Append {
            shard: self.context.shard_of(self.room),
            room: RoomRef(self.me.clone()),
            epoch: self.epoch,
            dead: self.dead.clone(),
            events: Vec::with_capacity(events.len()),
            effects,
            may_wait: may_wait && !std::mem::take(&mut self.has_waited),
            handed: tokio::time::Instant::now(),
        };
        let handed = self.context.meters.stamp();
        self.context.meters.queue.observe(asked, handed);
        let mut flying = Vec::with_capacity(events.len());
        for (event, done) in events {
            let frame = Arc::new(Frame::event(&event));
            append.events.push((event.clone(), frame.clone()));
            flying.push(InFlight { event, frame, done, handed, repeats: Vec::new() });
        }
        if lane.hand_in(Box::new(append)).is_err() {
            flying.into_iter().for_each(|flying| flying.done.refuse(&busy()));
            return;
        }
        for flying in flying {
            core.apply(&flying.event);
            if matches!(flying.event.body, EventBody::MessagesPurged { .. }) {
                self.targets.clear();
            } else if let Some(message) = flying.event.target().and_then(|seq| self.targets.get_mut(&seq)) {
                message.apply(&flying.event);
            }
            self.in_flight.push_back(flying);
        }
    }

    /// Does `work`, and counts the time it takes as the room's.
    pub(super) fn at_work(&mut self, work: impl FnOnce(&mut Self)) {
        let begun = Instant::now();
        work(self);
        self.tab.ordered(begun);
        if let Some(wait) = self.tab.tell() {
            self.me.send_after(wait, || RoomMessage::TellCost);
        }
    }

    pub(super) fn committed(&mut self, events: usize, at: Stamp) {
        let mut deliveries = Vec::with_capacity(events);
        let mut answers = Vec::with_capacity(events);
        let flown = self.in_flight.drain(..events.min(self.in_flight.len()));
        for InFlight { event, frame, done, handed, repeats } in flown {
            self.committed = event.seq;
            self.context.meters.append.observe(handed, at);
            frame.set_since(at.raw());
            answers.push((Sent { seq: event.seq, ts: event.ts, repeat: false }, done, repeats));
            self.context.markers.committed(&self.context, &event);
            deliveries.push(Delivery::of(&event, frame));
        }
        self.tab.committed(deliveries.len());
        self.context.directory.note_head(self.room, self.committed);
        self.context.tails.committed(&*self.context.ports.cache, self.room, &deliveries);
        self.send_to_watchers(&deliveries);
        if let Some(relay) = &self.relay
            && relay.cast(RelayMessage::Deliver(deliveries)).is_err()
        {
            self.relay = None;
        }
        // After the delivery is under way: who is answered may at once ask the relay to let somebody go.
        for (sent, done, repeats) in answers {
            done.give(sent);
            repeats.into_iter().for_each(|answer| answer.give(Ok(Sent { repeat: true, ..sent })));
        }
        let meters = &self.context.meters;
        meters.fan_out.observe_many(at, meters.stamp(), events as u64);
        self.leave_when_settled();
    }
}
