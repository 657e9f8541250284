#![doc = include_str!("../README.md")]

pub mod answer;
pub mod budget;
pub mod caller;
pub mod communities;
pub mod connection;
pub mod context;
pub mod directory;
pub mod gates;
pub mod hot;
pub mod hub;
pub mod lane;
pub mod markers;
pub mod meter;
pub mod observe;
pub mod peers;
pub mod people;
pub mod relay;
pub mod room;
pub mod session;
pub mod shard;
pub mod slots;
pub mod supervisor;
pub mod tails;
pub mod user;

pub use caller::Caller;
pub use connection::Connection;
pub use context::{HubConfig, Ports};
pub use hub::{Hub, HubStatus};

/// What the tests in `tests/` stand on, for those in here.
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

#[cfg(test)]
extern crate self as hubbub_actors;
