//! The rig that breaks a real cluster: processes, a database and a network, and people who talk meanwhile.
//!
//! A run is a seed. From it comes a [`plan`] of faults; a [`lab`] with 3 to 5 nodes and a PostgreSQL server is broken
//! accordingly, one fault at a time, while [`people`] send, follow, move between nodes and read. Then everything is
//! healed, every node must serve every room again, every room's log is read from every node, and what the people
//! recorded is held against it by [`history::check`](crate::history::check).
//!
//! # Invariants
//!
//! * What is checked is what clients saw. Nothing of the product's inside is asked, except to aim: which node owns a
//!   room, which leads.
//! * A run in which too little happened is neither passed nor failed: it says nothing ([`verdict::Verdict::Invalid`]).
//! * Every process that was started is ended by its id, and every namespace removed, however the run ends short of a
//!   `kill -9` of the rig; the next run removes what that leaves.
//!
//! # Failure
//!
//! Where namespaces are not permitted the lab is on loopback ports, says so, and cuts nothing.

pub mod cuts;
pub mod ending;
pub mod gate;
pub mod lab;
pub mod measure;
pub mod members;
pub mod nemesis;
pub mod outcast;
pub mod people;
pub mod plan;
pub mod recorder;
pub mod run;
pub mod stage;
pub mod verdict;
