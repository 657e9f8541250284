//! What a room costs a node, and by what rooms are compared.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// By what rooms are compared. New ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Measure {
    /// Time at work.
    Cpu,
    /// Events times those they were handed to.
    Deliveries,
    /// Bytes handed to connections.
    Bytes,
}

impl Measure {
    /// All of them, each in its place.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Deliveries, Self::Bytes];
}

/// What the work for one delivery takes once a connection has it: waking its task, and the write to the socket. It is
/// done by tasks that know of no room, so it is an estimate: 6.6 µs of the whole node's CPU were measured for each
/// delivery (docs/benchmarks.md, `spread`), and what is measured here of it is below 1 µs.
pub const DELIVERY_NS: u64 = 6_000;

/// What a room cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Events committed.
    pub events: u64,
    /// Events times the connections they were handed to.
    pub deliveries: u64,
    /// Bytes of those, as JSON, with the header of the frame.
    pub bytes: u64,
    /// Time at work in the room's actor and its relay, as measured, and [`DELIVERY_NS`] for each delivery.
    pub cpu_ns: u64,
}

impl Cost {
    /// It, by one measure.
    #[must_use]
    pub const fn by(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Cpu => self.cpu_ns,
            Measure::Deliveries => self.deliveries,
            Measure::Bytes => self.bytes,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.events = self.events.saturating_add(more.events);
        self.deliveries = self.deliveries.saturating_add(more.deliveries);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.cpu_ns = self.cpu_ns.saturating_add(more.cpu_ns);
    }
}
