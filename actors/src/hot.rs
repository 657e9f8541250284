//! Which rooms cost this node most, by time at work, deliveries and bytes.
//!
//! Each room's actor and relay keep their own numbers, a [`Tab`], and add them here about once a second. Here they are
//! counted by [`Sketch`]es of a fixed size: one for each measure, in two windows that take turns, so that what is told
//! is of the last 30 to 60 seconds.
//! There is no clock read and no lock for a recipient: one clock read at each end of 256 deliveries, one lock a second.
//! A write to a socket is part of the relay's work and measured with it. What a socket does not take is written later, by
//! the task of its connection, which knows of no room: that time is measured too, and shared among rooms by deliveries.
//!
//! Metrics have no label for a room, as there would be as many as rooms; this is what tells instead.
//!
//! * [`sketch`] what is promised of the numbers.
//! * [`gather`] the same of every node.

pub mod cost;
pub mod gather;
pub mod sketch;
mod tab;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use hubbub_protocol::ids::RoomId;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use self::sketch::Sketch;
pub(crate) use self::tab::Tab;
pub use self::{
    cost::{Cost, Measure},
    sketch::{Counted, ROOMS_COUNTED},
};
use crate::meter::Meters;

/// How long a window counts before the next begins: long enough to tell a hot room from a burst, short enough to see
/// it come and go.
pub const WINDOW: Duration = Duration::from_secs(30);

/// What was counted within one window.
#[derive(Debug)]
struct Window {
    total: Cost,
    /// What connections' tasks wrote later, of all rooms.
    late_ns: u64,
    sketches: [Sketch; Measure::ALL.len()],
}

impl Window {
    fn new() -> Self {
        Self { total: Cost::default(), late_ns: 0, sketches: Measure::ALL.map(Sketch::new) }
    }

    fn add(&mut self, room: RoomId, cost: Cost) {
        self.total += cost;
        self.sketches.iter_mut().for_each(|sketch| sketch.add(room, cost));
    }

    /// What was written later of so many deliveries.
    fn late_ns(&self, deliveries: u64) -> u64 {
        let shared = u128::from(self.late_ns) * u128::from(deliveries) / u128::from(self.total.deliveries.max(1));
        u64::try_from(shared).unwrap_or(u64::MAX)
    }

    fn sketch(&self, by: Measure) -> &Sketch {
        &self.sketches[by as usize]
    }
}

/// The window that counts, and the one before it.
#[derive(Debug)]
struct Windows {
    current: Window,
    began: Instant,
    /// Absent within the first window of a node.
    before: Option<Window>,
}

impl Windows {
    fn turn(&mut self, now: Instant) {
        let windows = now.saturating_duration_since(self.began).as_nanos() / WINDOW.as_nanos();
        if windows == 0 {
            return;
        }
        let ended = std::mem::replace(&mut self.current, Window::new());
        // After more than one nothing has happened in the last.
        self.before = Some(if windows == 1 { ended } else { Window::new() });
        self.began += WINDOW * u32::try_from(windows).unwrap_or(u32::MAX);
    }
}

/// What a node tells of its rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotReport {
    /// The time it is about.
    pub period: Duration,
    /// What all rooms cost together.
    pub total: Cost,
    /// The rooms that cost most by the measure that was asked for, at most two windows' [`ROOMS_COUNTED`], the
    /// dearest first.
    pub rooms: Vec<Counted>,
}

/// See the module.
#[derive(Debug)]
pub struct HotRooms {
    windows: Mutex<Windows>,
    meters: Arc<Meters>,
}

impl HotRooms {
    pub(crate) fn new(now: Instant, meters: Arc<Meters>) -> Self {
        Self { windows: Mutex::new(Windows { current: Window::new(), began: now, before: None }), meters }
    }

    /// The windows as they are at this moment.
    fn windows(&self, now: Instant) -> MutexGuard<'_, Windows> {
        let mut windows = self.windows.lock();
        windows.current.late_ns += self.meters.late_ns.swap(0, Ordering::Relaxed);
        windows.turn(now);
        windows
    }

    /// Counts what a room cost.
    pub fn add(&self, room: RoomId, cost: Cost, now: Instant) {
        self.windows(now).current.add(room, cost);
    }

    /// The rooms that cost most lately.
    #[must_use]
    pub fn report(&self, by: Measure, now: Instant) -> HotReport {
        let windows = self.windows(now);
        let Windows { current, began, before } = &*windows;
        let mut period = now.saturating_duration_since(*began);
        let mut total = current.total;
        total.cpu_ns += current.late_ns(total.deliveries);
        let (newer, older) = (current.sketch(by), before.as_ref().map(|before| before.sketch(by)));
        if let Some(before) = before {
            period += WINDOW;
            total += before.total;
            total.cpu_ns += before.late_ns(before.total.deliveries);
        }
        let unseen = [newer.unseen(), older.map_or(0, Sketch::unseen)];
        let mut rooms = BTreeMap::<RoomId, (Counted, [u64; 2])>::new();
        for (at, window) in [Some(current), before.as_ref()].into_iter().flatten().enumerate() {
            for counted in window.sketch(by).rooms() {
                let nothing = Counted { room: counted.room, cost: Cost::default(), unsure: 0 };
                let (known, unsure) = rooms.entry(counted.room).or_insert((nothing, unseen));
                known.cost += counted.cost;
                known.cost.cpu_ns += window.late_ns(counted.cost.deliveries);
                unsure[at] = counted.unsure;
            }
        }
        let rooms = rooms.into_values().map(|(known, [new, old])| Counted { unsure: new + old, ..known });
        let mut rooms: Vec<Counted> = rooms.collect();
        rooms.sort_by_key(|counted| (std::cmp::Reverse(counted.cost.by(by)), counted.room));
        HotReport { period, total, rooms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(deliveries: u64) -> Cost {
        Cost { deliveries, bytes: 1_000 - deliveries, ..Cost::default() }
    }

    fn counts(hot: &HotRooms, by: Measure, now: Instant) -> Vec<(u64, u64)> {
        let rooms = hot.report(by, now).rooms;
        rooms.iter().map(|counted| (counted.room.raw(), counted.cost.by(by))).collect()
    }

    #[test]
    fn the_dearest_room_comes_first_by_each_measure() {
        let begun = Instant::now();
        let hot = HotRooms::new(begun, Arc::default());
        for (room, cost) in [(1, 10), (2, 30), (3, 20), (2, 5)] {
            hot.add(RoomId::from_raw(room), deliveries(cost), begun);
        }
        assert_eq!(counts(&hot, Measure::Deliveries, begun), [(2, 35), (3, 20), (1, 10)]);
        assert_eq!(counts(&hot, Measure::Bytes, begun), [(2, 1_965), (1, 990), (3, 980)]);
        assert_eq!(counts(&hot, Measure::Cpu, begun), [], "nobody was at work");
    }

    #[test]
    fn a_room_that_has_cooled_down_is_forgotten_after_two_windows() {
        let begun = Instant::now();
        let hot = HotRooms::new(begun, Arc::default());
        let at = |seconds| begun + Duration::from_secs(seconds);
        hot.add(RoomId::from_raw(1), deliveries(100), at(1));
        hot.add(RoomId::from_raw(2), deliveries(7), at(31));
        assert_eq!(counts(&hot, Measure::Deliveries, at(59)), [(1, 100), (2, 7)]);
        assert_eq!(hot.report(Measure::Cpu, at(59)).period, Duration::from_secs(59));
        assert_eq!(counts(&hot, Measure::Deliveries, at(61)), [(2, 7)]);
        let later = hot.report(Measure::Deliveries, at(60 * 60));
        assert_eq!((later.rooms, later.total), (vec![], Cost::default()));
        assert!(later.period >= WINDOW && later.period < WINDOW * 2, "{:?}", later.period);
    }

    /// Which room it was for is not known when a connection catches up.
    #[test]
    fn what_connections_write_later_is_shared_by_deliveries() {
        let (begun, meters) = (Instant::now(), Arc::<Meters>::default());
        let hot = HotRooms::new(begun, meters.clone());
        let cost = |deliveries| Cost { deliveries, cpu_ns: 100, ..Cost::default() };
        hot.add(RoomId::from_raw(1), cost(30), begun);
        hot.add(RoomId::from_raw(2), cost(10), begun);
        meters.late_ns.fetch_add(4_000, Ordering::Relaxed);
        assert_eq!(counts(&hot, Measure::Cpu, begun), [(1, 3_100), (2, 1_100)]);
        assert_eq!(hot.report(Measure::Cpu, begun).total.cpu_ns, 4_200);
        let later = begun + WINDOW;
        hot.add(RoomId::from_raw(2), cost(10), later);
        meters.late_ns.fetch_add(500, Ordering::Relaxed);
        assert_eq!(counts(&hot, Measure::Cpu, later), [(1, 3_100), (2, 1_100 + 600)], "each window has its own");
    }

    /// A room may have had no place in one of the two windows: as much as the cheapest place there is unsure of it.
    #[test]
    fn what_a_full_window_may_have_missed_is_told() {
        let begun = Instant::now();
        let hot = HotRooms::new(begun, Arc::default());
        for room in 0..ROOMS_COUNTED as u64 {
            hot.add(RoomId::from_raw(room), deliveries(50), begun);
        }
        let later = begun + WINDOW;
        hot.add(RoomId::from_raw(5_000), deliveries(80), later);
        let rooms = hot.report(Measure::Deliveries, later).rooms;
        assert_eq!((rooms[0].room.raw(), rooms[0].unsure), (5_000, 50));
        assert!(rooms[1..].iter().all(|counted| counted.unsure == 0));
    }
}
