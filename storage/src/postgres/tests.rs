//! What every store promises, on a real server; and what only this one can get wrong.

mod faults;
mod opening;
mod plans;
mod rush;
mod tls;

use std::sync::Arc;

use hubbub_protocol::ids::NodeId;

use super::{PostgresConfig, PostgresStore, testing::Database};
pub(super) use crate::sql::testing::{EPOCH, ROOM, SHARD, messages};
use crate::{LogStore, Store};

async fn fresh() -> (Arc<dyn Store>, Database) {
    let database = Database::fresh().await;
    let store = PostgresStore::open(&database.url, PostgresConfig::default()).await.expect("a fresh store opens");
    (Arc::new(store), database)
}

crate::conformance_tests!(fresh);

/// A store in which `SHARD` is ours.
async fn ours(config: PostgresConfig) -> (PostgresStore, Database) {
    let database = Database::fresh().await;
    let store = PostgresStore::open(&database.url, config).await.expect("a fresh store opens");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    (store, database)
}

async fn head(store: &PostgresStore) -> u64 {
    store.fences(&[SHARD]).await.expect("a read")[0].1.0
}
