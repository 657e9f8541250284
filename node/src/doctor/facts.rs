//! What `doctor` knows of a node before it judges: plain values.

use std::time::Duration;

use hubbub_cluster::control::{MemberState, VersionRange};
use hubbub_protocol::{ids::NodeId, time::Timestamp};
use hubbub_storage::Vitals;

use crate::net::Connections;

/// Everything.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether the node runs.
    pub running: bool,
    /// The data directory, as it was named.
    pub data_dir: String,
    /// Why the data directory, or a file of the membership in it, cannot be used.
    pub data_fault: Option<String>,
    /// This machine's time.
    pub now: Timestamp,
    /// The disk of the data directory; `None` where that does not tell.
    pub disk: Option<DiskFacts>,
    /// Open files.
    pub files: FileFacts,
    /// Buffers of sockets; `None` for a node that is no member, and where the system does not tell.
    pub sockets: Option<SocketFacts>,
    /// The store.
    pub store: StoreFacts,
    /// The cache; `None` for a node that is to have none.
    pub cache: Option<CacheFacts>,
    /// Certificates, of a member.
    pub identity: Option<IdentityFacts>,
    /// The cluster, of a member that runs.
    pub cluster: Option<ClusterFacts>,
}

/// The disk of the data directory.
#[derive(Debug, Clone, Copy)]
pub struct DiskFacts {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// `store.space_min`.
    pub space_min_bytes: u64,
}

/// Open files.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts {
    /// How many a node may have; `None` for any number.
    pub may_open: Option<u64>,
    /// `limits.connections`.
    pub wanted: Connections,
}

/// What the kernel lets a UDP socket buffer.
#[derive(Debug, Clone, Copy)]
pub struct SocketFacts {
    /// `net.core.rmem_max`, in bytes.
    pub receive_bytes_max: u64,
    /// `net.core.wmem_max`, in bytes.
    pub send_bytes_max: u64,
    /// What a link between nodes asks for.
    pub wanted_bytes: u64,
}

/// The store.
#[derive(Debug, Clone)]
pub enum StoreFacts {
    /// It was never opened: a node that has not served yet.
    Absent,
    /// It does not answer, and why.
    Unreachable(String),
    /// It answers.
    Reached(Box<ReachedStore>),
}

/// A store that answers.
#[derive(Debug, Clone)]
pub struct ReachedStore {
    /// How long a read took; not known where a connection had to be made first.
    pub read: Option<Duration>,
    /// How long a write took, or why it failed; only a running node writes.
    pub write: Option<Result<Duration, String>>,
    /// What it says of itself.
    pub vitals: Vitals,
    /// How far its clock is ahead of this machine's; `None` when it has no clock of its own.
    pub ahead: Option<ClockFacts>,
}

/// Two clocks.
#[derive(Debug, Clone, Copy)]
pub struct ClockFacts {
    /// How far the other one is ahead, in milliseconds.
    pub ahead_ms: i64,
    /// By how much that may be wrong: half of the time that the answer took.
    pub unsure_ms: u64,
}

/// The cache.
#[derive(Debug, Clone)]
pub struct CacheFacts {
    /// Where it is, without a password.
    pub url: String,
    /// How long an answer took, or why there was none.
    pub answer: Result<Duration, String>,
}

/// Certificates.
#[derive(Debug, Clone)]
pub struct IdentityFacts {
    /// The node's own, as it stands on disk; `None` when it cannot be read.
    pub certificate: Option<ValidityFacts>,
    /// The roots that can be read.
    pub roots: Vec<ValidityFacts>,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy)]
pub struct ValidityFacts {
    /// From when.
    pub begin: Timestamp,
    /// Until when.
    pub end: Timestamp,
}

/// The cluster, as this node knows it.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// This node.
    pub me: NodeId,
    /// It was removed, or another process runs under its number.
    pub superseded: bool,
    /// Who leads.
    pub leader: Option<NodeId>,
    /// No leader has confirmed this node for longer than its lease.
    pub coasting: bool,
    /// The voters are being replaced.
    pub voters_changing: bool,
    /// The format that every node may use.
    pub active_version: u32,
    /// The members, this one among them.
    pub members: Vec<MemberFacts>,
    /// How many shards there are.
    pub shards: usize,
    /// How many of them have an owner that is down, still joining, or no member.
    pub orphans: usize,
    /// How many have an owner that should serve and that this node has no link to.
    pub unreached: usize,
    /// How many are on their way for longer than a move takes.
    pub hanging: usize,
}

/// A member.
#[derive(Debug, Clone)]
pub struct MemberFacts {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: MemberState,
    /// Whether it votes.
    pub votes: bool,
    /// Whether this node has a link to it.
    pub linked: bool,
    /// Why there is no link, as it was found the last time.
    pub fault: Option<String>,
    /// Whether its store took writes, as it said last; only the leader knows.
    pub storage_ok: Option<bool>,
    /// The formats it speaks.
    pub versions: VersionRange,
    /// How far its clock is ahead of this machine's, as it told this node.
    pub clock: Option<ClockFacts>,
}
