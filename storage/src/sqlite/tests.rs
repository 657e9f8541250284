//! What only this store can get wrong, and the suite that every store passes cannot see: its one
//! writer, its file, its queries.

mod faults;
mod opening;
mod plans;
mod tally;

use hubbub_protocol::{
    event::{Created, Event, EventBody},
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::{SqliteStore, open};
use crate::{
    append::{AppendBatch, NewEvent, ShardAppend},
    log::LogStore,
};

const ROOM: RoomId = RoomId::from_raw(5_000);
const ADA: UserId = UserId::from_raw(101);
const SHARD: ShardId = ShardId(7);
const EPOCH: Epoch = Epoch(1);

/// A store in which `SHARD` is ours.
async fn ours(pragmas: &[(&'static str, &'static str)]) -> (SqliteStore, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    let options = pragmas.iter().fold(open::options(&file), |options, (name, value)| options.pragma(*name, *value));
    let store = SqliteStore::open_with(&file, options).await.expect("a fresh store opens");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    (store, folder)
}

/// The next `events` messages of `ROOM`, alone in its shard, after the first `head`.
fn messages(head: u64, events: u64) -> AppendBatch {
    let message = |seq| {
        let text = format!("message {seq}");
        let event = Event {
            room: ROOM,
            seq: Seq(seq),
            ts: Timestamp(1_795_435_200_000 + seq.cast_signed()),
            by: ADA,
            key: Some(MessageKey(Uuid::from_u128(u128::from(seq)))),
            body: EventBody::MessageCreated(Box::new(Created { text, ..Created::default() })),
        };
        NewEvent::of(&event, ShardSeq(seq), event.encode())
    };
    let events = (head + 1..=head + events).map(message).collect();
    let part = ShardAppend { shard: SHARD, epoch: EPOCH, old_head: ShardSeq(head), events, effects: Vec::new() };
    AppendBatch { shards: vec![part] }
}

async fn head(store: &SqliteStore) -> u64 {
    store.fences(&[SHARD]).await.expect("a read")[0].1.0
}
