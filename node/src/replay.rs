//! Replays an archive into a running node as its people would have written it: through WebSocket
//! clients, at the speed it was written at or at full speed.
//!
//! It is a client like any other and can do nothing a client cannot, save that it has the archive's
//! authors' accounts made, and signs in as them, by the operator's interface.
//!
//! * [`script`]: a line, into what a client may send (pure). [`pace`]: when (pure).
//! * [`cast`](mod@cast): the authors' connections, a bounded number of them at once.
//! * [`stage`]: one line played. [`director`]: the archive read, and its lines dealt to lanes.
//! * [`names`]: what stands for the archive's names. [`recent`]: where messages went. [`tally`]: counts.
//!
//! # Invariants
//!
//! * Lines of one room are played one after another, each once the one before is answered; so a room
//!   has them in the archive's order. Rooms go on side by side.
//! * A message's key comes from the community and the line's id ([`crate::archive::names::key`]), so a
//!   line that is played again makes no second message. Beginning a thread and reacting do nothing twice
//!   either. A replay that was broken off is therefore repeated as it is.
//! * At most as many connections are open as were asked for.
//!
//! # Failure
//!
//! What the node refuses for good is counted, with the first reason, and the rest is played. A node
//! that is gone for longer than a send is tried again ends the replay.

pub mod cast;
pub mod director;
pub mod names;
pub mod pace;
pub mod recent;
pub mod script;
pub mod stage;
pub mod tally;
