//! What the cluster's safety rests on, small enough to try every order of events there can be.
//!
//! Each module is a model: a state, the steps that may come next, and what must always hold. Its test in `tests/`
//! searches all states that can be reached, breadth first, so what it finds is found on a shortest way. A
//! model takes a mutant, a design with one thing left out, and the tests show which of the promises falls with
//! it: a model that finds no fault in a broken design proves nothing about the sound one.
//!
//! * [`append`] the fence, the activation of a shard, the append and the retry under a key.
//! * [`handoff`] moving a shard under a session that sends.
//! * [`lease`] what a leader may confirm, and whom it may call dead.
//! * [`join`] whom a token admits, and under which number.
//! * [`linear`] what clients see of the append: one log.
//! * [`room`] the rules of a room, through retries, crashes and the passing of time.
//!
//! Where the product has pure code for a step, the model calls it. `docs/verification.md` tells what is modelled, how
//! large the searches are, and how to run them.

pub mod append;
pub mod handoff;
pub mod join;
pub mod lease;
pub mod linear;
pub mod room;
pub mod search;
