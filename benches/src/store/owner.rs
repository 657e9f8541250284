//! An owner of some shards: numbers messages as the node's appender does.

use std::sync::Arc;

use anyhow::{Result, ensure};
use hubbub_protocol::event::{Created, Event, EventBody};
use hubbub_protocol::ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId};
use hubbub_protocol::shard::ShardId;
use hubbub_protocol::time::Timestamp;
use hubbub_storage::{AppendBatch, AppendOutcome, LogStore, NewEvent, PostgresStore, ShardAppend};
use uuid::Uuid;

/// Most messages of one append, as in a node.
pub(crate) const EVENTS_MAX: usize = 256;
/// Shards of a node that stands alone.
const SHARDS: u32 = 64;
/// As long as the texts of the other measurements.
const TEXT: &str = "so it goes, one line after the other, as people talk when they have time: \
     about this and that, and sometimes about rooms";

#[derive(Debug)]
struct Room {
    id: RoomId,
    shard: ShardId,
    head: Seq,
}

/// The owner of one lane's shards.
#[derive(Debug)]
pub(crate) struct Owner {
    store: Arc<PostgresStore>,
    epoch: Epoch,
    heads: Vec<ShardSeq>,
    rooms: Vec<Room>,
    next: usize,
    sent: u64,
}

impl Owner {
    /// Takes all shards over; each lane gets every `lanes`-th of them, with its rooms.
    pub(crate) async fn all(store: &Arc<PostgresStore>, lanes: usize, rooms: u64) -> Result<Vec<Self>> {
        let shards: Vec<ShardId> = (0..SHARDS).map(ShardId).collect();
        let stood = store.fences(&shards).await?;
        ensure!(stood.iter().all(|(epoch, _)| *epoch == Epoch(0)), "the database is in use: name an empty one");
        let epoch = Epoch(1);
        let wanted: Vec<(ShardId, Epoch)> = shards.iter().map(|shard| (*shard, epoch)).collect();
        store.activate(&wanted, NodeId(1)).await?;
        let owner = |lane: usize| {
            let room = |number: u64| Room {
                id: RoomId::from_raw(1_000_000 + number),
                shard: ShardId(u32::try_from(number % u64::from(SHARDS)).unwrap_or(0)),
                head: Seq(0),
            };
            let ours = |room: &Room| room.shard.0 as usize % lanes == lane;
            Self {
                store: store.clone(),
                epoch,
                heads: vec![ShardSeq(0); SHARDS as usize],
                rooms: (0..rooms).map(room).filter(ours).collect(),
                next: 0,
                sent: 0,
            }
        };
        let owners: Vec<Self> = (0..lanes).map(owner).collect();
        ensure!(owners.iter().all(|owner| !owner.rooms.is_empty()), "fewer rooms than lanes");
        Ok(owners)
    }

    /// Appends the next `messages`, one for each room in turn; returns how many.
    pub(crate) async fn append(&mut self, messages: usize) -> Result<u64> {
        let mut batch = AppendBatch::default();
        for _ in 0..messages {
            self.add(&mut batch);
        }
        let outcomes = self.store.append(&batch).await?;
        ensure!(outcomes.iter().all(|outcome| *outcome == AppendOutcome::Committed), "not committed: {outcomes:?}");
        for part in &batch.shards {
            self.heads[part.shard.0 as usize] = part.new_head();
        }
        Ok(messages as u64)
    }

    fn add(&mut self, batch: &mut AppendBatch) {
        let at = self.next % self.rooms.len();
        self.next += 1;
        self.sent += 1;
        let room = &mut self.rooms[at];
        room.head = room.head.next();
        let event = Event {
            room: room.id,
            seq: room.head,
            ts: Timestamp(1_795_435_200_000 + self.sent.cast_signed()),
            by: UserId::from_raw(1 + self.sent % 500),
            key: Some(MessageKey(Uuid::now_v7())),
            body: EventBody::MessageCreated(Box::new(Created { text: TEXT.to_owned(), ..Created::default() })),
        };
        let place = batch.shards.iter().position(|part| part.shard == room.shard).unwrap_or_else(|| {
            let (shard, epoch, old_head) = (room.shard, self.epoch, self.heads[room.shard.0 as usize]);
            batch.shards.push(ShardAppend { shard, epoch, old_head, events: Vec::new(), effects: Vec::new() });
            batch.shards.len() - 1
        });
        let part = &mut batch.shards[place];
        part.events.push(NewEvent::of(&event, part.new_head().next(), event.encode()));
    }
}
