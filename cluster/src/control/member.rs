//! A node as the others know it.

use hubbub_protocol::ids::NodeId;
use serde::{Deserialize, Serialize};

/// Most nodes one cluster may have: what one leader can hear from every second (architecture, figures for 10,000).
pub const MEMBERS_MAX: usize = 10_000;
/// Longest name, zone or region, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most addresses of one node: one for each of four networks, in both IP versions.
pub const ADDRESSES_MAX: usize = 8;
/// Longest address, in bytes: a DNS name of 253, a colon and a port.
pub const ADDRESS_BYTES_MAX: usize = 260;
/// Kinds of election timeout there are; see [`Member::election_slot`]. As many as there can be voters.
pub const ELECTION_SLOTS: u8 = 7;

/// Node parts that an id can hold: 10 bits.
pub const ID_SLOTS: u16 = 1_024;

/// What a node may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Serves clients and owns shards.
    Worker,
    /// The same, and may vote.
    Voter,
}

/// The releases of the node-to-node format a node speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl VersionRange {
    /// Whether `version` is spoken.
    #[must_use]
    pub const fn holds(self, version: u32) -> bool {
        self.min <= version && version <= self.max
    }
}

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MemberState {
    /// Known, but not yet found able to serve.
    Joining,
    /// Serves, and may be given shards.
    Up,
    /// Serves what it has and is given nothing more.
    Draining,
    /// Not heard of; its shards are to be given to others.
    Down,
}

impl MemberState {
    /// Whether a member may go from here to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use MemberState::{Down, Draining, Joining, Up};
        matches!(
            (self, next),
            (Joining, Up | Draining | Down) | (Up, Draining | Down) | (Draining, Up | Down) | (Down, Joining)
        )
    }
}

/// What a node says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMember {
    /// Its name, unique among the members.
    pub name: String,
    /// Where it listens for other nodes, as `host:port`.
    pub addresses: Vec<String>,
    /// The failure zone; empty when there is only one.
    pub zone: String,
    /// The region; empty when there is only one.
    pub region: String,
    /// How many shares of the work it takes, from 1; twice the number, twice the shards.
    pub capacity: u32,
    /// What it may become.
    pub role: Role,
    /// The formats it speaks.
    pub versions: VersionRange,
    /// SHA-256 of its public key's `SubjectPublicKeyInfo`.
    pub key_sha256: [u8; 32],
    /// The number in its data directory, so that a copied directory does not join twice.
    pub data_dir: u128,
}

impl NewMember {
    /// What is wrong with it, as the end of "its … is wrong".
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let label = |text: &str| text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
        let address = |text: &String| !text.is_empty() && text.len() <= ADDRESS_BYTES_MAX;
        match () {
            () if self.name.is_empty() || !label(&self.name) => Some("name"),
            () if self.addresses.is_empty() || self.addresses.len() > ADDRESSES_MAX => Some("number of addresses"),
            () if !self.addresses.iter().all(address) => Some("address"),
            () if !label(&self.zone) => Some("zone"),
            () if !label(&self.region) => Some("region"),
            () if !(1..=1_000).contains(&self.capacity) => Some("capacity"),
            () if self.versions.min > self.versions.max => Some("version range"),
            () => None,
        }
    }
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it said of itself.
    pub about: NewMember,
    /// Where it stands.
    pub state: MemberState,
    /// Counts the starts of its process; what is said of an older start is not believed.
    pub incarnation: u64,
    /// Which of the [`ELECTION_SLOTS`] windows its election timeout is drawn from. No two of the first seven members
    /// share one, so that two survivors do not stand for election at the same time for ever.
    pub election_slot: u8,
    /// The node part of the ids it makes, below [`ID_SLOTS`]. No two of the first 1,024 members share one.
    pub id_slot: u16,
    /// Somebody asked it to leave: it stays [`MemberState::Draining`] until it is asked back, or starts again.
    pub leaving: bool,
}

impl Member {
    /// Whether it may be given shards.
    #[must_use]
    pub const fn takes_shards(&self) -> bool {
        matches!(self.state, MemberState::Up)
    }
}

/// The number of the node that founds a cluster. Joined nodes have the log index of their join, which is higher: the
/// log starts with the first membership and the leader's own entry.
pub const FOUNDER: NodeId = NodeId(1);
