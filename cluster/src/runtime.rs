//! A running member of a cluster: [`Cluster`] ties Raft, the transport and the state machine together.
//!
//! Started in three steps: a [`RuntimeInbox`], a transport that hands to it, [`Cluster::start`]. Then the actors get
//! the cluster as their [`Placement`](hubbub_protocol::ports::Placement), and the cluster gets them as its
//! [`Resident`](hubbub_protocol::ports::Resident) and its second inbox.
//!
//! Every node runs the same tasks: it registers its start, beats to the leader, pings its peers, keeps its map and its
//! links, and lets go of what moves away. The one that leads also judges who is down, places shards, and chooses the
//! voters. The rules are pure and elsewhere: `liveness`, `moves`, `map`, `epochs`,
//! [`control`](crate::control), [`plan`](crate::plan), [`autopilot`](crate::autopilot).
//!
//! # Invariants
//!
//! * An epoch is handed out at most once, over all starts of a process.
//! * A lease is lengthened only by a leader that a majority confirmed after the heartbeat had arrived.
//! * A node that coasts goes on appending: safety is the fence's, this module only decides how soon others take over.
//!
//! # Failure
//!
//! Without a majority nothing is placed anew and proposals fail; what is owned goes on. A member that was removed, or
//! whose number another process took, says so in its log and its status, and is refused by the others.

mod acks;
mod balancer;
mod cluster;
mod core;
mod epochs;
mod follow;
mod handover;
mod heart;
mod inbox;
mod incarnation;
mod keeper;
mod lead;
mod lease;
mod leave;
mod liveness;
mod map;
mod moves;
mod propose;
mod raft_wire;
mod reach;
mod status;
mod timing;
mod wire;

pub use cluster::{Cluster, FoundError, Founding, Start, StartError};
pub use core::Report;
pub use inbox::RuntimeInbox;
pub use leave::WishError;
pub use map::{Head, Map};
pub use propose::ProposeFailure;
pub use status::{BeatStatus, ClusterStatus, MemberStatus};
pub use timing::RuntimeTiming;
#[cfg(any(test, feature = "probe"))]
pub(crate) use wire::probe;
pub use wire::{Load, RUNTIME_KINDS_END};
