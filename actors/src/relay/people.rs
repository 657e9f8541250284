//! How many people follow, here and on other nodes.
//!
//! Each relay counts its own people and tells the room's owner; the owner tells each relay the sum of the others.
//! So a count costs each node one message in [`REPORT_EVERY`], however many come and go. Who follows on two nodes
//! counts twice: nobody sends lists of people.

use std::time::Duration;

use super::{RelayMessage, RelayState};
use crate::{context::Counters, peers::following, room::RoomMessage};

/// Shortest time between two reports of a relay.
const REPORT_EVERY: Duration = Duration::from_secs(2);

impl RelayState {
    fn people_here(&self) -> u64 {
        self.people.len() as u64
    }

    /// People who follow, on all nodes.
    pub(super) fn online(&self) -> u64 {
        let (context, me) = (&self.context, self.context.this_node());
        let owned = context.place_of(self.room).owner == me;
        let elsewhere = if owned { context.slots.people_elsewhere(self.room, me, me) } else { self.elsewhere };
        self.people_here() + elsewhere
    }

    /// Takes note of those who have come and gone, and has the owner told of it.
    pub(super) fn count_people(&mut self) {
        let followed = (self.live.len() + self.unread.len()) as u64;
        if followed != self.followed {
            Counters::change(&self.context.counters.subscriptions, self.followed, followed);
            self.followed = followed;
        }
        let people = self.people_here();
        if people == self.counted {
            return;
        }
        self.counted = people;
        self.context.slots.count_people_here(self.room, people);
        if !self.people_timer {
            self.report_people();
        }
    }

    /// Tells the owner how many people follow here, unless it knows.
    pub(super) fn report_people(&mut self) {
        self.people_timer = false;
        if self.context.place_of(self.room).owner == self.context.this_node() {
            self.context
                .slots
                .with_room(self.room, |actor| actor.cast(RoomMessage::TellPeople { time: false }).is_ok());
            return;
        }
        let people = self.people_here();
        if people == self.reported {
            return;
        }
        if following::people(&self.context, self.room, people) {
            self.reported = people;
        }
        self.people_timer = true;
        self.me.send_after(REPORT_EVERY, || RelayMessage::ReportPeople);
    }

    /// So many people follow on other nodes.
    pub(super) fn elsewhere(&mut self, people: u64, reported: Option<u64>) {
        // An answer may come after what was told later; the owner tells those who asked once more.
        if reported.is_none() || !self.told_meanwhile {
            self.elsewhere = people;
        }
        self.told_meanwhile |= reported.is_none();
        if let Some(reported) = reported {
            self.reported = reported;
            if !self.people_timer {
                self.report_people();
            }
        }
    }
}
