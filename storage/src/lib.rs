#![doc = include_str!("../README.md")]

pub mod append;
pub mod cache;
pub mod conformance;
pub mod effect;
pub mod error;
pub mod facts;
pub mod log;
pub mod mem;
pub mod meta;
pub mod pool;
pub mod postgres;
mod sql;
pub mod sqlite;
pub mod together;
pub mod transfer;
pub mod vitals;

pub use append::{AppendBatch, AppendOutcome, NewEvent, ShardAppend};
pub use cache::{CacheStatus, Hint, HintCache, NoCache, Spent, redis::RedisCache, url::RedisUrl};
pub use effect::Effect;
pub use error::{Aftermath, ErrorChain, StoreError, Trouble};
pub use log::{Activation, LogStore, MessagePage, RecentKey, StoredEvent, Window};
pub use mem::MemStore;
pub use meta::MetaStore;
pub use pool::PoolStatus;
pub use postgres::{PostgresConfig, PostgresStore, PostgresUrl};
pub use sqlite::SqliteStore;
pub use together::{Together, TogetherError};
pub use vitals::{Durability, Vitals};

/// A store that keeps both the log and the facts, in one database.
pub trait Store: LogStore + MetaStore {}
impl<T: LogStore + MetaStore> Store for T {}
