//! What only this store can get wrong, and the suite that every store passes cannot see: its one
//! writer, its file, its queries.

mod faults;
mod opening;
mod plans;
mod tally;

use hubbub_protocol::ids::NodeId;
use tempfile::TempDir;

use super::{SqliteStore, open};
use crate::log::LogStore;
pub(super) use crate::sql::testing::{EPOCH, ROOM, SHARD, messages};

/// A store in which `SHARD` is ours.
async fn ours(pragmas: &[(&'static str, &'static str)]) -> (SqliteStore, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    let options = pragmas.iter().fold(open::options(&file), |options, (name, value)| options.pragma(*name, *value));
    let store = SqliteStore::open_with(&file, options).await.expect("a fresh store opens");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    (store, folder)
}

async fn head(store: &SqliteStore) -> u64 {
    store.fences(&[SHARD]).await.expect("a read")[0].1.0
}
