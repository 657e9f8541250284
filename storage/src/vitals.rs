//! What a store says of itself to an operator: how durable it is, which time it has, which schema.

use hubbub_protocol::time::Timestamp;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vitals {
    /// What it does before it calls a write done.
    pub durability: Durability,
    /// The time it has, when that is not this machine's own.
    pub clock: Option<Timestamp>,
    /// The schema that stands there; 0 before there is any.
    pub schema: usize,
    /// The schema that this program writes.
    pub schema_known: usize,
}

/// What a store does before it calls a write done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: it ends with the process.
    Memory,
    /// The embedded store, as its writing connection is set.
    Sqlite {
        /// `PRAGMA synchronous`: 2 syncs the journal at each commit, 3 its directory too.
        synchronous: i64,
        /// `PRAGMA journal_mode`.
        journal: String,
    },
    /// A PostgreSQL server, as our sessions are set.
    Postgres {
        /// Whether writes are synced at all.
        fsync: bool,
        /// Whether a page that was half written when the power went is mended.
        full_page_writes: bool,
        /// What a commit waits for.
        synchronous_commit: String,
        /// Which standbys it waits for; empty for none.
        synchronous_standby_names: String,
    },
}
