//! The WebSocket edge: one task per connection between a socket and its session.
//!
//! * [`handshake`] judges the upgrade and takes the socket over from the HTTP server.
//! * [`reader`] turns bytes into messages, without I/O.
//! * [`outbox`] what waits to be written, without I/O; [`socket`] writes it.
//! * [`conn`] the task: hello, identify or resume, requests, heartbeats.
//! * [`allowance`] how many requests it takes, [`flight`] those that wait for their answer; [`goodbye`](mod@goodbye) how it ends.

pub mod allowance;
pub mod conn;
pub mod flight;
pub mod goodbye;
pub mod handshake;
pub mod outbox;
pub mod reader;
pub mod shared;
pub mod socket;
