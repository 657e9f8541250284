//! What every store promises, on a real server; and what only this one can get wrong.

mod database;

use std::sync::Arc;

use self::database::Database;
use super::{PostgresConfig, PostgresStore};
use crate::Store;

async fn fresh() -> (Arc<dyn Store>, Database) {
    let database = Database::fresh().await;
    let store = PostgresStore::open(&database.url, PostgresConfig::default()).await.expect("a fresh store opens");
    (Arc::new(store), database)
}

crate::conformance_tests!(fresh);
