#![doc = include_str!("../README.md")]

pub mod autopilot;
pub mod balance;
pub mod control;
pub mod identity;
pub mod join;
pub mod plan;
#[cfg(any(test, feature = "probe"))]
pub mod probe;
pub mod raft;
pub mod runtime;
pub mod single;
pub mod transport;

pub use runtime::Cluster;
pub use single::SingleNode;
