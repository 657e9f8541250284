//! The store of a cluster: one PostgreSQL database that all nodes share.
//!
//! # Durability
//!
//! An append returns after its commit record is on the server's disk, and on its synchronous standby's
//! when it has one: sessions raise `synchronous_commit` to `on` where the server says less.
//!
//! # Invariants
//!
//! * An append is one statement, or one transaction when facts other than mentions come with it. It
//!   locks the fences of its shards in the order of their numbers, so appends do not wait in a circle.
//! * Every session reads at READ COMMITTED. The head that an activation returns is the fence row's own,
//!   read again after a lock was waited for; at a higher level, or from another table, it would be stale.
//! * Work that has begun on a connection is carried to its end in a task of its own, so a caller who
//!   stops waiting leaves no transaction open. `Pool::begin` of the driver is never used.
//!
//! # Failure
//!
//! A connection that fails is dropped and made anew. A lane first ends what the failed connection may
//! have left at work on the server, so that what [`resolve`](crate::LogStore::resolve) says stays true.
//! Reads that meet a server which is restarting are tried again for a moment; appends and writes are
//! not, since what became of them has to be found out first.

mod activate;
mod append;
mod coalesce;
mod effects;
mod facts;
mod failure;
mod history;
mod open;
mod pool;
mod room;
mod rows;
mod session;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trouble;
mod url;
mod vitals;

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use crate::{append::AppendBatch, error::StoreError};

pub use open::SCHEMA_VERSION;
pub(crate) use rows::stored_text;
pub use url::PostgresUrl;

use self::{coalesce::Coalesced, failure::Stop, pool::Pool, trouble::named};

/// How many connections a store may hold open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Connections that append, 1 to 64. Each serves its share of the shards.
    pub lanes: usize,
    /// Connections that read, 1 to 256.
    pub readers: usize,
    /// Connections that write facts, 1 to 64.
    pub writers: usize,
}

impl Default for PostgresConfig {
    /// 16 connections: a server takes 100 unless it is told otherwise, so six nodes fit.
    fn default() -> Self {
        Self { lanes: 4, readers: 8, writers: 4 }
    }
}

/// The store of a cluster. Clones share it.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    lanes: Arc<[Pool]>,
    readers: Pool,
    writers: Pool,
    pages: Arc<Coalesced>,
    /// When and why the server refused the last append; none when it did not.
    refused: Arc<Mutex<Option<(Instant, String)>>>,
}

impl PostgresStore {
    /// The lane that a batch goes by: that of its first shard. An appender that keeps to the shards of
    /// one lane so never waits for another.
    fn lane(&self, batch: &AppendBatch) -> &Pool {
        let shard = batch.shards.first().map_or(0, |part| part.shard.0);
        &self.lanes[shard as usize % self.lanes.len()]
    }
}

fn read_failed(what: &'static str) -> impl Fn(Stop) -> StoreError {
    move |stop| match stop {
        Stop::Refused(error) => error,
        Stop::Failed(source) => StoreError::Read { what, source: named(source) },
    }
}

fn write_failed(what: &'static str) -> impl Fn(Stop) -> StoreError {
    move |stop| match stop {
        Stop::Refused(error) => error,
        Stop::Failed(source) => StoreError::Write { what, source: named(source) },
    }
}
