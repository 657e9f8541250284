//! What the whole cluster agrees on: who belongs to it, which node orders which shard, who may join.
//!
//! These are small facts that change rarely. No message, presence or heartbeat is among them. A [`Command`] is a
//! change that somebody proposes; [`Control::apply`] carries it out, or answers with a [`Refusal`] and changes
//! nothing. The `raft` module gives every node the same commands in the same order.
//!
//! # Invariants
//!
//! * The same commands at the same log indexes make the same facts and the same bytes, on every node and release:
//!   no clock, no randomness, no hash order.
//! * The epoch of a shard only grows, and each change of its owner makes a new one: no two nodes ever hold the same
//!   shard at the same epoch.
//! * Every shard has one owner, and the owner is a member.
//! * The number of a node is the log index of its own join, so it is never used again; once removed it stays revoked.
//! * A token admits at most as many nodes as it says, before it expires; a used one stays used.
//! * A command sent twice under one [`RequestId`] is carried out once.
//!
//! All types here are written into the log and the snapshot, so their shape is a stored form: enums and structs grow
//! only with a new format version, and the golden vectors in `wire.rs` fail when somebody forgets.

mod apply;
mod apply_members;
mod apply_shards;
pub mod command;
pub mod member;
pub mod place;
pub mod state;
pub mod token;
pub mod wire;

#[cfg(test)]
mod laws;
#[cfg(any(test, feature = "probe"))]
#[cfg_attr(not(test), expect(dead_code, reason = "fuzzing needs a few of the samples"))]
pub(crate) mod samples;

pub use command::{Answer, Command, Refusal, Request, RequestId};
pub use member::{Member, MemberState, NewMember, Role, VersionRange};
pub use place::{Place, Renewal, ShardMove, ShardPlace};
pub use state::Control;
pub use token::{Token, TokenId};
