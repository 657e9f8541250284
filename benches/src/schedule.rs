//! When each message of a run is to be sent, whether or not the server keeps up.
//!
//! The load is an open loop: message `n` is due at `start + n × interval`, and its latency counts from then, so a
//! server that stalls is charged for every message it made wait (no coordinated omission).
//!
//! # Invariants
//! - The number of a message tells everything else: its sender, its room, its time, whether it is in the window.
//! - Of a steady pace, client `c` sits in room `c % rooms`, and sender `s` is client `s`; a recorded one names both.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One workload, as named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) rooms: usize,
    pub(crate) members_per_room: usize,
    pub(crate) senders: usize,
    pub(crate) messages_per_s: u32,
}

/// Length of every message's text.
pub(crate) const BODY_BYTES: usize = 120;

/// The cases of docs/benchmarks.md. `small` has two senders a room, so that the order between senders is tried too.
pub(crate) const CASES: [Case; 6] = [
    case("fan5k", [10, 100, 20], 50),
    case("fan20k", [10, 100, 20], 200),
    case("small", [100, 10, 200], 500),
    case("hot", [1, 500, 20], 100),
    case("big", [1, 1_000, 20], 1),
    // Tries the rig, and says nothing of a server.
    case("tiny", [2, 5, 4], 20),
];

const fn case(name: &'static str, [rooms, members_per_room, senders]: [usize; 3], messages_per_s: u32) -> Case {
    Case { name, rooms, members_per_room, senders, messages_per_s }
}

impl Case {
    pub(crate) fn named(name: &str) -> Option<Self> {
        CASES.into_iter().find(|case| case.name == name)
    }

    pub(crate) fn clients(&self) -> usize {
        self.rooms * self.members_per_room
    }

    pub(crate) fn room_of_client(&self, client: usize) -> usize {
        client % self.rooms
    }
}

/// How long a run warms up, is then measured, and drains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    /// Longest wait for what is still under way when the last message has been sent.
    pub(crate) drain: Duration,
}

/// When a message is due, from the start, and whose and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) after: Duration,
    pub(crate) sender: usize,
    pub(crate) room: usize,
}

#[derive(Debug, Clone)]
enum Pace {
    Steady(Case),
    /// In the order of time.
    Recorded(Arc<[Due]>),
}

#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start: Instant,
    pace: Pace,
    total: u32,
    window: Range<u32>,
}

impl Schedule {
    pub(crate) fn new(case: Case, timing: Timing, start: Instant) -> Self {
        let count = |time: Duration| (time.as_secs_f64() * f64::from(case.messages_per_s)).round() as u32;
        let warm = count(timing.warm_up);
        let total = warm + count(timing.window);
        Self { start, pace: Pace::Steady(case), total, window: warm..total }
    }

    /// One of given times, all measured.
    pub(crate) fn recorded(dues: Vec<Due>, start: Instant) -> Self {
        let total = u32::try_from(dues.len()).unwrap_or(u32::MAX);
        Self { start, pace: Pace::Recorded(dues.into()), total, window: 0..total }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Messages of the whole run; their numbers are `0..total`.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    pub(crate) fn due(&self, number: u32) -> Instant {
        match &self.pace {
            Pace::Steady(case) => self.start + Duration::from_secs(1) * number / case.messages_per_s,
            // Behind the last one nothing is due; the window ends with it.
            Pace::Recorded(dues) => {
                let due = dues.get(number as usize).or(dues.last());
                self.start + due.map_or(Duration::ZERO, |due| due.after)
            }
        }
    }

    /// First instant of the measured window.
    pub(crate) fn window_start(&self) -> Instant {
        self.due(self.window.start)
    }

    /// First instant behind the window.
    pub(crate) fn window_end(&self) -> Instant {
        self.due(self.window.end)
    }

    pub(crate) fn is_measured(&self, number: u32) -> bool {
        self.window.contains(&number)
    }

    pub(crate) fn sender(&self, number: u32) -> usize {
        match &self.pace {
            Pace::Steady(case) => number as usize % case.senders,
            Pace::Recorded(dues) => dues[number as usize].sender,
        }
    }

    pub(crate) fn room(&self, number: u32) -> usize {
        match &self.pace {
            Pace::Steady(case) => case.room_of_client(self.sender(number)),
            Pace::Recorded(dues) => dues[number as usize].room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: &str) -> Schedule {
        let timing =
            Timing { warm_up: Duration::from_secs(2), window: Duration::from_secs(6), drain: Duration::ZERO };
        let case = Case::named(name).expect("a known case");
        Schedule::new(case, timing, Instant::now())
    }

    #[test]
    fn the_window_is_what_comes_after_the_warm_up() {
        let schedule = schedule("fan5k");
        assert_eq!(schedule.total(), 400);
        assert!(!schedule.is_measured(99));
        assert!(schedule.is_measured(100));
        assert!(schedule.is_measured(399));
        assert!(!schedule.is_measured(400));
        assert_eq!(schedule.window_end() - schedule.window_start(), Duration::from_secs(6));
    }

    #[test]
    fn messages_are_due_at_a_fixed_rate() {
        let schedule = schedule("fan20k");
        let gap = schedule.due(1_001) - schedule.due(1_000);
        assert_eq!(gap, Duration::from_millis(5));
    }

    #[test]
    fn a_recorded_pace_is_as_it_was_written_down() {
        let due = |ms, sender, room| Due { after: Duration::from_millis(ms), sender, room };
        let start = Instant::now();
        let schedule = Schedule::recorded(vec![due(0, 4, 1), due(700, 2, 0)], start);
        assert_eq!((schedule.total(), schedule.sender(1), schedule.room(0)), (2, 2, 1));
        assert_eq!(schedule.due(1), start + Duration::from_millis(700));
        assert_eq!(schedule.window_end(), schedule.due(1));
        assert!(schedule.is_measured(0) && !schedule.is_measured(2));
    }

    #[test]
    fn every_case_sends_into_every_room_from_clients_that_exist() {
        for case in CASES {
            let schedule = schedule(case.name);
            assert!(case.senders <= case.clients(), "{}", case.name);
            let rooms: std::collections::BTreeSet<_> =
                (0..schedule.total()).map(|number| schedule.room(number)).collect();
            assert_eq!(rooms.len(), case.rooms, "{}", case.name);
        }
        assert_eq!(Case::named("nonsense"), None);
    }
}
