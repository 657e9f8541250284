#![doc = include_str!("../README.md")]

pub mod autopilot;
pub mod control;
pub mod plan;
pub mod raft;
pub mod single;

pub use single::SingleNode;
