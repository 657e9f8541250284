//! A cache that all nodes share, of hints alone: what it says may be old, or be missing, at any time.
//!
//! * [`breaker`] when the cache is left alone because it does not answer.
//! * [`seal`] a value's form: version, seal, body; what is not ours reads as nothing.
//! * [`redis`] the cache in Redis; [`url`] where that is.
//! * [`mem`] one in memory, for tests to lie with.
//!
//! # Invariants
//!
//! * No call fails, and none takes longer than [`ANSWER_WITHIN`]: the answer of a cache that has none is `None`.
//! * Nothing is true because the cache says so. Whoever uses a hint checks it against the store, or would do the same
//!   thing without it, only later. See docs/decisions/0012-redis-hints.md.
//! * Every key names the installation and lives for a bounded time; every value is of a bounded size.

pub mod breaker;
pub mod mem;
pub mod redis;
pub mod seal;
#[cfg(test)]
mod tests;
pub mod url;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::ids::RoomId;

/// Longest wait for an answer. One on the same network comes within 1 ms; a database's would be there by then.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(50);
/// Bytes of one hint: the tail of a room of 256 events is about 100 KB, and is cut to fit.
pub const HINT_BYTES_MAX: usize = 64 * 1024;
/// Bytes put by one call: at 100 MB/s they are on their way for 3 ms of the 50 that an answer may take.
pub const PUT_BYTES_MAX: usize = 256 * 1024;
/// Buckets that one call counts in.
pub const SPENT_MAX: usize = 512;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// The newest events of a room.
    Tail(RoomId),
    /// What a session followed.
    Session(u64),
}

impl Hint {
    /// Its name among all hints of an installation.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Tail(room) => format!("tail:{room}"),
            Self::Session(session) => format!("session:{session:016x}"),
        }
    }

    /// How long it is kept after it was put.
    #[must_use]
    pub const fn kept_for(self) -> Duration {
        match self {
            // A room that is silent for longer is hot no more.
            Self::Tail(_) => Duration::from_hours(1),
            // Who is away for longer comes back to a node that has to read everything anyway.
            Self::Session(_) => Duration::from_hours(12),
        }
    }
}

/// What was taken from one bucket of a rate limit since it was counted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Which bucket: any bytes; the cache is shown a digest of them.
    pub bucket: Vec<u8>,
    /// How much it was filled by, in milliseconds that it takes to empty again.
    pub cost_ms: u64,
    /// When it is full.
    pub full_ms: u64,
}

/// How a cache stands; counts are since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatus {
    /// Whether there is one.
    pub there: bool,
    /// Whether it is left alone because it does not answer.
    pub open: bool,
    /// Hints that were there.
    pub hits: u64,
    /// Hints that were not.
    pub misses: u64,
    /// Hints that were there and not of our making, or of another version.
    pub unfit: u64,
    /// Calls that failed, or took too long.
    pub failures: u64,
    /// Calls that were not made because it was left alone, or too many were under way.
    pub skipped: u64,
}

/// The cache.
#[async_trait]
pub trait HintCache: Send + Sync + Debug {
    /// What is kept, if anything is.
    async fn get(&self, hint: Hint) -> Option<Bytes>;

    /// Keeps hints in place of what was kept before, those of more than [`HINT_BYTES_MAX`] left out; `None` when it is
    /// not known whether it did. All together may be [`PUT_BYTES_MAX`].
    async fn put(&self, hints: &[(Hint, Bytes)]) -> Option<()>;

    /// Counts what was spent, at most [`SPENT_MAX`] of them; gives how long each bucket takes to be empty from now on,
    /// in milliseconds, whoever filled it.
    async fn spend(&self, spent: &[Spent]) -> Option<Vec<u64>>;

    /// Asks it for nothing, breaker or not; how long that took, or why there was no answer.
    async fn probe(&self) -> Result<Duration, String>;

    /// How it stands. Costs next to nothing.
    fn status(&self) -> CacheStatus;
}

/// No cache.
#[derive(Debug, Clone, Copy)]
pub struct NoCache;

#[async_trait]
impl HintCache for NoCache {
    async fn get(&self, _: Hint) -> Option<Bytes> {
        None
    }

    async fn put(&self, _: &[(Hint, Bytes)]) -> Option<()> {
        None
    }

    async fn spend(&self, _: &[Spent]) -> Option<Vec<u64>> {
        None
    }

    async fn probe(&self) -> Result<Duration, String> {
        Err("there is no cache".to_owned())
    }

    fn status(&self) -> CacheStatus {
        CacheStatus::default()
    }
}
