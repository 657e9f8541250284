//! A store in memory, for tests and simulation: the contract of the traits and nothing else.
//!
//! Everything stands in ordered maps behind one lock. No clock is read and no dice are thrown, so
//! the same calls in the same order give the same answers. What a disk and a network may do wrong
//! is done on demand: see [`Faults`].
//!
//! # Invariants
//!
//! * An append and its effects happen under one hold of the lock: nobody sees half of them.
//! * A batch that would leave a hole in a room or in a feed, or fork one, is an error and changes
//!   nothing; other stores may be less strict with an owner that counts wrongly.
//!
//! # Failure
//!
//! Only as [`Faults`] asks, apart from that error. Nothing outlives the process.

mod facts;
mod faults;
mod log;
mod meta;
mod rooms;
mod shards;

use parking_lot::{Mutex, MutexGuard};

pub use faults::{AppendFault, Faults};

use crate::error::StoreError;

/// The store. Share it as an `Arc`; nodes that share one see one database.
#[derive(Debug, Default)]
pub struct MemStore {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    log: shards::Log,
    facts: facts::Facts,
}

impl MemStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What shall go wrong.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    fn read(&self, what: &'static str) -> Result<MutexGuard<'_, State>, StoreError> {
        self.faults.check_read(what)?;
        Ok(self.state.lock())
    }

    fn write(&self, what: &'static str) -> Result<MutexGuard<'_, State>, StoreError> {
        self.faults.check_write(what)?;
        Ok(self.state.lock())
    }
}
