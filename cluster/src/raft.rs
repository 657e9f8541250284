//! The Raft group that gives every member the same [`Control`](crate::control::Control) facts.
//!
//! openraft runs the protocol; this module gives it a log and snapshots on disk, a network over any transport, and
//! wraps it in [`RaftNode`], whose types are ours. Nothing outside this module names openraft.
//!
//! # Invariants
//!
//! * What was acknowledged is on the disks of a majority.
//! * No two nodes with different [election slots](timing) can wait for the same time before they stand for election.
//! * One change of who takes part at a time.

mod errors;
mod journal;
mod log_store;
mod machine;
mod network;
mod node;
mod proposer;
mod receive;
mod snapshot;
pub mod timing;
mod types;
mod wire;

#[cfg(any(test, feature = "probe"))]
pub(crate) use wire::{probe, samples};

#[cfg(test)]
mod group;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod in_memory;
#[cfg(test)]
mod store_tests;

pub use errors::{ChangeError, ReadError, StartError};
pub use journal::JournalError;
pub use log_store::LogStoreError;
pub use machine::Facts;
pub use node::{Leads, RaftNode, Standing, Start};
pub use proposer::ProposeError;
pub use snapshot::SnapshotError;
pub use timing::Timing;
pub use types::Peer;
pub use wire::{MESSAGE_BYTES_MAX, RaftEar, RaftWire, Urgency, WireError};
