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

/// What a room cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Events committed.
    pub events: u64,
    /// Events times the connections they were handed to.
    pub deliveries: u64,
    /// Bytes of those, as JSON, with the header of the frame.
    pub bytes: u64,
    /// Time at work in the room's actor and its relay, the writes to sockets among it, as measured. In a report also the
    /// room's share, by deliveries, of what connections' tasks wrote later ([`Meters::late_ns`]).
    ///
    /// [`Meters::late_ns`]: crate::meter::Meters::late_ns
    pub cpu_ns: u64,
    /// What of that was the actor's that orders the room: it leaves with the room's shard. Told within a node only.
    #[serde(skip)]
    pub ordering_ns: u64,
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
        self.ordering_ns = self.ordering_ns.saturating_add(more.ordering_ns);
    }
}
