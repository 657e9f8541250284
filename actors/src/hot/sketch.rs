//! Which rooms cost most, in bounded memory: the *Space-Saving* sketch.
//!
//! [`ROOMS_COUNTED`] rooms have a place. A room without one takes that of the room that cost least, and inherits what
//! that one had: so much it may have cost before, and was not counted.
//!
//! # Invariants
//!
//! With K places, and N the cost of all rooms together:
//!
//! * A room with a place cost at least what was counted, and at most [`Counted::may_have_cost`].
//! * What is unsure of a room is at most N / K.
//! * A room that cost more than N / K has a place.

use std::collections::HashMap;

use hubbub_protocol::ids::RoomId;
use serde::{Deserialize, Serialize};

use super::cost::{Cost, Measure};

/// Rooms that have a place in a sketch: whoever makes up a 128th of a node's work is among them.
/// 128 × 48 bytes, and three measures in two windows: 36 KiB a node. To find the cheapest takes some 100 ns.
pub const ROOMS_COUNTED: usize = 128;

/// A room with a place, and what it cost since it took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The room.
    pub room: RoomId,
    /// What was counted, by each measure.
    pub cost: Cost,
    /// How much more it may have cost, by the measure of the sketch.
    pub unsure: u64,
}

impl Counted {
    /// The most that it may have cost.
    #[must_use]
    pub const fn may_have_cost(&self, by: Measure) -> u64 {
        self.cost.by(by).saturating_add(self.unsure)
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Sketch {
    by: Measure,
    places: Vec<Counted>,
    at: HashMap<RoomId, usize>,
}

impl Sketch {
    /// One that has counted nothing.
    #[must_use]
    pub fn new(by: Measure) -> Self {
        Self { by, places: Vec::new(), at: HashMap::new() }
    }

    /// Counts what a room cost.
    pub fn add(&mut self, room: RoomId, cost: Cost) {
        if let Some(&at) = self.at.get(&room) {
            self.places[at].cost += cost;
        } else if cost.by(self.by) == 0 {
            // It has done nothing that this sketch is about.
        } else if self.places.len() < ROOMS_COUNTED {
            self.at.insert(room, self.places.len());
            self.places.push(Counted { room, cost, unsure: 0 });
        } else if let Some(at) = self.cheapest() {
            let left = self.places[at];
            self.at.remove(&left.room);
            self.at.insert(room, at);
            self.places[at] = Counted { room, cost, unsure: left.may_have_cost(self.by) };
        }
    }

    fn cheapest(&self) -> Option<usize> {
        let costs = self.places.iter().map(|counted| counted.may_have_cost(self.by));
        costs.enumerate().min_by_key(|(_, cost)| *cost).map(|(at, _)| at)
    }

    /// The rooms that have a place, in no order.
    #[must_use]
    pub fn rooms(&self) -> &[Counted] {
        &self.places
    }

    /// The most that a room without a place may have cost.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        if self.places.len() < ROOMS_COUNTED {
            return 0;
        }
        self.cheapest().map_or(0, |at| self.places[at].may_have_cost(self.by))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(bytes: u64) -> Cost {
        Cost { bytes, deliveries: 1, ..Cost::default() }
    }

    fn counted(work: &[(u64, u64)]) -> (Sketch, HashMap<RoomId, Cost>) {
        let (mut sketch, mut truth) = (Sketch::new(Measure::Bytes), HashMap::<_, Cost>::new());
        for (room, cost) in work {
            let (room, cost) = (RoomId::from_raw(*room), bytes(*cost));
            sketch.add(room, cost);
            *truth.entry(room).or_default() += cost;
        }
        (sketch, truth)
    }

    /// Far more rooms than places, some of them much busier than others.
    fn work() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let room = prop_oneof![0..2_000_u64, 0..200_u64, 0..5_u64];
        prop::collection::vec((room, 0..10_000_u64), 0..4_000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nobody_is_counted_too_much_and_what_is_unsure_is_bounded(work in work()) {
            let (sketch, truth) = counted(&work);
            let all: u64 = truth.values().map(|cost| cost.bytes).sum();
            let bound = all / ROOMS_COUNTED as u64;
            prop_assert!(sketch.rooms().len() <= ROOMS_COUNTED);
            for known in sketch.rooms() {
                let really = truth[&known.room];
                prop_assert!(known.cost.bytes <= really.bytes && known.cost.deliveries <= really.deliveries);
                prop_assert!(really.bytes <= known.may_have_cost(Measure::Bytes));
                prop_assert!(known.unsure <= bound);
            }
            prop_assert!(sketch.unseen() <= bound);
        }

        #[test]
        fn a_room_that_costs_more_than_its_share_is_always_there(work in work()) {
            let (sketch, truth) = counted(&work);
            let all: u64 = truth.values().map(|cost| cost.bytes).sum();
            for (room, cost) in truth {
                let there = sketch.rooms().iter().any(|known| known.room == room);
                prop_assert!(there || cost.bytes <= all / ROOMS_COUNTED as u64, "{room} cost {} of {all}", cost.bytes);
                prop_assert!(there || cost.bytes <= sketch.unseen());
            }
        }
    }

    #[test]
    fn few_rooms_are_counted_exactly() {
        let work: Vec<(u64, u64)> = (0..10_000).map(|step| (step % ROOMS_COUNTED as u64, step + 1)).collect();
        let (sketch, truth) = counted(&work);
        assert_eq!(sketch.rooms().len(), ROOMS_COUNTED);
        assert!(sketch.rooms().iter().all(|known| known.unsure == 0 && known.cost == truth[&known.room]));
    }

    #[test]
    fn work_of_another_kind_takes_nobodys_place() {
        let mut sketch = Sketch::new(Measure::Deliveries);
        sketch.add(RoomId::from_raw(1), Cost { events: 5, cpu_ns: 9, ..Cost::default() });
        assert!(sketch.rooms().is_empty());
    }
}
