#![doc = include_str!("../README.md")]

pub mod single;

pub use single::SingleNode;
