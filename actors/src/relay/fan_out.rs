//! From the owner to the followers: events in order, without a hole.

use hubbub_protocol::frame::Format;
use hubbub_storage::{ErrorChain, StoreError, StoredEvent};
use std::time::{Duration, Instant};

use super::{Delivery, FAN_OUT_SLICE, HEAL_EVENTS, RING_MAX, RelayMessage, RelayState, wants};
use crate::{context::Counters, meter::Stamp};

impl RelayState {
    pub(super) async fn deliver(&mut self, deliveries: Vec<Delivery>) {
        self.ahead.extend(deliveries);
        self.hand_on().await;
        if !self.ahead.is_empty() {
            self.heal();
        }
    }

    /// Hands on all that joins up with what was handed on before.
    pub(super) async fn hand_on(&mut self) {
        loop {
            let run = self.next_run();
            if run.is_empty() {
                return;
            }
            self.fan_out(run).await;
        }
    }

    /// Takes out what joins up with what was handed on before, as far as the followers stay the same.
    pub(super) fn next_run(&mut self) -> Vec<Delivery> {
        let mut run: Vec<Delivery> = Vec::new();
        while let (Some(head), Some(next)) = (run.last().map(|last| last.seq).or(self.head), self.ahead.front()) {
            if next.seq > head.next() || run.last().is_some_and(|last| last.gone.is_some()) {
                break;
            }
            let Some(delivery) = self.ahead.pop_front() else {
                break;
            };
            if delivery.seq == head.next() {
                run.push(delivery);
            }
        }
        run
    }

    /// Hands a run of deliveries to every follower, each in one call.
    pub(super) async fn fan_out(&mut self, run: Vec<Delivery>) {
        self.head = run.last().map(|last| last.seq).or(self.head);
        let mut begun = Instant::now();
        let events: Vec<_> = run.iter().map(|delivery| (delivery.seq, delivery.frame.clone())).collect();
        for (at, follower) in self.live.iter().enumerate() {
            if run.iter().all(|delivery| wants(follower, delivery)) {
                follower.connection.events(self.room, &events);
            } else {
                for delivery in run.iter().filter(|delivery| wants(follower, delivery)) {
                    follower.connection.event(self.room, delivery.seq, &delivery.frame);
                }
            }
            if at % FAN_OUT_SLICE == FAN_OUT_SLICE - 1 {
                self.tab.worked(begun);
                tokio::task::yield_now().await;
                begun = Instant::now();
            }
        }
        if let Some(oldest) = run.first().filter(|_| !self.live.is_empty()) {
            let meters = &self.context.meters;
            meters.delivery.observe(Stamp::from_raw(oldest.frame.since()), meters.stamp());
        }
        Counters::add(&self.context.counters.delivered, (self.live.len() * run.len()) as u64);
        let bytes = events.iter().map(|(_, frame)| frame.wire(Format::Json).len()).sum();
        self.tab.delivered(run.len(), bytes, self.live.len());
        for delivery in run {
            self.handed(delivery);
        }
        if !self.unread.is_empty() {
            self.unread_soon();
        }
        if !self.early.is_empty() {
            self.admit_early();
        }
        self.tab.worked(begun);
        if let Some(wait) = self.tab.tell() {
            self.me.send_after(wait, || RelayMessage::TellCost);
        }
    }

    /// What follows from a delivery once everyone has it.
    pub(super) fn handed(&mut self, delivery: Delivery) {
        if let Some(by) = delivery.calls_everyone {
            let followers = self.live.iter().chain(self.unread.values().map(|unread| &*unread.follower));
            for user in followers.map(|follower| follower.user).filter(|user| *user != by) {
                self.context.markers.mentioned(user, self.room, delivery.seq);
            }
        }
        if let Some(user) = delivery.gone
            && !self.context.directory.known_to_administer(user, self.room)
        {
            self.let_go(user);
        }
        self.ring.push_back(delivery);
        if self.ring.len() > RING_MAX {
            self.ring.pop_front();
        }
    }

    pub(super) fn heal(&mut self) {
        let Some(head) = self.head else { return };
        if std::mem::replace(&mut self.healing, true) {
            return;
        }
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let read = context.store.events(room, head, HEAL_EVENTS).await;
            if read.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let _ = me.cast(RelayMessage::Healed(read));
        });
    }

    pub(super) async fn healed(&mut self, read: Result<Vec<StoredEvent>, StoreError>) {
        self.healing = false;
        let more = match read {
            Ok(events) => {
                for event in &events {
                    if self.head.is_some_and(|head| event.seq == head.next()) {
                        self.fan_out(vec![Delivery::stored(event)]).await;
                    }
                }
                events.len() == HEAL_EVENTS
            }
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %ErrorChain(&error), "could not fill a hole from the log");
                true
            }
        };
        self.hand_on().await;
        if more || !self.ahead.is_empty() {
            self.heal();
        }
    }
}
