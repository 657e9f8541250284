//! A crate of Hubbub.

pub mod caller;
pub mod connection;
